"""What EZPath's services share: events, bus, saga, inventory, OVS, settings and the command line."""
