"""``ezpath-bench saga``: how many tunnels EZPath moves a second, how long one takes, and who waits for whom."""
