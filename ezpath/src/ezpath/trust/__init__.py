"""Who may do what: roles and their NATS permissions, keys, certificates, and the files that `ezpath trust` makes."""
