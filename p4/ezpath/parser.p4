// SPDX-License-Identifier: Apache-2.0
// Which bytes become which headers, and how they are put back.
#ifndef EZPATH_PARSER_P4
#define EZPATH_PARSER_P4

parser EzParser(packet_in packet, out headers_t hdr, inout metadata_t meta,
                inout standard_metadata_t std) {
    state start {
        packet.extract(hdr.ethernet);
        transition select(hdr.ethernet.ether_type) {
            ETHERTYPE_VLAN: parse_vlan;
            ETHERTYPE_IPV4: parse_ipv4;
            ETHERTYPE_ARP:  parse_arp;
            default:        accept;
        }
    }
    state parse_vlan {
        packet.extract(hdr.vlan);
        transition select(hdr.vlan.ether_type) {
            ETHERTYPE_IPV4: parse_inner_ipv4;
            ETHERTYPE_IPV6: parse_inner_ipv6;
            default:        accept;
        }
    }
    state parse_arp {
        packet.extract(hdr.arp);
        transition accept;
    }
    state parse_ipv4 {
        packet.extract(hdr.ipv4);
        // Options and fragments are routed by what is read so far. That goes for
        // a first fragment too: what it carries is not a whole frame.
        transition select(hdr.ipv4.ihl, hdr.ipv4.flags, hdr.ipv4.frag_offset,
                          hdr.ipv4.protocol) {
            (5, 0 &&& IPV4_MORE, 0, PROTO_UDP): parse_udp;
            default:                            accept;
        }
    }
    state parse_udp {
        packet.extract(hdr.udp);
        transition select(hdr.udp.dport) {
            UDP_PORT_VXLAN: parse_vxlan;
            default:        accept;
        }
    }
    state parse_vxlan {
        packet.extract(hdr.vxlan);
        // RFC 7348: the other flags are ignored on receipt.
        transition select(hdr.vxlan.flags) {
            VXLAN_FLAG_VNI &&& VXLAN_FLAG_VNI: parse_inner_ethernet;
            default:                           accept;
        }
    }
    state parse_inner_ethernet {
        packet.extract(hdr.inner_ethernet);
        transition select(hdr.inner_ethernet.ether_type) {
            ETHERTYPE_IPV4: parse_inner_ipv4;
            ETHERTYPE_IPV6: parse_inner_ipv6;
            default:        accept;
        }
    }
    state parse_inner_ipv4 {
        packet.extract(hdr.inner_ipv4);
        // All fragments of a datagram have to look alike to the entropy, and
        // only the first has ports.
        transition select(hdr.inner_ipv4.ihl, hdr.inner_ipv4.flags,
                          hdr.inner_ipv4.frag_offset, hdr.inner_ipv4.protocol) {
            (5, 0 &&& IPV4_MORE, 0, PROTO_TCP): parse_inner_ports;
            (5, 0 &&& IPV4_MORE, 0, PROTO_UDP): parse_inner_ports;
            default:                            accept;
        }
    }
    state parse_inner_ipv6 {
        packet.extract(hdr.inner_ipv6);
        transition select(hdr.inner_ipv6.next_header) {
            PROTO_TCP: parse_inner_ports;
            PROTO_UDP: parse_inner_ports;
            default:   accept;
        }
    }
    state parse_inner_ports {
        packet.extract(hdr.inner_ports);
        transition accept;
    }
}

// Headers with options are not verified: no list of fields describes them. A
// wrong checksum stays wrong on the way out, and the receiver drops them.
control EzVerifyChecksum(inout headers_t hdr, inout metadata_t meta) {
    apply {
        verify_checksum(hdr.ipv4.isValid() && hdr.ipv4.ihl == 5,
            { hdr.ipv4.version, hdr.ipv4.ihl, hdr.ipv4.tos, hdr.ipv4.total_len,
              hdr.ipv4.id, hdr.ipv4.flags, hdr.ipv4.frag_offset, hdr.ipv4.ttl,
              hdr.ipv4.protocol, hdr.ipv4.src, hdr.ipv4.dst },
            hdr.ipv4.checksum, HashAlgorithm.csum16);
    }
}

// Of headers that this switch made. A routed one's is kept right in underlay.p4.
control EzComputeChecksum(inout headers_t hdr, inout metadata_t meta) {
    apply {
        update_checksum(hdr.ipv4.isValid() && meta.encapsulated == 1,
            { hdr.ipv4.version, hdr.ipv4.ihl, hdr.ipv4.tos, hdr.ipv4.total_len,
              hdr.ipv4.id, hdr.ipv4.flags, hdr.ipv4.frag_offset, hdr.ipv4.ttl,
              hdr.ipv4.protocol, hdr.ipv4.src, hdr.ipv4.dst },
            hdr.ipv4.checksum, HashAlgorithm.csum16);
    }
}

control EzDeparser(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr.ethernet);
        packet.emit(hdr.vlan);
        packet.emit(hdr.arp);
        packet.emit(hdr.ipv4);
        packet.emit(hdr.udp);
        packet.emit(hdr.vxlan);
        packet.emit(hdr.inner_ethernet);
        packet.emit(hdr.inner_ipv4);
        packet.emit(hdr.inner_ipv6);
        packet.emit(hdr.inner_ports);
    }
}

#endif
