"""The `ezpath` command: look on, check a configuration, and move a pair by hand."""
