"""Malformed P4Runtime requests from a seed: for every method, each wrong in a way that no server may take for right.

What comes out is known to be wrong by how it was made, not by asking a parser: a message cut off in its middle, a good
request with one thing in it changed to what cannot be, a program with a hole.
"""

from malformed.forge import Forge, Request

__all__ = ["Forge", "Request"]
