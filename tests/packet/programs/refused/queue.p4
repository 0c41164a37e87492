// SPDX-License-Identifier: Apache-2.0
// what the switch's queues say: it has none

#include "skeleton.p4"

control Leave(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        hdr.ethernet.ether_type = (bit<16>) std.deq_timedelta;  // refused
    }
}

control Act(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
    }
}

V1Switch(Parse(), NoChecksum(), Act(), Leave(), NoChecksum(), Write()) main;
