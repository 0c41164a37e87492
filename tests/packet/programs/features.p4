// SPDX-License-Identifier: Apache-2.0
//
// Not EZPath's: a calculator on the wire, with one action for each corner of the subset that the software ToR
// supports. A frame says what to do in `op`, the numbers come back in the same header, out of port 2.
//
// Compiled to features.json by: p4c-bm2-ss features.p4 -o features.json

#include <core.p4>
#include <v1model.p4>

header ethernet_t { bit<48> dst; bit<48> src; bit<16> ether_type; }

header numbers_t {
    bit<8>   op;
    bit<8>   a;
    bit<16>  b;
    bit<32>  c;
    bit<48>  d;
    bit<64>  e;
    bit<128> w;
    bit<4>   n4;
    bit<7>   n7;
    bit<5>   n5;
}

header extra_t { bit<8> marker; bit<32> value; }

struct headers_t { ethernet_t ethernet; numbers_t h; numbers_t copy; extra_t extra; }
struct metadata_t { bit<128> wide; bit<64> e; bit<9> port; bool flag; }

error { Refused }

parser Read(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    state start {
        packet.extract(hdr.ethernet);
        transition select(hdr.ethernet.ether_type) {
            0x1230 &&& 0xfff0: numbers;
            0x5678: second_byte;
            default: accept;
        }
    }
    state numbers {
        packet.extract(hdr.h);
        verify(hdr.h.op != 0xee, error.Refused);
        transition select(packet.lookahead<bit<8>>(), hdr.h.n4) {
            (0xaa, _): extra;
            (0xbb, 3): extra;
            default: accept;
        }
    }
    // Reached at a different offset than from `numbers`.
    state second_byte {
        transition select(packet.lookahead<bit<16>>()[7:0]) {
            0xcc: extra;
            default: accept;
        }
    }
    state extra {
        packet.extract(hdr.extra);
        meta.port = (bit<9>) hdr.extra.marker;
        transition accept;
    }
}

control Check(inout headers_t hdr, inout metadata_t meta) { apply { } }

