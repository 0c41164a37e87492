// SPDX-License-Identifier: Apache-2.0
// sums of more than 64 bits

#include "skeleton.p4"

control Act(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
        hdr.numbers.w = hdr.numbers.w + (bit<128>) hdr.numbers.d;  // refused
    }
}

V1Switch(Parse(), NoChecksum(), Act(), NoEgress(), NoChecksum(), Write()) main;
