"""Two racks in network namespaces, and EZPath's main job shown on them. The command is ``ezpath-lab``."""
