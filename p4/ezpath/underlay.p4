// SPDX-License-Identifier: Apache-2.0
// Plain IPv4 routing and ARP: what a ToR does without EZPath.
#ifndef EZPATH_UNDERLAY_P4
#define EZPATH_UNDERLAY_P4

// What no router passes on (RFC 1812, 5.2.2), whoever it is for. Behind the
// headers that a router reads a frame may be cut off anywhere: it goes on as it
// is, untouched. The total length is not judged: a segmentation offload frame
// on a software switch may be longer than its 16 bits can say.
control Sanity(in headers_t hdr, inout metadata_t meta, in standard_metadata_t std) {
    apply {
        if (hdr.ipv4.isValid()) {
            bit<32> header_end = ETHERNET_BYTES + (bit<32>) (hdr.ipv4.ihl ++ 2w0);
            if (hdr.ipv4.version != 4 || hdr.ipv4.ihl < 5 || std.checksum_error == 1
                || std.packet_length < header_end) {
                meta.drop_reason = DROP_BAD_IPV4;
            }
        } else if (std.parser_error != error.NoError && !hdr.vlan.isValid()) {
            meta.drop_reason = DROP_PARSER;
        }
    }
}

control Underlay(inout headers_t hdr, inout metadata_t meta,
                 inout standard_metadata_t std) {

    action arp_reply(mac_t mac) {
        hdr.ethernet.dst = hdr.ethernet.src;
        hdr.ethernet.src = mac;
        ipv4_t asked = hdr.arp.target_ip;
        hdr.arp.op = ARP_REPLY;
        hdr.arp.target_mac = hdr.arp.sender_mac;
        hdr.arp.target_ip = hdr.arp.sender_ip;
        hdr.arp.sender_mac = mac;
        hdr.arp.sender_ip = asked;
        std.egress_spec = std.ingress_port;
    }
    action arp_ignore() {
        meta.drop_reason = DROP_ARP;
    }
    table arp_responder {
        key = {
            std.ingress_port:  exact @name("ingress_port");
            hdr.arp.target_ip: exact @name("target_ip");
        }
        actions = { arp_reply; arp_ignore; }
        default_action = arp_ignore();
        size = ARP_ENTRIES;
    }

    action for_router() { }
    action not_for_router() {
        meta.drop_reason = DROP_NOT_FOR_ROUTER;
    }
    table router_mac {
        key = { hdr.ethernet.dst: exact @name("mac"); }
        actions = { for_router; not_for_router; }
        default_action = not_for_router();
        size = ROUTER_MAC_ENTRIES;
    }

    action next_hop(port_t port, mac_t src, mac_t dst) {
        std.egress_spec = port;
        hdr.ethernet.src = src;
        hdr.ethernet.dst = dst;
    }
    action no_route() {
        meta.drop_reason = DROP_NO_ROUTE;
    }
    table route {
        key = { hdr.ipv4.dst: lpm @name("prefix"); }
        actions = { next_hop; no_route; }
        default_action = no_route();
        size = ROUTE_ENTRIES;
    }

    // RFC 1624, equation 3: the checksum follows the one word that changes. So
    // it is right for headers with options too, and stays wrong where it was.
    action age() {
        hdr.ipv4.ttl = hdr.ipv4.ttl - 1;
        bit<17> sum = (bit<17>) ~hdr.ipv4.checksum + 17w0xfeff;
        hdr.ipv4.checksum = ~(sum[15:0] + (bit<16>) sum[16:16]);
    }

    apply {
        if (meta.encapsulated == 1) {
            route.apply();
        } else if (hdr.arp.isValid()) {
            if (hdr.arp.op == ARP_REQUEST && hdr.arp.htype == ARP_ETHERNET
                && hdr.arp.ptype == ETHERTYPE_IPV4 && hdr.arp.hlen == 6 && hdr.arp.plen == 4) {
                arp_responder.apply();
            } else {
                meta.drop_reason = DROP_ARP;
            }
        } else if (hdr.ipv4.isValid()) {
            if (router_mac.apply().hit) {
                if (hdr.ipv4.ttl <= 1) {
                    meta.drop_reason = DROP_TTL;
                } else {
                    age();
                    route.apply();
                }
            }
        } else {
            meta.drop_reason = DROP_NOT_IPV4;
        }
    }
}

#endif
