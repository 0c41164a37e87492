// What the collector asks of BMv2's Thrift port, and no more: the service "standard" of its runtime, as BMv2 names and
// numbers things. A cell comes as a signed 64-bit integer; one of 2^63 and more would come clipped to 2^63 - 1.

enum RegisterOperationErrorCode {
  INVALID_REGISTER_NAME = 1,
  INVALID_INDEX = 2,
  ERROR = 3
}

exception InvalidRegisterOperation {
  1: RegisterOperationErrorCode code
}

service Standard {
  list<i64> bm_register_read_all(1: i32 cxt_id, 2: string register_array_name)
    throws (1: InvalidRegisterOperation ouch)
}
