// SPDX-License-Identifier: Apache-2.0
// a hash into more than 64 bits

#include "skeleton.p4"

control Act(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
        hash(hdr.numbers.w, HashAlgorithm.crc32, 128w0, { hdr.ethernet.dst, meta.x }, 32w255);  // refused
    }
}

V1Switch(Parse(), NoChecksum(), Act(), NoEgress(), NoChecksum(), Write()) main;
