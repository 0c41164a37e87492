// SPDX-License-Identifier: Apache-2.0
// Plain IPv4 routing and ARP: what a ToR does without EZPath.
#ifndef EZPATH_UNDERLAY_P4
#define EZPATH_UNDERLAY_P4

control Underlay(inout headers_t hdr, inout metadata_t meta,
                 inout standard_metadata_t std) {

    action arp_reply(mac_t mac) {
        hdr.ethernet.dst = hdr.ethernet.src;
        hdr.ethernet.src = mac;
        ipv4_t asked = hdr.arp.target_ip;
        hdr.arp.op = 2;
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

    apply {
        if (meta.encapsulated == 1) {
            route.apply();
        } else if (hdr.arp.isValid()) {
            if (hdr.arp.op == 1) {
                arp_responder.apply();
            } else {
                meta.drop_reason = DROP_ARP;
            }
        } else if (hdr.ipv4.isValid()) {
            if (hdr.ipv4.version != 4 || std.checksum_error == 1) {
                meta.drop_reason = DROP_BAD_IPV4;
            } else if (router_mac.apply().hit) {
                if (hdr.ipv4.ttl <= 1) {
                    meta.drop_reason = DROP_TTL;
                } else {
                    hdr.ipv4.ttl = hdr.ipv4.ttl - 1;
                    route.apply();
                }
            }
        } else {
            meta.drop_reason = DROP_NOT_IPV4;
        }
    }
}

#endif
