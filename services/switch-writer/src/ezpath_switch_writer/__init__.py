"""The switch-writer: commands to P4Runtime entries, read back, confirmed. The one primary of each switch."""
