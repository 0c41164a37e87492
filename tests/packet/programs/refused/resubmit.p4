// SPDX-License-Identifier: Apache-2.0
// resubmit

#include "skeleton.p4"

control Act(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
        resubmit_preserving_field_list(0);  // refused
    }
}

V1Switch(Parse(), NoChecksum(), Act(), NoEgress(), NoChecksum(), Write()) main;
