// What the lab asks of BMv2's Thrift port: the service "simple_switch", beside the one that all BMv2 targets have.

service SimpleSwitch {
  i32 set_all_egress_queue_depths(1: i32 depth_pkts)
}
