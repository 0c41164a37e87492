"""What can go wrong between a service and NATS, in this project's own words."""

from __future__ import annotations


class BusError(Exception):
    """Something was asked of NATS and did not come about. The message says what, and what to do."""


class Unavailable(BusError):
    """NATS did not answer within the time given."""


class Refused(BusError):
    """NATS does not let this process in, or what it is to show who it is by cannot do that. Waiting would not help."""


class Conflict(BusError):
    """Compare-and-set failed: somebody else wrote this key since its revision was read. Read again, decide again."""

    def __init__(self, bucket: str, key: str, revision: int | None) -> None:
        self.bucket = bucket
        self.key = key
        self.revision = revision
        expected = "not to exist" if revision is None else f"to be at revision {revision}"
        super().__init__(f"{bucket}/{key} was expected {expected} and is not: read it again")
