// SPDX-License-Identifier: Apache-2.0
// verify with an error that the packet chooses

#define PARSER state more { \
        packet.extract(hdr.numbers); \
        verify(hdr.numbers.a != 0, hdr.numbers.b == 1 ? error.NoMatch : error.HeaderTooShort); \
        transition accept; \
    }

#include "skeleton.p4"

control Act(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
    }
}

V1Switch(Parse(), NoChecksum(), Act(), NoEgress(), NoChecksum(), Write()) main;
