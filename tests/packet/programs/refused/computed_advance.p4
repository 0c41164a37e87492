// SPDX-License-Identifier: Apache-2.0
// skipping as many bits as a field says

#define PARSER state more { \
        packet.extract(hdr.numbers); \
        packet.advance((bit<32>) hdr.numbers.a); \
        transition accept; \
    }

#include "skeleton.p4"

control Act(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
    }
}

V1Switch(Parse(), NoChecksum(), Act(), NoEgress(), NoChecksum(), Write()) main;
