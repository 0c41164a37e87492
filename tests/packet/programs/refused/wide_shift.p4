// SPDX-License-Identifier: Apache-2.0
// a wide value shifted by a field

#include "skeleton.p4"

control Act(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
        hdr.numbers.w = hdr.numbers.w << hdr.numbers.a;  // refused
    }
}

V1Switch(Parse(), NoChecksum(), Act(), NoEgress(), NoChecksum(), Write()) main;
