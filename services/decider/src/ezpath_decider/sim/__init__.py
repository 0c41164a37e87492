"""The simulator: the decider's own code over synthetic or recorded traffic, without a network."""
