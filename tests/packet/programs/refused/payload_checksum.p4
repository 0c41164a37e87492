// SPDX-License-Identifier: Apache-2.0
// a checksum over the payload

#include "skeleton.p4"

control Compute(inout headers_t hdr, inout metadata_t meta) {
    apply {
        update_checksum_with_payload(true, { hdr.numbers.a, hdr.numbers.b }, hdr.numbers.c, HashAlgorithm.csum16);  // refused
    }
}

control Act(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
    }
}

V1Switch(Parse(), NoChecksum(), Act(), NoEgress(), Compute(), Write()) main;
