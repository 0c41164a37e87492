// SPDX-License-Identifier: Apache-2.0
// a parser loop that fills no header stack: options one after the other

#define PARSER state more { \
        packet.advance(8); \
        transition select(packet.lookahead<bit<8>>()) { 0: accept; default: more; } \
    }

#include "skeleton.p4"

control Act(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
    }
}

V1Switch(Parse(), NoChecksum(), Act(), NoEgress(), NoChecksum(), Write()) main;
