// SPDX-License-Identifier: Apache-2.0
// a checksum that leaves out headers, where it is over more than four of them

#define HEADERS numbers_t n1; numbers_t n2; numbers_t n3; numbers_t n4;

#include "skeleton.p4"

control Act(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
    }
}

control Compute(inout headers_t hdr, inout metadata_t meta) {
    apply {
        update_checksum(true, { hdr.numbers.a, hdr.n1.a, hdr.n2.a, hdr.n3.a, hdr.n4.a }, hdr.numbers.d, HashAlgorithm.crc32);  // refused
    }
}

V1Switch(Parse(), NoChecksum(), Act(), NoEgress(), Compute(), Write()) main;
