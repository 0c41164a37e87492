"""Who tells of endpoints while services run.

A source is a class with two names: ``Settings``, what may stand under it in the inventory file, and ``watch``, which
tells all endpoints it knows of now, and again whenever that changes. Kinds of sources are found as entry points of the
group ``ezpath.sources``, so that a package of yours can bring one; docs/INVENTORY.md shows one in 30 lines.

    source.py       the interface
    kinds.py        kinds by name, and what is wrong with a file's sources
    docker.py       a Docker host: labels, events        docker_labels.py     container to endpoint, pure
    kubernetes.py   a cluster: list and watch of pods    kubernetes_pods.py   pod to endpoint, pure
"""

from ezpath.inventory.sources.kinds import Sources, cannot_open, check_sources, open_sources
from ezpath.inventory.sources.source import Found, Source, SourceAway

__all__ = ["Found", "Source", "SourceAway", "Sources", "cannot_open", "check_sources", "open_sources"]
