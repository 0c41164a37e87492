"""The host-writer: rewrites Open vSwitch rules under its own cookie, confirms them, keeps them as they ought to be.

rules   items and port numbers to rules, and back          pure
plan    in which order the two bridges are changed         pure
book    what ought to be installed, by the newest word     pure
ports   the numbers that rules need, from the database     pure
compare what is there against what ought to be, in words   pure
strays  our rules on bridges where none of ours belongs
host    one host's Open vSwitch, connected
wanted  what KV says ought to be installed
worker  one host: commands, reports, reconciling
main    the process
"""
