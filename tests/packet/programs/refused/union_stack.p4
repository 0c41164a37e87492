// SPDX-License-Identifier: Apache-2.0
// stack of header unions

#define TYPES header one_t { bit<8> f; } header_union either_t { ethernet_t ethernet; one_t one; }
#define HEADERS either_t[2] us;
#define PARSER state more { packet.extract(hdr.us.next.one); transition accept; }

#include "skeleton.p4"

control Act(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
    }
}

V1Switch(Parse(), NoChecksum(), Act(), NoEgress(), NoChecksum(), Write()) main;
