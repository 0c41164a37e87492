"""The software ToR: a P4Runtime switch whose data plane is the compiled P4 program as tc eBPF.

Read :mod:`ezpath_tor.plane` first: it is the seam between the P4Runtime server (``server``, ``store``, ``cli``) and
the data plane. Behind the seam, in the order a program takes: ``bmv2`` reads the compiler's JSON, ``codegen`` writes
C (with ``runtime.h``), ``compiler`` runs clang, ``bpf`` loads it, ``tc`` puts it on the ports.
"""