control Calc(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    register<bit<16>>(8) narrow;
    register<bit<64>>(4) full;
    register<bit<100>>(3) odd;
    counter(4, CounterType.packets_and_bytes) seen;

    action add() {
        hdr.h.a = hdr.h.a + 200;
        hdr.h.b = hdr.h.b - 0x8001;
        hdr.h.c = hdr.h.c + (bit<32>) hdr.h.b;
        hdr.h.d = hdr.h.d - (bit<48>) hdr.h.c;
        hdr.h.e = hdr.h.e + (bit<64>) hdr.h.d;
        hdr.h.n7 = hdr.h.n7 + 1;
        hdr.h.n5 = hdr.h.n5 - 1;
    }
    action multiply() {
        hdr.h.b = hdr.h.b * hdr.h.b;
        hdr.h.c = hdr.h.c * 7;
        hdr.h.e = (hdr.h.e * hdr.h.e) >> 3;
        hdr.h.d = hdr.h.d * (bit<48>) hdr.h.a;
    }
    action shift() {
        hdr.h.b = hdr.h.b >> 3;
        hdr.h.c = hdr.h.c << hdr.h.a;
        hdr.h.e = hdr.h.e >> hdr.h.a;
        hdr.h.w = (hdr.h.w << 9) | (hdr.h.w >> 119);
    }
    action logic() {
        hdr.h.c = ~hdr.h.c;
        hdr.h.e = hdr.h.e ^ 64w0xff00ff00ff00ff00;
        hdr.h.w = ~hdr.h.w & (hdr.h.c ++ hdr.h.c ++ hdr.h.e);
        hdr.h.n4 = hdr.h.n4 ^ 0xf;
    }
    action slices() {
        hdr.h.b = hdr.h.w[100:85];
        hdr.h.c = hdr.h.w[95:64];
        hdr.h.a = hdr.h.w[127:120];
        hdr.h.w[79:16] = hdr.h.e;
        hdr.h.n7 = hdr.h.c[31:25];
    }
    action saturate() {
        hdr.h.b = hdr.h.b |+| 0x0100;
        hdr.h.c = hdr.h.c |-| 100;
        hdr.h.a = hdr.h.a |-| 200;
    }
    action compare() {
        hdr.h.a = (hdr.h.w > 128w0x80000000000000000000000000000000 ? 8w1 : 8w0)
                | (hdr.h.w == ((bit<128>) hdr.h.e) ? 8w2 : 8w0)
                | (hdr.h.c <= (bit<32>) hdr.h.b ? 8w4 : 8w0)
                | (hdr.h.d != (bit<48>) hdr.h.c ? 8w8 : 8w0)
                | (hdr.h.e >= 64w0xffffffff00000000 ? 8w16 : 8w0);
    }
    action hashes() {
        hash(hdr.h.c, HashAlgorithm.crc32, 32w5, { hdr.h.n4, hdr.h.n7, hdr.h.w, hdr.h.a }, 64w0x100000000);
        hash(hdr.h.b, HashAlgorithm.crc16, 16w0, { hdr.h.n7, hdr.h.e }, 32w1000);
        hash(hdr.h.d, HashAlgorithm.identity, 48w7, { hdr.h.a, hdr.h.n4, hdr.h.n7 }, 64w0x1000000000000);
        hash(hdr.h.e, HashAlgorithm.csum16, 64w0, { hdr.h.a, hdr.h.w, hdr.h.n4 }, 64w0);
    }
    action copies() {
        hdr.copy = hdr.h;
        hdr.copy.op = 0xcc;
        hdr.h.w = hdr.h.w << 64;
    }
    // extra is not there: writing to it does nothing, reading it gives 0.
    action ghosts() {
        hdr.extra.value = 0xffffffff;
        hdr.h.c = hdr.extra.value;
        hdr.h.setInvalid();
        hdr.h.setValid();
        hdr.h.op = 0x77;
    }
    action registers() {
        bit<16> n;
        bit<64> f;
        bit<100> o;
        narrow.read(n, (bit<32>) hdr.h.a);
        narrow.write((bit<32>) hdr.h.a, n + hdr.h.b);
        full.read(f, 3);
        full.write(3, f + 1);
        odd.read(o, 2);
        odd.write(2, (o << 8) | (bit<100>) hdr.h.a);
        seen.count((bit<32>) hdr.h.a);
        hdr.h.b = n;
        hdr.h.e = f;
    }
    action errors() {
        hdr.h.c = std.packet_length;
        hdr.h.a = (bit<8>) std.ingress_port;
    }
    action stop() {
        hdr.h.a = 1;
        exit;
    }
    action nothing() { }
    table alu {
        key = { hdr.h.op: exact; }
        actions = { add; multiply; shift; logic; slices; saturate; compare; hashes; copies; ghosts; registers;
                    errors; stop; nothing; }
        const default_action = nothing();
        const entries = {
            1: add(); 2: multiply(); 3: shift(); 4: logic(); 5: slices(); 6: saturate(); 7: compare();
            8: hashes(); 9: copies(); 10: ghosts(); 11: registers(); 12: errors(); 13: stop();
        }
    }

    action label(bit<7> value) { hdr.h.n7 = value; }
    action wide_label(bit<128> value) { hdr.h.w = value; }
    table prefixes {
        key = { hdr.h.w: lpm; hdr.h.op: exact; hdr.h.n5: exact; }
        actions = { label; wide_label; nothing; }
        default_action = nothing();
        size = 16;
    }
    table wide_exact {
        key = { hdr.h.w: exact; hdr.h.isValid(): exact; }
        actions = { label; nothing; }
        default_action = label(9);
        size = 4;
    }

    action drop_it() { mark_to_drop(std); }

    apply {
        std.egress_spec = 2;
        if (hdr.h.isValid()) {
            switch (alu.apply().action_run) {
                nothing: { if (hdr.h.op == 0x20) { prefixes.apply(); } else if (!wide_exact.apply().hit) { hdr.h.c = 0xd0d0; } }
                add: { hdr.h.n4 = 1; }
                compare: { hdr.h.n4 = 2; }
            }
            if (hdr.h.op == 0x66) {
                drop_it();
                return;
            }
            hdr.h.n5 = hdr.h.n5 + 2;
        } else if (std.parser_error != error.NoError) {
            hdr.ethernet.ether_type = 0xe000 | (bit<16>) std.egress_rid;
            if (std.parser_error == error.PacketTooShort) { hdr.ethernet.src = 0x1; }
        }
        if (std.parser_error == error.Refused) {
            hdr.ethernet.src = 0x2;
        }
        if (hdr.extra.isValid()) {
            hdr.extra.value = (bit<32>) meta.port;
        }
    }
}

control Leave(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        if (hdr.copy.isValid()) {
            hdr.h.c = std.packet_length;
            hdr.h.a = (bit<8>) std.egress_port;
        }
        if (hdr.h.isValid() && hdr.h.op == 0x67) {
            mark_to_drop(std);
        }
    }
}

control Sum(inout headers_t hdr, inout metadata_t meta) {
    apply {
        update_checksum(hdr.extra.isValid(), { hdr.extra.value, 8w0x5a, hdr.ethernet.dst }, hdr.ethernet.ether_type,
                        HashAlgorithm.csum16);
    }
}

control Write(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr.ethernet);
        packet.emit(hdr.copy);
        packet.emit(hdr.h);
        packet.emit(hdr.extra);
    }
}

V1Switch(Read(), Check(), Calc(), Leave(), Sum(), Write()) main;
