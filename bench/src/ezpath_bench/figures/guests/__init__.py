"""Hosts with a kernel of their own: User-Mode Linux guests that have Open vSwitch's kernel datapath."""
