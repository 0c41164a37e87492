// SPDX-License-Identifier: Apache-2.0
// parser value set

#define PARSER value_set<bit<16>>(4) types; \
    state more { transition select(hdr.ethernet.src[15:0]) { types: numbers; default: accept; } }

#include "skeleton.p4"

control Act(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
    }
}

V1Switch(Parse(), NoChecksum(), Act(), NoEgress(), NoChecksum(), Write()) main;
