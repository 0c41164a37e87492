// SPDX-License-Identifier: Apache-2.0
//
// Header stacks, and what else parsers and headers can do that features.p4 has not: labels like MPLS', a stack of them
// up to the one with the bottom bit. `op` says what becomes of the labels; the frame comes back out of port 2.

#include <core.p4>
#include <v1model.p4>

header ethernet_t { bit<48> dst; bit<48> src; bit<16> ether_type; }
header command_t  { bit<8> op; bit<8> result; bit<16> sum; }
header label_t    { bit<20> label; bit<3> tc; bit<1> bottom; bit<8> ttl; }
header extra_t    { bit<8> a; bit<16> b; }
header odd_t      { bit<8> a; }

struct headers_t {
    ethernet_t ethernet;
    command_t  command;
    label_t[3] labels;
    extra_t    extra;
    odd_t      odd;
    extra_t    chosen;
}
struct metadata_t { bit<32> depth; bit<128> ahead; }

error { TooDeep }

parser Read(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    state start {
        packet.extract(hdr.ethernet);
        transition select(hdr.ethernet.ether_type) {
            0x5354: command;
            0x5355: skip;
            0x5356: wide;
            default: accept;
        }
    }
    state command {
        packet.extract(hdr.command);
        transition select(hdr.command.op) {
            0x40: extra;
            0x41: odd;
            default: labels;
        }
    }
    state labels {
        packet.extract(hdr.labels.next);
        meta.depth = hdr.labels.lastIndex;
        verify(hdr.labels.last.ttl != 0, error.TooDeep);
        transition select(hdr.labels.last.bottom) {
            0: labels;
            1: accept;
        }
    }
    // Three bytes that nobody sees again.
    state skip {
        packet.advance(24);
        hdr.extra.setValid();
        hdr.extra.a = 7;
        hdr.extra.b = packet.lookahead<bit<16>>();
        transition command;
    }
    state wide {
        meta.ahead = packet.lookahead<bit<128>>();
        transition select(packet.lookahead<bit<72>>()) {
            0x40000000000000000a &&& 0xf000000000000000ff: command;
            default: accept;
        }
    }
    state extra {
        packet.extract(hdr.extra);
        transition accept;
    }
    state odd {
        packet.extract(hdr.odd);
        packet.extract(hdr.extra);
        transition accept;
    }
}

control Check(inout headers_t hdr, inout metadata_t meta) { apply { } }

control Act(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    action swap() { hdr.labels[0].label = hdr.labels[1].label; hdr.labels[1].label = hdr.labels[2].label; }
    action push_one() {
        hdr.labels.push_front(1);
        hdr.labels[0].setValid();
        hdr.labels[0].label = 0xabcde;
        hdr.labels[0].ttl = 64;
    }
    action push_all() { hdr.labels.push_front(3); }
    action pop_one() { hdr.labels.pop_front(1); }
    action pop_two() { hdr.labels.pop_front(2); }
    // p4c makes a choice between headers of the `if`.
    action choose() {
        hdr.chosen.setValid();
        hdr.chosen.a = 1;
        if (hdr.extra.a > 9) { hdr.chosen = hdr.extra; }
    }
    action exclusive_or() {
        hash(hdr.command.sum, HashAlgorithm.xor16, 16w0, { hdr.extra.a, hdr.extra.b, hdr.command.op }, 32w0x10000);
    }

    apply {
        std.egress_spec = 2;
        if (hdr.ethernet.ether_type == 0x5356) {
            hdr.ethernet.dst = meta.ahead[127:80];
            hdr.ethernet.src = meta.ahead[47:0];
        }
        // What an invalid header's fields say is for no program to ask.
        if (!hdr.command.isValid()) { return; }
        log_msg("op {}", { hdr.command.op });
        hdr.command.result = (bit<8>) meta.depth;
        if (std.parser_error == error.StackOutOfBounds) { hdr.command.result = 0xf0; }
        if (std.parser_error == error.TooDeep) { hdr.command.result = 0xf1; }
        if (hdr.command.op == 1) { swap(); }
        else if (hdr.command.op == 2) { push_one(); }
        else if (hdr.command.op == 3) { push_all(); }
        else if (hdr.command.op == 4) { pop_one(); }
        else if (hdr.command.op == 5) { pop_two(); }
        else if (hdr.command.op == 0x40) { choose(); exclusive_or(); }
    }
}

control Leave(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) { apply { } }

// `odd` and `extra` are left out of the sum where they are not there, and what is behind them moves up.
control Sum(inout headers_t hdr, inout metadata_t meta) {
    apply {
        update_checksum(hdr.command.isValid() && hdr.command.op == 0x41, { hdr.odd.a, hdr.extra.b, hdr.command.op, hdr.chosen.b },
                        hdr.command.sum, HashAlgorithm.crc16);
        update_checksum(hdr.command.isValid() && hdr.command.op == 0x44, { hdr.odd.a, hdr.command.op, hdr.extra.b },
                        hdr.command.sum, HashAlgorithm.csum16);
    }
}

control Write(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr.ethernet);
        packet.emit(hdr.command);
        packet.emit(hdr.labels);
        packet.emit(hdr.chosen);
        packet.emit(hdr.odd);
        packet.emit(hdr.extra);
    }
}

V1Switch(Read(), Check(), Act(), Leave(), Sum(), Write()) main;
