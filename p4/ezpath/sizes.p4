// SPDX-License-Identifier: Apache-2.0
// Every size of the program. SRAM is what EZPath spends; this is its bill.
#ifndef EZPATH_SIZES_P4
#define EZPATH_SIZES_P4

const int ROUTE_ENTRIES         = 4096;   // IPv4 prefixes of the underlay
const int ROUTER_MAC_ENTRIES    = 64;     // MAC addresses this ToR routes for
const int ARP_ENTRIES           = 256;    // addresses this ToR answers ARP for
const int LOCAL_VTEP_ENTRIES    = 1024;   // tunnel end points: this ToR's own and its peers'
const int TUNNEL_SOURCE_ENTRIES = 4096;   // (port, peer VTEP) that may send to it
const int TENANT_TAG_ENTRIES    = 8192;   // (port, VLAN id) -> tenant
const int ENDPOINT_ENTRIES      = 131072; // (VNI, inner MAC) -> where it is

// Cells of EzIngress.drops, one for each DROP_* of headers.p4 and some to spare.
const bit<32> DROP_REASONS      = 16;

// The flow monitor: four stages of 2^14 cells, 256 bits each.
#define MONITOR_STAGE_BITS 14
const bit<32> MONITOR_STAGE_CELLS = 32w1 << MONITOR_STAGE_BITS;
typedef bit<MONITOR_STAGE_BITS> monitor_index_t;
const bit<32> MONITOR_UNMONITORED = 1;
// A flow's strength is halved every 2^20 microseconds, which is about a second.
#define MONITOR_EPOCH_BITS 20

#endif
