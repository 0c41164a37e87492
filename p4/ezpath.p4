// SPDX-License-Identifier: Apache-2.0
//
// EZPath: a top-of-rack switch that does the VXLAN for chosen tenants' flows.
//
// Read the parts in this order; each fits a screen or two:
//   sizes.p4     every table and register size, in one place
//   headers.p4   what is on the wire, and the metadata that travels with a packet
//   parser.p4    which bytes become which headers, and how they are put back
//   tunnel.p4    VLAN tag <-> VNI, VXLAN encapsulation and decapsulation
//   underlay.p4  plain IPv4 routing and ARP: what a ToR does without EZPath
//   monitor.p4   per-flow packet and byte counters with their keys beside them
//
// docs/ARCHITECTURE.md, "The life of a packet", follows a frame through it.

#include <core.p4>
#include <v1model.p4>

#include "ezpath/sizes.p4"
#include "ezpath/headers.p4"
#include "ezpath/parser.p4"
#include "ezpath/tunnel.p4"
#include "ezpath/underlay.p4"
#include "ezpath/monitor.p4"

control EzIngress(inout headers_t hdr, inout metadata_t meta,
                  inout standard_metadata_t std) {
    // One cell for each drop_* constant of headers.p4. A growing one is an alarm.
    counter(DROP_REASONS, CounterType.packets_and_bytes) drops;

    Sanity() sanity;
    Tunnel() tunnel;
    Underlay() underlay;
    Monitor() monitor;

    apply {
        sanity.apply(hdr, meta, std);
        if (meta.drop_reason == DROP_NONE) {
            tunnel.apply(hdr, meta, std);
        }
        if (meta.drop_reason == DROP_NONE && meta.delivered == 0) {
            underlay.apply(hdr, meta, std);
        }
        if (meta.drop_reason == DROP_NONE) {
            // Every frame that is passed on and whose tenant is known counts,
            // overlay and offloaded alike.
            if (meta.monitored == 1) {
                monitor.apply(meta, std);
            }
        } else {
            drops.count((bit<32>) meta.drop_reason);
            mark_to_drop(std);
        }
    }
}

control EzEgress(inout headers_t hdr, inout metadata_t meta,
                 inout standard_metadata_t std) {
    apply { }
}

V1Switch(EzParser(), EzVerifyChecksum(), EzIngress(), EzEgress(),
         EzComputeChecksum(), EzDeparser()) main;
