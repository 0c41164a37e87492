// SPDX-License-Identifier: Apache-2.0
// indirect meter

#include "skeleton.p4"

control Act(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    meter(8, MeterType.bytes) m;  // refused
    apply {
        std.egress_spec = 1;
        m.execute_meter(1, meta.x);
    }
}

V1Switch(Parse(), NoChecksum(), Act(), NoEgress(), NoChecksum(), Write()) main;
