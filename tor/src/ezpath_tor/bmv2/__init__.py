"""Reading what ``p4c-bm2-ss`` writes, and refusing by name what lies outside the supported subset.

The subset, of v1model:

- headers of fixed length; parser states that extract, verify, assign and look ahead, select with masks, no loops;
- tables with exact keys and at most one lpm key, constant entries, default actions; ``hit``, ``miss``, ``action_run``;
- numbers of any width: all operators up to 64 bits; beyond, everything but sums, products and computed shifts;
- ``setValid``, ``setInvalid``, header assignment, ``mark_to_drop``, ``exit``; egress as well as ingress;
- registers, indirect counters, ``hash`` with crc32, crc16, csum16 and identity, checksums with csum16 over headers.

Not in it: header stacks, unions, varbit, signed fields; ternary, range and optional keys, action profiles, direct
counters and meters, idle timeouts; meters, clone, resubmit, recirculate, digest, multicast, random, ``log_msg``;
checksums over the payload; the queueing fields of ``standard_metadata``.
"""

from ezpath_tor.bmv2.read import read_program

__all__ = ["read_program"]
