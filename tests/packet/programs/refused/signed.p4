// SPDX-License-Identifier: Apache-2.0
// signed numbers

#define METADATA int<8> y;

#include "skeleton.p4"

control Act(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
        meta.y = meta.y + 1;  // refused
    }
}

V1Switch(Parse(), NoChecksum(), Act(), NoEgress(), NoChecksum(), Write()) main;
