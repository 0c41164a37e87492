"""`ezpath pin` and `unpin` with a real decider: a word about one pair, beside the policy. Writers are played."""

from __future__ import annotations

import json
import signal

from cli_process import ezpath
from decider_rig import PAIR, Decider, World


async def test_a_pinned_pair_goes_to_the_switches_and_stays_there_until_unpinned(
    decider: Decider, world: World
) -> None:
    decider.start()
    await world.next_snapshot()
    # Given a pair without traffic, when it is pinned (in any order of its ends), then it goes to the switches
    code, out, err = await ezpath("pin", "red.red-3.red-1", "--nats", world.nats, "--reason", "nightly copy")
    assert (code, err) == (0, "") and f"pinned to the switches: {PAIR}" in out
    await world.until(world.outcome("active"))
    # and stays there under another decider too
    decider.stop(signal.SIGKILL)
    decider.start()
    for _ in range(10):
        await world.next_snapshot()
    assert not [event for event in world.said if world.outcome("reverted")(event)]
    _, out, _ = await ezpath("pin", "--list", "--json", "--nats", world.nats)
    (listed,) = map(json.loads, out.splitlines())
    assert (listed["pair"], listed["to"], listed["reason"]) == (PAIR, "switches", "nightly copy")
    # When it is unpinned, then its rate decides again
    assert (await ezpath("unpin", PAIR, "--nats", world.nats))[0] == 0
    await world.until(world.outcome("reverted"))
    code, _, err = await ezpath("unpin", PAIR, "--nats", world.nats)
    assert code == 1 and "is not pinned" in err


async def test_a_pair_pinned_to_the_hosts_never_leaves_them_and_a_name_that_is_wrong_is_refused(
    decider: Decider, world: World
) -> None:
    decider.start()
    await world.next_snapshot()
    assert (await ezpath("pin", PAIR, "--to", "hosts", "--nats", world.nats))[0] == 0
    world.rate_bps = 20e6
    for _ in range(10):
        await world.next_snapshot()
    assert not world.commands
    code, _, err = await ezpath("pin", "red.red-1.red-9", "--nats", world.nats)
    assert code == 1 and "red has no endpoint red-9" in err
    assert (await ezpath("pin", "red", "--nats", world.nats))[0] == 2
