// SPDX-License-Identifier: Apache-2.0
// action selector

#include "skeleton.p4"

control Act(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    action_selector(HashAlgorithm.crc16, 8, 16) choice;  // refused
    action nothing() { }
    table t {
        key = { hdr.ethernet.dst: exact; hdr.ethernet.src: selector; }
        actions = { nothing; }
        implementation = choice;
    }
    apply {
        std.egress_spec = 1;
        t.apply();
    }
}

V1Switch(Parse(), NoChecksum(), Act(), NoEgress(), NoChecksum(), Write()) main;
