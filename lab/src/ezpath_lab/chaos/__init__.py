"""``make chaos``: the lab under numbered packets and moving tunnels while everything that can break is broken.

``plan`` (what breaks when, from a seed), ``ledger`` (whose packet is missing, and whose fault it is), ``needs`` and
``readings`` (what ought to be installed, and what is) are pure; the rest does it. docs/CHAOS.md is the guide.
"""
