// SPDX-License-Identifier: Apache-2.0
// recirculate

#include "skeleton.p4"

control Leave(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        recirculate_preserving_field_list(0);  // refused
    }
}

control Act(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
    }
}

V1Switch(Parse(), NoChecksum(), Act(), Leave(), NoChecksum(), Write()) main;
