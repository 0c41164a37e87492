// SPDX-License-Identifier: Apache-2.0
//
// One table for each way to match. A frame says in `which` what table to ask; the answer comes back in the same frame,
// out of port 2.

#include <core.p4>
#include <v1model.p4>

header ethernet_t { bit<48> dst; bit<48> src; bit<16> ether_type; }

header query_t {
    bit<8>   which;
    bit<16>  a;
    bit<16>  b;
    bit<32>  c;
    bit<128> w;
    bit<16>  answer;
    bit<16>  check;
}

struct headers_t { ethernet_t ethernet; query_t q; }
struct metadata_t { }

parser Read(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    state start {
        packet.extract(hdr.ethernet);
        transition select(hdr.ethernet.ether_type) {
            0x4d41: query;
            default: accept;
        }
    }
    state query {
        packet.extract(hdr.q);
        transition accept;
    }
}

control Check(inout headers_t hdr, inout metadata_t meta) { apply { } }

control Ask(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    direct_counter(CounterType.packets_and_bytes) acl_hits;
    direct_counter(CounterType.packets_and_bytes) exact_hits;

    // Both have to come from one and the same write.
    action answer(bit<16> value, bit<16> check) {
        hdr.q.answer = value;
        hdr.q.check = check;
    }
    action nothing() { }

    table acl {
        key = {
            hdr.q.a: ternary @name("a");
            hdr.q.b: range @name("b");
            hdr.q.c: lpm @name("c");
            hdr.q.w: ternary @name("w");
        }
        actions = { answer; nothing; }
        default_action = nothing();
        counters = acl_hits;
        size = 256;
    }

    table optionals {
        key = { hdr.q.a: optional @name("a"); hdr.q.b: optional @name("b"); hdr.q.which: exact @name("which"); }
        actions = { answer; nothing; }
        default_action = nothing();
        size = 16;
    }

    // The first that matches counts.
    table constant {
        key = { hdr.q.a: ternary @name("a"); hdr.q.b: range @name("b"); }
        actions = { answer; nothing; }
        const default_action = nothing();
        const entries = {
            (0x1234, 5 .. 9): answer(1, 1);
            (0x1200 &&& 0xff00, _): answer(2, 2);
            (0x1200 &&& 0xff01, 7): answer(3, 3);
            (_, 7): answer(4, 4);
        }
    }

    // What it comes with can be changed.
    table initial {
        key = { hdr.q.a: exact @name("a"); }
        actions = { answer; nothing; }
        default_action = nothing();
        entries = {
            1: answer(11, 11);
            2: answer(22, 22);
        }
        size = 4;
    }

    table masked {
        key = { hdr.q.a & 0x0ff0: exact @name("a"); hdr.q.w & 0xff000000000000000001: exact @name("w"); }
        actions = { answer; nothing; }
        default_action = nothing();
        counters = exact_hits;
        size = 16;
    }

    table masked_prefix {
        key = { hdr.q.a & 0x0ff0: exact @name("a"); hdr.q.c: lpm @name("c"); }
        actions = { answer; nothing; }
        default_action = nothing();
        size = 16;
    }

    table hit_or_miss {
        key = { hdr.q.a: ternary @name("a"); hdr.q.isValid(): exact @name("there"); }
        actions = { nothing; }
        default_action = nothing();
        size = 8;
    }

    apply {
        std.egress_spec = 2;
        if (!hdr.q.isValid()) {
            return;
        }
        if (hdr.q.which == 1) {
            switch (acl.apply().action_run) {
                nothing: { hdr.q.check = 0xdead; }
            }
        } else if (hdr.q.which == 2) {
            optionals.apply();
        } else if (hdr.q.which == 3) {
            constant.apply();
        } else if (hdr.q.which == 4) {
            initial.apply();
        } else if (hdr.q.which == 5) {
            masked.apply();
        } else if (hdr.q.which == 6) {
            masked_prefix.apply();
        } else if (hdr.q.which == 7) {
            if (hit_or_miss.apply().hit) {
                hdr.q.answer = 1;
            } else {
                hdr.q.answer = 2;
            }
        }
    }
}

control Leave(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) { apply { } }
control Sum(inout headers_t hdr, inout metadata_t meta) { apply { } }

control Write(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr.ethernet);
        packet.emit(hdr.q);
    }
}

V1Switch(Read(), Check(), Ask(), Leave(), Sum(), Write()) main;
