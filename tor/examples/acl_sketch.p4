// SPDX-License-Identifier: Apache-2.0
//
// A firewall between two ports. A ternary table over the five-tuple says, by priority, what becomes of a packet:
// permitted, denied, policed to a rate, or watched: a flow that has sent more than so many packets is cut off.
//
// The policer is a token bucket in a register, for targets without meters. The flows are counted in a count-min sketch:
// three rows of counters under three hashes, of which the smallest is never too small.

#include <core.p4>
#include <v1model.p4>
#include "packets.p4"

#define RULES 1024
#define POLICERS 256
#define COLUMNS 2048

struct headers_t {
    ethernet_h ethernet;
    ipv4_h     ipv4;
    ports_h    ports;
}

struct metadata_t {
    bit<16> sport;      // 0 where there are no ports
    bit<16> dport;
    bit<16> policer;
    bit<1>  policed;
    bit<32> allowed;    // packets of a watched flow
    bit<1>  watched;
    bit<32> estimate;   // packets of the flow, by the sketch
}

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    state start {
        packet.extract(hdr.ethernet);
        transition select(hdr.ethernet.ether_type) {
            TYPE_IPV4: ipv4;
            default: accept;
        }
    }
    state ipv4 {
        packet.extract(hdr.ipv4);
        transition select(hdr.ipv4.ihl, hdr.ipv4.fragment_offset, hdr.ipv4.protocol) {
            (5, 0, PROTOCOL_TCP): ports;
            (5, 0, PROTOCOL_UDP): ports;
            default: accept;
        }
    }
    state ports {
        packet.extract(hdr.ports);
        meta.sport = hdr.ports.src;
        meta.dport = hdr.ports.dst;
        transition accept;
    }
}

control Verify(inout headers_t hdr, inout metadata_t meta) {
    apply { }
}

// How many packets the flow has sent, this one included: the smallest of its three counters.
control CountMin(inout headers_t hdr, inout metadata_t meta) {
    register<bit<32>>(COLUMNS) row1;
    register<bit<32>>(COLUMNS) row2;
    register<bit<32>>(COLUMNS) row3;

    bit<32> column;
    bit<32> count;

    // One hash, with another number in front for each row.
    action column_of(bit<8> row) {
        hash(column, HashAlgorithm.crc32, 32w0,
            { row, hdr.ipv4.src, hdr.ipv4.dst, hdr.ipv4.protocol, meta.sport, meta.dport }, (bit<32>) COLUMNS);
    }

    apply {
        column_of(1);
        row1.read(count, column);
        count = count |+| 1;
        row1.write(column, count);
        meta.estimate = count;

        column_of(2);
        row2.read(count, column);
        count = count |+| 1;
        row2.write(column, count);
        if (count < meta.estimate) { meta.estimate = count; }

        column_of(3);
        row3.read(count, column);
        count = count |+| 1;
        row3.write(column, count);
        if (count < meta.estimate) { meta.estimate = count; }
    }
}

// A bucket that fills by `rate` and holds `burst`; a packet takes its length out of it, or does not pass.
control Policer(inout metadata_t meta, inout standard_metadata_t std) {
    // When it was last filled, in microseconds, and what is in it, in 2^-16 bytes: 48 bits each, read and written as one.
    register<bit<96>>(POLICERS) buckets;
    counter(POLICERS, CounterType.packets_and_bytes) excess;

    bit<48> rate;
    bit<48> burst;

    // rate in 2^-16 bytes a microsecond (1 Mbit/s is 8192), burst in 2^-16 bytes.
    action limit(bit<48> rate_of_policer, bit<48> burst_of_policer) {
        rate = rate_of_policer;
        burst = burst_of_policer;
    }
    table policer {
        key = { meta.policer: exact @name("policer"); }
        actions = { limit; }
        // What no controller has given a rate passes not at all.
        const default_action = limit(0, 0);
        size = POLICERS;
    }

    apply {
        policer.apply();

        bit<96> cell;
        buckets.read(cell, (bit<32>) meta.policer);
        bit<48> filled = cell[95:48];
        bit<48> tokens = cell[47:0];

        // A pause counts for a second at most, so that the product fits 48 bits for rates up to 32 Gbit/s.
        bit<48> passed = std.ingress_global_timestamp - filled;
        if (passed > 1000000) { passed = 1000000; }
        tokens = tokens |+| passed * rate;
        if (filled == 0 || tokens > burst) { tokens = burst; }
        bit<48> price = (bit<48>) std.packet_length << 16;
        if (tokens >= price) {
            tokens = tokens - price;
        } else {
            excess.count((bit<32>) meta.policer);
            mark_to_drop(std);
        }
        buckets.write((bit<32>) meta.policer, std.ingress_global_timestamp ++ tokens);
    }
}

control Firewall(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    direct_counter(CounterType.packets_and_bytes) hits;

    action to_port(bit<9> port) { std.egress_spec = port; }
    action nowhere() { mark_to_drop(std); }
    table wire {
        key = { std.ingress_port: exact; }
        actions = { to_port; @defaultonly nowhere; }
        const default_action = nowhere();
        size = 16;
    }

    action permit() { }
    action deny() { mark_to_drop(std); }
    action police(bit<16> policer) {
        meta.policed = 1;
        meta.policer = policer;
    }
    action watch(bit<32> packets) {
        meta.watched = 1;
        meta.allowed = packets;
    }
    table acl {
        key = {
            std.ingress_port: optional @name("port");
            hdr.ipv4.src: ternary @name("src");
            hdr.ipv4.dst: ternary @name("dst");
            hdr.ipv4.protocol: ternary @name("protocol");
            meta.sport: range @name("sport");
            meta.dport: range @name("dport");
        }
        actions = { permit; deny; police; watch; }
        default_action = deny();
        counters = hits;
        size = RULES;
    }

    apply {
        if (!wire.apply().hit) {
            return;
        }
        // ARP and the like are not the firewall's business.
        if (!hdr.ipv4.isValid()) {
            return;
        }
        switch (acl.apply().action_run) {
            police: { Policer.apply(meta, std); }
            watch: {
                CountMin.apply(hdr, meta);
                if (meta.estimate > meta.allowed) { deny(); }
            }
        }
    }
}

control Leave(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply { }
}

control Compute(inout headers_t hdr, inout metadata_t meta) {
    apply { }
}

control Write(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr.ethernet);
        packet.emit(hdr.ipv4);
        packet.emit(hdr.ports);
    }
}

V1Switch(Parse(), Verify(), Firewall(), Leave(), Compute(), Write()) main;
