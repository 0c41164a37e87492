// SPDX-License-Identifier: Apache-2.0
// VLAN tag <-> VNI, VXLAN encapsulation and decapsulation (RFC 7348).
#ifndef EZPATH_TUNNEL_P4
#define EZPATH_TUNNEL_P4

control Tunnel(inout headers_t hdr, inout metadata_t meta,
               inout standard_metadata_t std) {

    // ---- who is the tenant? ------------------------------------------------

    action set_tenant(vni_t vni) {
        meta.vni = vni;
    }
    action unknown_tag() {
        meta.drop_reason = DROP_UNKNOWN_TAG;
    }
    // VLAN ids belong to a port, so 4094 limits the tenants of one host, not
    // of the network; and a host cannot name a tenant that it was not given.
    table tenant_tag {
        key = {
            std.ingress_port: exact @name("ingress_port");
            hdr.vlan.vid:     exact @name("vid");
        }
        actions = { set_tenant; unknown_tag; }
        default_action = unknown_tag();
        size = TENANT_TAG_ENTRIES;
    }

    // To whose tunnel end point is it addressed? Peers' are listed beside this
    // ToR's own, for the peer cannot tell this ToR's tunnels from a frame that
    // a host of this rack forged in its name.
    action is_local_vtep() { }
    action is_peer_vtep() { }
    action not_local_vtep() { }
    table local_vtep {
        key = { hdr.ipv4.dst: exact @name("vtep"); }
        actions = { is_local_vtep; is_peer_vtep; not_local_vtep; }
        default_action = not_local_vtep();
        size = LOCAL_VTEP_ENTRIES;
    }

    action allow_source() { }
    action deny_source() {
        meta.drop_reason = DROP_TUNNEL_SOURCE;
    }
    // The port is in the key: a host that writes a peer ToR's address into a
    // frame of its own is still a host.
    table tunnel_source {
        key = {
            std.ingress_port: exact @name("ingress_port");
            hdr.ipv4.src:     exact @name("vtep");
        }
        actions = { allow_source; deny_source; }
        default_action = deny_source();
        size = TUNNEL_SOURCE_ENTRIES;
    }

    // ---- where is the destination? -----------------------------------------

    // In this rack: hand the bare frame to the host's port, tagged as that
    // port knows the tenant.
    action to_port(port_t port, vlan_id_t vid) {
        std.egress_spec = port;
        meta.delivered = 1;
        meta.out_vid = vid;
    }
    // In another rack: wrap the frame; the underlay routes it from here.
    action to_tunnel(ipv4_t local_ip, ipv4_t vtep) {
        meta.tunnel_src = local_ip;
        meta.tunnel_dst = vtep;
        meta.encapsulated = 1;
    }
    action unknown_endpoint() {
        meta.drop_reason = DROP_UNKNOWN_DST;
    }
    table endpoint {
        key = {
            meta.vni:      exact @name("vni");
            meta.flow_dst: exact @name("mac");
        }
        actions = { to_port; to_tunnel; unknown_endpoint; }
        default_action = unknown_endpoint();
        size = ENDPOINT_ENTRIES;
    }

    // ---- the two directions ------------------------------------------------

    // RFC 7348, section 5: the source port carries the inner flow, so that
    // the fabric spreads flows and keeps each one's order. 49152-65535.
    action compute_entropy() {
        bit<16> h;
        hash(h, HashAlgorithm.crc16, 16w0,
             { meta.flow_src, meta.flow_dst, meta.inner_src, meta.inner_dst,
               meta.inner_protocol, meta.inner_sport, meta.inner_dport },
             32w16384);
        meta.entropy = 16w49152 + h;
    }

    action encapsulate() {
        bit<16> frame_bytes = (bit<16>) meta.flow_bytes;
        hdr.inner_ethernet.setValid();
        hdr.inner_ethernet.dst = hdr.ethernet.dst;
        hdr.inner_ethernet.src = hdr.ethernet.src;
        hdr.inner_ethernet.ether_type = hdr.vlan.ether_type;
        hdr.vlan.setInvalid();

        hdr.ethernet.ether_type = ETHERTYPE_IPV4;

        hdr.ipv4.setValid();
        hdr.ipv4.version = 4;
        hdr.ipv4.ihl = 5;
        hdr.ipv4.tos = meta.tunnel_tos;
        hdr.ipv4.total_len = frame_bytes + IPV4_BYTES + UDP_BYTES + VXLAN_BYTES;
        hdr.ipv4.id = 0;
        hdr.ipv4.flags = IPV4_DONT;
        hdr.ipv4.frag_offset = 0;
        hdr.ipv4.ttl = 64;
        hdr.ipv4.protocol = PROTO_UDP;
        hdr.ipv4.checksum = 0;       // EzComputeChecksum fills it in
        hdr.ipv4.src = meta.tunnel_src;
        hdr.ipv4.dst = meta.tunnel_dst;

        hdr.udp.setValid();
        hdr.udp.sport = meta.entropy;
        hdr.udp.dport = UDP_PORT_VXLAN;
        hdr.udp.length = frame_bytes + UDP_BYTES + VXLAN_BYTES;
        hdr.udp.checksum = 0;        // RFC 7348: SHOULD be zero

        hdr.vxlan.setValid();
        hdr.vxlan.flags = VXLAN_FLAG_VNI;
        hdr.vxlan.reserved1 = 0;
        hdr.vxlan.vni = meta.vni;
        hdr.vxlan.reserved2 = 0;
    }

    // Out of the tunnel: Ethernet becomes the inner one, tagged below.
    action decapsulate() {
        hdr.ethernet.dst = meta.flow_dst;
        hdr.ethernet.src = meta.flow_src;
        hdr.ethernet.ether_type = ETHERTYPE_VLAN;
        hdr.vlan.setValid();
        hdr.vlan.ether_type = hdr.inner_ethernet.ether_type;
        hdr.ipv4.setInvalid();
        hdr.udp.setInvalid();
        hdr.vxlan.setInvalid();
        hdr.inner_ethernet.setInvalid();
    }

    // Priority is DSCP's business, which crosses the fabric with the frame. The
    // tag is made between a host and its ToR: its priority bits are ignored on
    // the way in and zero on the way out. A tag of the container's own is
    // payload, and keeps its bits.
    action retag() {
        hdr.vlan.pcp = 0;
        hdr.vlan.dei = 0;
        hdr.vlan.vid = meta.out_vid;
    }

    // Headers that are not there read as zero.
    action read_inner_ipv4() {
        meta.inner_src = hdr.inner_ipv4.src;
        meta.inner_dst = hdr.inner_ipv4.dst;
        meta.inner_protocol = hdr.inner_ipv4.protocol;
        // RFC 6040, compatibility mode: DSCP is copied, ECN is not, for the
        // decapsulator does not merge a congestion mark.
        meta.tunnel_tos = hdr.inner_ipv4.tos & 0xfc;
    }
    // The halves of the addresses folded into each other until 32 bits are left.
    action read_inner_ipv6() {
        bit<64> src = hdr.inner_ipv6.src[127:64] ^ hdr.inner_ipv6.src[63:0];
        bit<64> dst = hdr.inner_ipv6.dst[127:64] ^ hdr.inner_ipv6.dst[63:0];
        meta.inner_src = src[63:32] ^ src[31:0];
        meta.inner_dst = dst[63:32] ^ dst[31:0];
        meta.inner_protocol = hdr.inner_ipv6.next_header;
        meta.tunnel_tos = hdr.inner_ipv6.traffic_class & 0xfc;
    }
    action read_inner_ports() {
        meta.inner_sport = hdr.inner_ports.sport;
        meta.inner_dport = hdr.inner_ports.dport;
    }

    apply {
        bit<1> lookup = 0;
        bit<1> to_vtep = 0;

        if (hdr.vlan.isValid()) {
            // From a host that was told to tag this tenant's frames.
            meta.flow_src = hdr.ethernet.src;
            meta.flow_dst = hdr.ethernet.dst;
            meta.flow_bytes = std.packet_length - (bit<32>) VLAN_BYTES;
            if (tenant_tag.apply().hit) {
                meta.monitored = 1;
                lookup = 1;
            }
        } else if (hdr.ipv4.isValid()) {
            if (hdr.inner_ethernet.isValid()) {
                // VXLAN, ours or the hosts': either way a tenant's flow.
                meta.vni = hdr.vxlan.vni;
                meta.flow_src = hdr.inner_ethernet.src;
                meta.flow_dst = hdr.inner_ethernet.dst;
                meta.flow_bytes = std.packet_length - TUNNEL_BYTES;
                meta.monitored = 1;
            }
            switch (local_vtep.apply().action_run) {
                is_local_vtep: {
                    to_vtep = 1;
                    meta.from_fabric = 1;
                }
                is_peer_vtep: {
                    to_vtep = 1;
                }
            }
            if (to_vtep == 1) {
                if (meta.from_fabric == 1 && !hdr.inner_ethernet.isValid()) {
                    meta.drop_reason = DROP_BAD_VXLAN;
                } else if (tunnel_source.apply().hit) {
                    lookup = meta.from_fabric;
                }
            }
        }

        if (lookup == 1) {
            endpoint.apply();
            if (meta.from_fabric == 1 && meta.delivered == 0) {
                // Unknown here, or to be sent into a tunnel again: a loop.
                meta.drop_reason = DROP_UNKNOWN_ENDPOINT;
            } else if (meta.delivered == 1) {
                if (meta.from_fabric == 1) {
                    decapsulate();
                }
                retag();
            } else if (meta.encapsulated == 1) {
                if (hdr.inner_ipv4.isValid()) {
                    read_inner_ipv4();
                } else if (hdr.inner_ipv6.isValid()) {
                    read_inner_ipv6();
                }
                if (hdr.inner_ports.isValid()) {
                    read_inner_ports();
                }
                compute_entropy();
                encapsulate();
            }
        }
    }
}

#endif
