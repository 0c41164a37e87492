"""Figures, each measured side by side in one run with what it is compared to."""
