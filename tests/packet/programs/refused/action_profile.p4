// SPDX-License-Identifier: Apache-2.0
// action profile

#include "skeleton.p4"

control Act(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    action_profile(8) profile;  // refused
    action nothing() { }
    table t {
        key = { hdr.ethernet.dst: exact; }
        actions = { nothing; }
        implementation = profile;
    }
    apply {
        std.egress_spec = 1;
        t.apply();
    }
}

V1Switch(Parse(), NoChecksum(), Act(), NoEgress(), NoChecksum(), Write()) main;
