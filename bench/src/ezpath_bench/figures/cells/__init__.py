"""Hosts that are no guests: (a) namespaces of this kernel, and (c) machines of their own, reached over SSH."""
