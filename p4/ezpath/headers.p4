// SPDX-License-Identifier: Apache-2.0
// What is on the wire, and the metadata that travels with a packet.
#ifndef EZPATH_HEADERS_P4
#define EZPATH_HEADERS_P4

typedef bit<48> mac_t;
typedef bit<32> ipv4_t;
typedef bit<24> vni_t;
typedef bit<12> vlan_id_t;
typedef bit<9>  port_t;

const bit<16> ETHERTYPE_IPV4 = 0x0800;
const bit<16> ETHERTYPE_ARP  = 0x0806;
const bit<16> ETHERTYPE_VLAN = 0x8100;
const bit<16> ETHERTYPE_IPV6 = 0x86dd;
const bit<8>  PROTO_TCP      = 6;
const bit<8>  PROTO_UDP      = 17;
const bit<16> UDP_PORT_VXLAN = 4789;   // RFC 7348
const bit<8>  VXLAN_FLAG_VNI = 0x08;   // RFC 7348, section 5: the I flag
const bit<16> ARP_ETHERNET   = 1;      // RFC 826: hardware type
const bit<16> ARP_REQUEST    = 1;
const bit<16> ARP_REPLY      = 2;

const bit<3>  IPV4_DONT      = 2;      // flags: do not fragment
const bit<3>  IPV4_MORE      = 1;      // flags: more fragments follow

// Outer Ethernet + IPv4 + UDP + VXLAN: what a tunnel adds to a frame.
const bit<32> ETHERNET_BYTES = 14;
const bit<16> IPV4_BYTES     = 20;
const bit<16> UDP_BYTES      = 8;
const bit<16> VXLAN_BYTES    = 8;
const bit<16> VLAN_BYTES     = 4;
const bit<32> TUNNEL_BYTES   = 50;

header ethernet_t {
    mac_t   dst;
    mac_t   src;
    bit<16> ether_type;
}

header vlan_t {
    bit<3>    pcp;
    bit<1>    dei;
    vlan_id_t vid;
    bit<16>   ether_type;
}

header arp_t {
    bit<16> htype;
    bit<16> ptype;
    bit<8>  hlen;
    bit<8>  plen;
    bit<16> op;
    mac_t   sender_mac;
    ipv4_t  sender_ip;
    mac_t   target_mac;
    ipv4_t  target_ip;
}

header ipv4_h {
    bit<4>  version;
    bit<4>  ihl;
    bit<8>  tos;
    bit<16> total_len;
    bit<16> id;
    bit<3>  flags;
    bit<13> frag_offset;
    bit<8>  ttl;
    bit<8>  protocol;
    bit<16> checksum;
    ipv4_t  src;
    ipv4_t  dst;
}

header ipv6_t {
    bit<4>   version;
    bit<8>   traffic_class;
    bit<20>  flow_label;
    bit<16>  payload_len;
    bit<8>   next_header;
    bit<8>   hop_limit;
    bit<128> src;
    bit<128> dst;
}

header udp_t {
    bit<16> sport;
    bit<16> dport;
    bit<16> length;
    bit<16> checksum;
}

header vxlan_t {
    bit<8>  flags;
    bit<24> reserved1;
    vni_t   vni;
    bit<8>  reserved2;
}

// The first four bytes of TCP and UDP alike.
header ports_t {
    bit<16> sport;
    bit<16> dport;
}

struct headers_t {
    ethernet_t ethernet;        // outermost, always there
    vlan_t     vlan;            // names the tenant, between host and ToR
    arp_t      arp;
    ipv4_h     ipv4;            // underlay
    udp_t      udp;
    vxlan_t    vxlan;
    ethernet_t inner_ethernet;  // behind VXLAN
    ipv4_h     inner_ipv4;      // behind VXLAN or behind the tag
    ipv6_t     inner_ipv6;      // likewise
    ports_t    inner_ports;
}

// Why a frame was dropped: indexes of the counter EzIngress.drops.
const bit<8> DROP_NONE             = 0;
const bit<8> DROP_UNKNOWN_TAG      = 1;  // (port, VLAN id) names no tenant
const bit<8> DROP_UNKNOWN_DST      = 2;  // tagged, and (VNI, MAC) is not here
const bit<8> DROP_TUNNEL_SOURCE    = 3;  // VXLAN to a ToR, from whom it is not allowed
const bit<8> DROP_UNKNOWN_ENDPOINT = 4;  // VXLAN for a (VNI, MAC) not in this rack
const bit<8> DROP_BAD_VXLAN        = 5;  // to our VTEP, but no whole VXLAN with a VNI
const bit<8> DROP_TTL              = 6;
const bit<8> DROP_NO_ROUTE         = 7;
const bit<8> DROP_NOT_FOR_ROUTER   = 8;  // addressed to somebody else's MAC
const bit<8> DROP_ARP              = 9;  // ARP that is no request for an address of ours
const bit<8> DROP_NOT_IPV4         = 10; // neither IPv4 nor ARP, and untagged
const bit<8> DROP_PARSER           = 11; // cut off inside a header that a router reads
const bit<8> DROP_BAD_IPV4         = 12; // checksum, version or header length wrong

struct metadata_t {
    vni_t   vni;
    bit<8>  drop_reason;
    bit<1>  monitored;     // (vni, flow_src, flow_dst) name a tenant's flow
    bit<1>  delivered;     // egress port chosen: nothing left to route
    bit<1>  encapsulated;  // this ToR made the outer header: do not age its TTL
    bit<1>  from_fabric;   // came out of a tunnel: must be delivered in this rack
    mac_t   flow_src;
    mac_t   flow_dst;
    bit<32> flow_bytes;    // of the inner frame, without tag and tunnel
    vlan_id_t out_vid;     // the tag towards the host
    ipv4_t  tunnel_src;
    ipv4_t  tunnel_dst;
    bit<8>  tunnel_tos;
    bit<16> entropy;       // outer UDP source port
    ipv4_t  inner_src;     // what the entropy is made of; 0 where there is none
    ipv4_t  inner_dst;
    bit<8>  inner_protocol;
    bit<16> inner_sport;
    bit<16> inner_dport;
}

#endif
