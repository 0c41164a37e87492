// SPDX-License-Identifier: Apache-2.0
// direct meter

#include "skeleton.p4"

control Act(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    direct_meter<bit<8>>(MeterType.bytes) m;  // refused
    action read() { m.read(meta.x); }
    table t {
        key = { hdr.ethernet.dst: exact; }
        actions = { read; }
        meters = m;
    }
    apply {
        std.egress_spec = 1;
        t.apply();
    }
}

V1Switch(Parse(), NoChecksum(), Act(), NoEgress(), NoChecksum(), Write()) main;
