// SPDX-License-Identifier: Apache-2.0
// header union

#define TYPES header one_t { bit<8> f; } header_union either_t { ethernet_t ethernet; one_t one; }
#define HEADERS either_t u;
#define PARSER state more { packet.extract(hdr.u.one); transition accept; }

#include "skeleton.p4"

control Act(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
        hdr.u.one.setValid();  // refused
    }
}

V1Switch(Parse(), NoChecksum(), Act(), NoEgress(), NoChecksum(), Write()) main;
