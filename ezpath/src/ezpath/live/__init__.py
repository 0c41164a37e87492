"""The inventory while services run: one process publishes the endpoints, all others follow.

The decider that leads the first shard watches the inventory file and the sources in it, and keeps the bucket
``ezpath_inventory`` as they are: one document a host. Whoever needs endpoints follows that bucket, and so sees the same
as everybody else. Switches and hosts are those of each service's own file, as it was at the service's start.

    records.py     a host's document, and all documents as one; pure
    file.py        the inventory file, read again when it changes
    listening.py   sources: who is heard, who is away, what each told last
    publisher.py   from file and sources to the bucket
    follower.py    from the bucket to an inventory
"""

from ezpath.live.follower import endpoints_of, follow, follow_host, published
from ezpath.live.publisher import Publisher

__all__ = ["Publisher", "endpoints_of", "follow", "follow_host", "published"]
