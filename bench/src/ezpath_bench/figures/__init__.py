"""``ezpath-bench figures``: the paper's experiments and ours, measured side by side, in one report."""
