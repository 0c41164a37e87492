"""Who has what: things that one process of several has at a time, and another takes over when that one is gone.

    sharing     members, things and racks to who ought to have what          pure
    leases      what one member makes of the leases it sees                  pure
    keeper      keeps them in KV, and a task running for each thing it has

Deciders share shards so, collectors and writers switches and hosts. A lease is politeness. That whoever was slow to
notice its loss does no harm is the business of a fence, where the harm would be done (docs/decisions/0012, 0034).
"""

from ezpath.leases.keeper import Deposed, Hold, Keeper
from ezpath.leases.leases import (
    COLLECTORS,
    DECIDERS,
    HOST_WRITERS,
    SWITCH_WRITERS,
    Found,
    Leases,
    Member,
    Space,
    Timing,
    Write,
)

__all__ = [
    "COLLECTORS",
    "DECIDERS",
    "HOST_WRITERS",
    "SWITCH_WRITERS",
    "Deposed",
    "Found",
    "Hold",
    "Keeper",
    "Leases",
    "Member",
    "Space",
    "Timing",
    "Write",
]
