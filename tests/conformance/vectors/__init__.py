"""All conformance vectors."""

from __future__ import annotations

from conformance.vector import Vector
from conformance.vectors import drops, runts, tunnel, underlay

VECTORS: tuple[Vector, ...] = (*underlay.VECTORS, *tunnel.VECTORS, *drops.VECTORS, *runts.VECTORS)
