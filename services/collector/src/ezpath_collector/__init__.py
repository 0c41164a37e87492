"""The collector: switch registers to flow samples. Reads only."""
