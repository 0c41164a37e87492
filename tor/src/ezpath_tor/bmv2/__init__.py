"""Reading what ``p4c-bm2-ss`` writes, and refusing by name what lies outside the supported subset.

What is in the subset and what is not is in ``docs/P4-SUBSET.md``.
"""

from ezpath_tor.bmv2.read import read_program

__all__ = ["read_program"]
