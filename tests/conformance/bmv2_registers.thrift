// BMv2's service "standard", as far as the collector's own bmv2.thrift does not have it.

exception InvalidRegisterOperation {
  1: i32 code
}

service Standard {
  void bm_register_reset(1: i32 cxt_id, 2: string register_array_name)
    throws (1: InvalidRegisterOperation ouch)
}
