// SPDX-License-Identifier: Apache-2.0
// idle timeout of entries

#include "skeleton.p4"

control Act(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    action nothing() { }
    table t {  // refused
        key = { hdr.ethernet.dst: exact; }
        actions = { nothing; }
        support_timeout = true;
    }
    apply {
        std.egress_spec = 1;
        t.apply();
    }
}

V1Switch(Parse(), NoChecksum(), Act(), NoEgress(), NoChecksum(), Write()) main;
