// SPDX-License-Identifier: Apache-2.0
// a header of variable length

#define TYPES header options_t { bit<8> size; varbit<320> options; }
#define HEADERS options_t options;
#define PARSER state more { packet.extract(hdr.options, 32); transition accept; }

#include "skeleton.p4"

control Act(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
    }
}

V1Switch(Parse(), NoChecksum(), Act(), NoEgress(), NoChecksum(), Write()) main;
