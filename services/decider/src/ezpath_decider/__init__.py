"""The decider: samples in, offload and revert decisions out; it also owns the saga's state."""
