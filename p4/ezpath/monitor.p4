// SPDX-License-Identifier: Apache-2.0
// The flow monitor: per (VNI, source MAC, destination MAC), packets and bytes
// of the heavy flows, in bounded memory. docs/decisions/0008 says why it is so.
//
// A cell holds one flow: its key beside its counters, in 256 bits.
//
//   255..248  1 when the cell is used, else 0
//   247..224  VNI
//   223..176  inner source MAC
//   175..128  inner destination MAC
//   127..80   bytes     } grow while the flow holds the cell, and are never
//    63..24   packets   } reset: readers keep the difference for themselves
//    79..64   the epoch (about a second) in which the strength was last true
//    23..0    strength: the flow's bytes of late, halved with every epoch, and
//             its lowest bit set: a used cell is never as weak as an unused one
//
// A flow has one candidate cell in each stage. Where it holds one of them, its
// packet is counted there. Where it does not, the packet weakens the weakest
// candidate by its own bytes, and takes the cell over when nothing is left:
// a heavy flow pushes light and idle ones out, and light ones wear each other
// down. Nothing is random, so two switches that saw the same packets at the
// same times hold the same cells.
#ifndef EZPATH_MONITOR_P4
#define EZPATH_MONITOR_P4

typedef bit<256> cell_t;

// For BMv2 a stage is six narrow registers, the highest bits first: its Thrift
// port shows signed 64-bit integers, so 63 bits of a cell at most. Everywhere
// else a cell is one register entry, which a reader gets in one piece. Only
// these three know the difference.
#ifdef NARROW_CELLS
#define STAGE(stage)                                  \
    register<bit<32>>(MONITOR_STAGE_CELLS) stage##_a; \
    register<bit<48>>(MONITOR_STAGE_CELLS) stage##_b; \
    register<bit<48>>(MONITOR_STAGE_CELLS) stage##_c; \
    register<bit<48>>(MONITOR_STAGE_CELLS) stage##_d; \
    register<bit<56>>(MONITOR_STAGE_CELLS) stage##_e; \
    register<bit<24>>(MONITOR_STAGE_CELLS) stage##_f;
#define READ(stage, index, cell)           \
    {                                      \
        bit<32> a;                         \
        bit<48> b;                         \
        bit<48> c;                         \
        bit<48> d;                         \
        bit<56> e;                         \
        bit<24> f;                         \
        stage##_a.read(a, index);          \
        stage##_b.read(b, index);          \
        stage##_c.read(c, index);          \
        stage##_d.read(d, index);          \
        stage##_e.read(e, index);          \
        stage##_f.read(f, index);          \
        cell = a ++ b ++ c ++ d ++ e ++ f; \
    }
#define WRITE(stage, index, cell)          \
    stage##_a.write(index, cell[255:224]); \
    stage##_b.write(index, cell[223:176]); \
    stage##_c.write(index, cell[175:128]); \
    stage##_d.write(index, cell[127:80]);  \
    stage##_e.write(index, cell[79:24]);   \
    stage##_f.write(index, cell[23:0]);
#else
#define STAGE(stage) register<cell_t>(MONITOR_STAGE_CELLS) stage;
#define READ(stage, index, cell) stage.read(cell, index);
#define WRITE(stage, index, cell) stage.write(index, cell);
#endif

// The flow's candidate in one stage: is it the flow's own, and if not, is it
// weaker than those before? Of equally weak ones the first is taken.
#define LOOK(stage, number, index)                                         \
    READ(stage, index, cell)                                               \
    age = now - cell[79:64];                                               \
    if (age[15:15] == 1) {                                                 \
        age = 0;  /* another core was in this epoch first */               \
    } else if (age > 24) {                                                 \
        age = 24; /* nothing is left of 24 bits */                         \
    }                                                                      \
    strength = (cell[23:0] >> age[7:0]) | (bit<24>) cell[248:248];         \
    if (cell[255:128] == key) {                                            \
        found = number;                                                    \
    } else if (number == 1 || strength < weakest) {                        \
        weakest = strength;                                                \
        victim = cell;                                                     \
        place = number;                                                    \
    }

control Monitor(in metadata_t meta, in standard_metadata_t std) {
    STAGE(stage1)
    STAGE(stage2)
    STAGE(stage3)
    STAGE(stage4)
    // Packets of flows that held no cell and won none.
    counter(MONITOR_UNMONITORED, CounterType.packets_and_bytes) unmonitored;

    apply {
        // Where the candidates are: double hashing with slices of one CRC.
        bit<32> h;
        hash(h, HashAlgorithm.crc32, 32w0,
             { meta.vni, meta.flow_src, meta.flow_dst }, 64w0x100000000);
        monitor_index_t step = h[2 * MONITOR_STAGE_BITS - 1 : MONITOR_STAGE_BITS];
        monitor_index_t i1 = h[MONITOR_STAGE_BITS - 1 : 0];
        monitor_index_t i2 = i1 + step;
        monitor_index_t i3 = i2 + step;
        monitor_index_t i4 = i3 + step;

        bit<128> key = 8w1 ++ meta.vni ++ meta.flow_src ++ meta.flow_dst;
        bit<16> now = std.ingress_global_timestamp[MONITOR_EPOCH_BITS + 15 : MONITOR_EPOCH_BITS];
        bit<24> weight = (bit<24>) meta.flow_bytes;

        cell_t cell;
        cell_t victim = 0;
        bit<16> age;
        bit<24> strength;
        bit<24> weakest = 0;
        bit<3> found = 0;  // the stage where the flow is, 0 where it is in none
        bit<3> place = 0;  // the stage of the weakest candidate
        LOOK(stage1, 1, (bit<32>) i1)
        if (found == 0) { LOOK(stage2, 2, (bit<32>) i2) }
        if (found == 0) { LOOK(stage3, 3, (bit<32>) i3) }
        if (found == 0) { LOOK(stage4, 4, (bit<32>) i4) }

        if (found != 0) {
            place = found;
            cell[127:80] = cell[127:80] + (bit<48>) meta.flow_bytes;
            cell[63:24] = cell[63:24] + 1;
            cell[23:0] = strength |+| weight;
        } else if (weight >= weakest) {
            cell = key ++ (bit<48>) meta.flow_bytes ++ 16w0 ++ 40w1 ++ weight;
        } else {
            cell = victim;
            cell[23:0] = weakest - weight;
            unmonitored.count(0);
        }
        cell[79:64] = now;

        if (place == 1) {
            WRITE(stage1, (bit<32>) i1, cell)
        } else if (place == 2) {
            WRITE(stage2, (bit<32>) i2, cell)
        } else if (place == 3) {
            WRITE(stage3, (bit<32>) i3, cell)
        } else {
            WRITE(stage4, (bit<32>) i4, cell)
        }
    }
}

#undef STAGE
#undef READ
#undef WRITE
#undef LOOK

#endif
