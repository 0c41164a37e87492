// SPDX-License-Identifier: Apache-2.0
// Every size of the program. SRAM is what EZPath spends; this is its bill.
#ifndef EZPATH_SIZES_P4
#define EZPATH_SIZES_P4

const int ROUTE_ENTRIES         = 4096;   // IPv4 prefixes of the underlay
const int ROUTER_MAC_ENTRIES    = 64;     // MAC addresses this ToR routes for
const int ARP_ENTRIES           = 256;    // addresses this ToR answers ARP for
const int LOCAL_VTEP_ENTRIES    = 16;     // this ToR's own tunnel end points
const int TUNNEL_SOURCE_ENTRIES = 4096;   // (port, peer VTEP) that may send to it
const int TENANT_TAG_ENTRIES    = 8192;   // (port, VLAN id) -> tenant
const int ENDPOINT_ENTRIES      = 65536;  // (VNI, inner MAC) -> where it is

// The flow monitor: two stages of cells, 256 bits each.
#define MONITOR_STAGE_BITS 15
const bit<32> MONITOR_STAGE_CELLS = 32w1 << MONITOR_STAGE_BITS;
// A cell whose flow was silent this long may be taken over, in microseconds.
const bit<48> MONITOR_IDLE_US = 48w10000000;

#endif
