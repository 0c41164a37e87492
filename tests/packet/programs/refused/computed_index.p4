// SPDX-License-Identifier: Apache-2.0
// a header stack with a computed index

#define HEADERS numbers_t[4] ns;

#include "skeleton.p4"

control Act(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
        hdr.ns[meta.x].a = 1;  // refused
    }
}

V1Switch(Parse(), NoChecksum(), Act(), NoEgress(), NoChecksum(), Write()) main;
