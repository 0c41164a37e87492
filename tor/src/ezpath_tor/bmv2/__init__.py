"""Reading what ``p4c-bm2-ss`` writes, and refusing by name what lies outside the supported subset."""

from ezpath_tor.bmv2.read import read_program

__all__ = ["read_program"]
