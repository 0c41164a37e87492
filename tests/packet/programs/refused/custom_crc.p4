// SPDX-License-Identifier: Apache-2.0
// a CRC with a polynomial that a controller sets

#include "skeleton.p4"

control Act(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
        hash(meta.x, HashAlgorithm.crc32_custom, 8w0, { hdr.ethernet.dst, meta.x }, 8w255);  // refused
    }
}

V1Switch(Parse(), NoChecksum(), Act(), NoEgress(), NoChecksum(), Write()) main;
