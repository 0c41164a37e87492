// SPDX-License-Identifier: Apache-2.0
//
// An IPv4 and IPv6 router: longest prefix to next hop or to a group of next hops, of which the hash of the five-tuple
// picks one (ECMP); next hop to port and MAC addresses. Hundreds of thousands of routes share a few next hops, so that
// a link that goes down costs one write.
//
// What it does not forward is counted by reason. It sends no ICMP and no ARP: neighbours are entries.

#include <core.p4>
#include <v1model.p4>
#include "packets.p4"

#define ROUTES 65536
#define NEXT_HOPS 1024
#define GROUPS 256

struct headers_t {
    ethernet_h ethernet;
    ipv4_h     ipv4;
    ipv6_h     ipv6;
    ports_h    ports;
}

struct metadata_t {
    bit<16> sport;      // 0 where there are no ports
    bit<16> dport;
    bit<16> next_hop;
    bit<16> group;
    bit<16> members;    // of the group; 0: the route has none
    bit<16> member;     // the one that was picked
}

// Why a packet was not forwarded.
const bit<32> DROP_NOT_FOR_ROUTER = 0;
const bit<32> DROP_NOT_IP = 1;
const bit<32> DROP_BAD_HEADER = 2;
const bit<32> DROP_TTL = 3;
const bit<32> DROP_NO_ROUTE = 4;
const bit<32> DROP_NO_NEXT_HOP = 5;
const bit<32> DROP_REASONS = 8;

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    state start {
        packet.extract(hdr.ethernet);
        transition select(hdr.ethernet.ether_type) {
            TYPE_IPV4: ipv4;
            TYPE_IPV6: ipv6;
            default: accept;
        }
    }
    state ipv4 {
        packet.extract(hdr.ipv4);
        // Ports are where no options are in front of them, and in the first fragment only.
        transition select(hdr.ipv4.ihl, hdr.ipv4.fragment_offset, hdr.ipv4.protocol) {
            (5, 0, PROTOCOL_TCP): ports;
            (5, 0, PROTOCOL_UDP): ports;
            default: accept;
        }
    }
    state ipv6 {
        packet.extract(hdr.ipv6);
        transition select(hdr.ipv6.next_header) {
            PROTOCOL_TCP: ports;
            PROTOCOL_UDP: ports;
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
    apply {
        verify_checksum(hdr.ipv4.isValid() && hdr.ipv4.ihl == 5,
            { hdr.ipv4.version, hdr.ipv4.ihl, hdr.ipv4.tos, hdr.ipv4.total_len, hdr.ipv4.identification,
              hdr.ipv4.flags, hdr.ipv4.fragment_offset, hdr.ipv4.ttl, hdr.ipv4.protocol, hdr.ipv4.src, hdr.ipv4.dst },
            hdr.ipv4.checksum, HashAlgorithm.csum16);
    }
}

control Router(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    counter(DROP_REASONS, CounterType.packets_and_bytes) drops;
    direct_counter(CounterType.packets_and_bytes) sent;

    action drop(bit<32> reason) {
        drops.count(reason);
        mark_to_drop(std);
    }

    // ---- is it for the router

    action ours() { }
    action not_ours() { drop(DROP_NOT_FOR_ROUTER); }
    table router_mac {
        key = { std.ingress_port: exact; hdr.ethernet.dst: exact; }
        actions = { ours; @defaultonly not_ours; }
        const default_action = not_ours();
        size = 64;
    }

    // ---- where to

    action to_next_hop(bit<16> next_hop) { meta.next_hop = next_hop; }
    action to_group(bit<16> group, bit<16> members) {
        meta.group = group;
        meta.members = members;
    }
    action no_route() { drop(DROP_NO_ROUTE); }
    table ipv4_route {
        key = { hdr.ipv4.dst: lpm @name("prefix"); }
        actions = { to_next_hop; to_group; no_route; }
        default_action = no_route();
        size = ROUTES;
    }
    table ipv6_route {
        key = { hdr.ipv6.dst: lpm @name("prefix"); }
        actions = { to_next_hop; to_group; no_route; }
        default_action = no_route();
        size = ROUTES;
    }

    // All packets of a flow take one way.
    action hash_ipv4() {
        hash(meta.member, HashAlgorithm.crc32, 16w0,
            { hdr.ipv4.src, hdr.ipv4.dst, hdr.ipv4.protocol, meta.sport, meta.dport }, meta.members);
    }
    action hash_ipv6() {
        hash(meta.member, HashAlgorithm.crc32, 16w0,
            { hdr.ipv6.src, hdr.ipv6.dst, hdr.ipv6.next_header, meta.sport, meta.dport }, meta.members);
    }
    table group_member {
        key = { meta.group: exact @name("group"); meta.member: exact @name("member"); }
        actions = { to_next_hop; no_route; }
        const default_action = no_route();
        size = GROUPS * 16;
    }

    // ---- out

    action send(bit<9> port, bit<48> src, bit<48> dst) {
        std.egress_spec = port;
        hdr.ethernet.src = src;
        hdr.ethernet.dst = dst;
    }
    action no_next_hop() { drop(DROP_NO_NEXT_HOP); }
    table next_hop {
        key = { meta.next_hop: exact @name("next_hop"); }
        actions = { send; @defaultonly no_next_hop; }
        const default_action = no_next_hop();
        counters = sent;
        size = NEXT_HOPS;
    }

    // One less, and the checksum as much more (RFC 1141): that is right with IP options as well.
    action decrement_ttl() {
        hdr.ipv4.ttl = hdr.ipv4.ttl - 1;
        bit<32> sum = (bit<32>) hdr.ipv4.checksum + 0x100;
        hdr.ipv4.checksum = (bit<16>) (sum + (sum >> 16));
    }

    apply {
        if (!router_mac.apply().hit) {
            return;
        }
        if (hdr.ipv4.isValid()) {
            if (std.checksum_error == 1 || hdr.ipv4.version != 4 || hdr.ipv4.ihl < 5) {
                drop(DROP_BAD_HEADER);
                return;
            }
            if (hdr.ipv4.ttl <= 1) {
                drop(DROP_TTL);
                return;
            }
            switch (ipv4_route.apply().action_run) {
                no_route: { return; }
            }
            decrement_ttl();
        } else if (hdr.ipv6.isValid()) {
            if (hdr.ipv6.version != 6) {
                drop(DROP_BAD_HEADER);
                return;
            }
            if (hdr.ipv6.hop_limit <= 1) {
                drop(DROP_TTL);
                return;
            }
            switch (ipv6_route.apply().action_run) {
                no_route: { return; }
            }
            hdr.ipv6.hop_limit = hdr.ipv6.hop_limit - 1;
        } else {
            drop(DROP_NOT_IP);
            return;
        }
        if (meta.members != 0) {
            if (hdr.ipv4.isValid()) {
                hash_ipv4();
            } else {
                hash_ipv6();
            }
            if (!group_member.apply().hit) {
                return;
            }
        }
        next_hop.apply();
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
        packet.emit(hdr.ipv6);
        packet.emit(hdr.ports);
    }
}

V1Switch(Parse(), Verify(), Router(), Leave(), Compute(), Write()) main;
