// SPDX-License-Identifier: Apache-2.0
// multicast: no replication engine

#include "skeleton.p4"

control Act(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        std.egress_spec = 1;
        std.mcast_grp = 7;  // refused
    }
}

V1Switch(Parse(), NoChecksum(), Act(), NoEgress(), NoChecksum(), Write()) main;
