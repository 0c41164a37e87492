// SPDX-License-Identifier: Apache-2.0
//
// The rest of a v1model program, for those beside this file. Each has one thing in it that the software ToR refuses,
// and the words "// refused" behind the P4 line that the refusal names. A program says what differs from the skeleton:
//
//   HEADERS    more headers of headers_t          TYPES     declarations in front of them
//   METADATA   more fields of metadata_t          PARSER    more states; `more` is reached for EtherType 0x1234

#include <core.p4>
#include <v1model.p4>

#ifndef TYPES
#define TYPES
#endif
#ifndef HEADERS
#define HEADERS
#endif
#ifndef METADATA
#define METADATA
#endif
#ifndef PARSER
#define PARSER state more { transition accept; }
#endif

header ethernet_t { bit<48> dst; bit<48> src; bit<16> ether_type; }
header numbers_t  { bit<8> a; bit<8> b; bit<16> c; bit<32> d; bit<128> w; }

TYPES

struct headers_t  { ethernet_t ethernet; numbers_t numbers; HEADERS }
struct metadata_t { bit<8> x; METADATA }

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    PARSER
    state start {
        packet.extract(hdr.ethernet);
        transition select(hdr.ethernet.ether_type) {
            0x1234: more;
            0x5678: numbers;
            default: accept;
        }
    }
    state numbers {
        packet.extract(hdr.numbers);
        transition accept;
    }
}

control NoChecksum(inout headers_t hdr, inout metadata_t meta) { apply { } }
control NoEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) { apply { } }
control Write(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr.ethernet);
        packet.emit(hdr.numbers);
    }
}
