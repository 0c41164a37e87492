// SPDX-License-Identifier: Apache-2.0
// The flow monitor: per (VNI, source MAC, destination MAC), packets and bytes.
//
// A cell is one 256-bit register entry, so that a reader gets a key and its
// counters in one piece:
//
//   255..248  1 when the cell is used, else 0
//   247..224  VNI
//   223..176  inner source MAC
//   175..128  inner destination MAC
//   127..96   packets   } grow while the flow holds the cell, and are never
//    95..48   bytes     } reset: readers keep the difference for themselves
//    47..0    when the flow was last seen, microseconds of this switch's clock
//
// A flow may stand in one of two stages, at places that one hash gives. It
// takes a free cell or one whose flow has been idle; it never displaces a
// flow that is alive.
#ifndef EZPATH_MONITOR_P4
#define EZPATH_MONITOR_P4

typedef bit<256> cell_t;

control Monitor(in metadata_t meta, in standard_metadata_t std) {
    register<cell_t>(MONITOR_STAGE_CELLS) stage1;
    register<cell_t>(MONITOR_STAGE_CELLS) stage2;
    // Packets of flows that found no cell: the monitor is too small.
    counter(1, CounterType.packets_and_bytes) unmonitored;

    apply {
        bit<32> h;
        cell_t c1;
        cell_t c2;
        hash(h, HashAlgorithm.crc32, 32w0,
             { meta.vni, meta.flow_src, meta.flow_dst }, 64w0x100000000);
        bit<32> i1 = (bit<32>) h[MONITOR_STAGE_BITS - 1 : 0];
        bit<32> i2 = (bit<32>) h[MONITOR_STAGE_BITS + 15 : 16];
        stage1.read(c1, i1);
        stage2.read(c2, i2);

        bit<128> key = 8w1 ++ meta.vni ++ meta.flow_src ++ meta.flow_dst;
        bit<48> now = std.ingress_global_timestamp;
        bit<32> packets = 0;
        bit<48> bytes = 0;
        bit<2> stage = 0;

        if (c1[255:128] == key) {
            stage = 1;
            packets = c1[127:96];
            bytes = c1[95:48];
        } else if (c2[255:128] == key) {
            stage = 2;
            packets = c2[127:96];
            bytes = c2[95:48];
        } else if (c1[255:248] == 0 || now - c1[47:0] > MONITOR_IDLE_US) {
            stage = 1;
        } else if (c2[255:248] == 0 || now - c2[47:0] > MONITOR_IDLE_US) {
            stage = 2;
        }

        cell_t updated = key ++ (packets + 1) ++ (bytes + (bit<48>) meta.flow_bytes) ++ now;
        if (stage == 1) {
            stage1.write(i1, updated);
        } else if (stage == 2) {
            stage2.write(i2, updated);
        } else {
            unmonitored.count(0);
        }
    }
}

#endif
