"""The saga on one screen: its phases, what can happen to it, and the one table that says what follows.

Whatever is not in the table changes nothing, by construction. docs/SAGA.md has it as a diagram, made from here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum


class Phase(StrEnum):
    # That of the string that it is: the enumeration's own is a call in Python, and every look into a table needs one.
    __hash__ = str.__hash__

    REQUESTED = "requested"
    SWITCH_RECEIVE = "switch-receive"
    SWITCH_SEND = "switch-send"
    HOST_RECEIVE = "host-receive"
    HOST_SEND = "host-send"
    ACTIVE = "active"
    HOST_SEND_OFF = "host-send-off"
    DRAIN = "drain"
    HOST_RECEIVE_OFF = "host-receive-off"
    SWITCH_OFF = "switch-off"
    REVERTED = "reverted"
    ROLLED_BACK = "rolled-back"


class On(StrEnum):
    """What can happen to a saga."""

    __hash__ = str.__hash__

    CROWDED = "crowded"
    """An offload was asked for, and as many are on their way as may be."""
    GRANTED = "granted"
    """An offload was asked for, there is room for it, and there are tags."""
    REFUSED = "refused"
    """An offload was asked for, and cannot be."""
    CONFIRMED = "confirmed"
    """All who were asked have done it, read it back and said so; or there was nobody to ask."""
    UNDONE = "undone"
    """The same, in the last phase of a saga that failed."""
    FAILED = "failed"
    """One of them could not."""
    OVERTAKEN = "overtaken"
    """A newer command on something shared was faster: nothing is wrong."""
    DEADLINE = "deadline"
    """The phase's time is over."""
    REVERT = "revert"
    """Somebody wants the pair back on the hosts."""
    RESUMED = "resumed"
    """A decider starts, and the record says that the saga was here."""


class Do(Enum):
    """What a saga does about it, once it is in its next phase."""

    ASK = "send the phase's commands to all its targets, under a new generation; set the deadline"
    ASK_AGAIN = "the same to those who have not confirmed, with a longer pause each time"
    DRAIN = "let frames under way arrive: set the deadline, ask nobody"
    GIVE_UP = "the saga is to end rolled back, for this reason"
    TURN_BACK = "the saga is to end reverted, for this reason"
    REST = "the tags rest: another tenant gets them only after the quarantine"
    SAY = "say who is waited for, and why"
    TELL = "tell the outcome"


@dataclass(frozen=True, slots=True)
class Move:
    """What an event does in a phase, and the phase that the saga is in from then on."""

    do: tuple[Do, ...]
    then: Phase


P = Phase
INSTALLS = (P.SWITCH_RECEIVE, P.SWITCH_SEND, P.HOST_RECEIVE, P.HOST_SEND)
"""The phases that put something on targets, in order."""
REMOVES = (P.HOST_SEND_OFF, P.HOST_RECEIVE_OFF, P.SWITCH_OFF)
"""The phases that take it off."""
AT_REST = (P.ACTIVE, P.REVERTED, P.ROLLED_BACK)

_ROWS: tuple[tuple[Phase | tuple[Phase, ...], tuple[On, ...], tuple[Do, ...], Phase | None], ...] = (
    # in                  on                           does                         and is then in (None: where it was)
    (P.REQUESTED,         (On.CROWDED,),               (Do.SAY,),                   None),
    (P.REQUESTED,         (On.GRANTED,),               (Do.ASK,),                   P.SWITCH_RECEIVE),
    (P.REQUESTED,         (On.REFUSED,),               (Do.GIVE_UP, Do.TELL),       P.ROLLED_BACK),
    (P.REQUESTED,         (On.REVERT,),                (Do.TURN_BACK, Do.TELL),     P.REVERTED),
    # The way there. Both ToRs hold everything before a host is touched; every receiver is ready before a sender is.
    (P.SWITCH_RECEIVE,    (On.CONFIRMED,),             (Do.ASK,),                   P.SWITCH_SEND),
    (P.SWITCH_SEND,       (On.CONFIRMED,),             (Do.ASK,),                   P.HOST_RECEIVE),
    (P.HOST_RECEIVE,      (On.CONFIRMED,),             (Do.ASK,),                   P.HOST_SEND),
    (P.HOST_SEND,         (On.CONFIRMED,),             (Do.TELL,),                  P.ACTIVE),
    # It leads back from everywhere. A phase that did not finish may have done anything: it is undone as if it had.
    (P.SWITCH_RECEIVE,    (On.FAILED, On.DEADLINE),    (Do.GIVE_UP, Do.ASK),        P.SWITCH_OFF),
    (P.SWITCH_SEND,       (On.FAILED, On.DEADLINE),    (Do.GIVE_UP, Do.ASK),        P.SWITCH_OFF),
    (P.HOST_RECEIVE,      (On.FAILED, On.DEADLINE),    (Do.GIVE_UP, Do.ASK),        P.HOST_RECEIVE_OFF),
    (P.HOST_SEND,         (On.FAILED, On.DEADLINE),    (Do.GIVE_UP, Do.ASK),        P.HOST_SEND_OFF),
    (P.SWITCH_RECEIVE,    (On.REVERT,),                (Do.TURN_BACK, Do.ASK),      P.SWITCH_OFF),
    (P.SWITCH_SEND,       (On.REVERT,),                (Do.TURN_BACK, Do.ASK),      P.SWITCH_OFF),
    (P.HOST_RECEIVE,      (On.REVERT,),                (Do.TURN_BACK, Do.ASK),      P.HOST_RECEIVE_OFF),
    (P.HOST_SEND,         (On.REVERT,),                (Do.TURN_BACK, Do.ASK),      P.HOST_SEND_OFF),
    (P.ACTIVE,            (On.REVERT,),                (Do.TURN_BACK, Do.ASK),      P.HOST_SEND_OFF),
    # The way back is the mirror image, and has no way back itself: it waits, says for whom, and asks again.
    (P.HOST_SEND_OFF,     (On.CONFIRMED,),             (Do.DRAIN,),                 P.DRAIN),
    (P.DRAIN,             (On.DEADLINE,),              (Do.ASK,),                   P.HOST_RECEIVE_OFF),
    (P.HOST_RECEIVE_OFF,  (On.CONFIRMED,),             (Do.ASK,),                   P.SWITCH_OFF),
    (P.SWITCH_OFF,        (On.CONFIRMED,),             (Do.REST, Do.TELL),          P.REVERTED),
    (P.SWITCH_OFF,        (On.UNDONE,),                (Do.REST, Do.TELL),          P.ROLLED_BACK),
    (REMOVES,             (On.FAILED,),                (Do.SAY,),                   None),
    (REMOVES,             (On.DEADLINE,),              (Do.ASK_AGAIN,),             None),
    # Wherever it is: another saga's newer command on a shared item, and a decider that starts.
    (INSTALLS + REMOVES,  (On.OVERTAKEN,),             (Do.ASK_AGAIN,),             None),
    (INSTALLS + REMOVES,  (On.RESUMED,),               (Do.ASK,),                   None),
    (P.DRAIN,             (On.RESUMED,),               (Do.DRAIN,),                 None),
    (AT_REST,             (On.RESUMED,),               (Do.TELL,),                  None),
)  # fmt: skip


def _moves() -> Iterator[tuple[tuple[Phase, On], Move]]:
    for phases, events, do, then in _ROWS:
        for phase in (phases,) if isinstance(phases, Phase) else phases:
            for event in events:
                yield (phase, event), Move(do, then or phase)


TABLE: Mapping[tuple[Phase, On], Move] = dict(_moves())

HOLDS: Mapping[Phase, tuple[Phase, ...]] = {
    P.REQUESTED: (),
    P.SWITCH_RECEIVE: INSTALLS[:1],
    P.SWITCH_SEND: INSTALLS[:2],
    P.HOST_RECEIVE: INSTALLS[:3],
    P.HOST_SEND: INSTALLS,
    P.ACTIVE: INSTALLS,
    P.HOST_SEND_OFF: INSTALLS[:3],
    P.DRAIN: INSTALLS[:3],
    P.HOST_RECEIVE_OFF: INSTALLS[:2],
    P.SWITCH_OFF: (),
    P.REVERTED: (),
    P.ROLLED_BACK: (),
}
"""The phases whose items a saga holds, phase by phase: what is to be installed, and nobody may take off.

On the way back an item is let go when its removal begins: what a phase takes off is what it lets go and nobody else
holds. Until it is gone, the items that it stands on are held.
"""

TAKES_OFF: Mapping[Phase, tuple[Phase, ...]] = {
    P.HOST_SEND_OFF: (P.HOST_SEND,),
    P.HOST_RECEIVE_OFF: (P.HOST_RECEIVE,),
    P.SWITCH_OFF: (P.SWITCH_SEND, P.SWITCH_RECEIVE),
}
"""Whose items each phase of the way back removes."""

FORWARD = frozenset({P.REQUESTED, *INSTALLS})
BACKWARD = frozenset({P.DRAIN, *REMOVES})
ENDED = frozenset({P.REVERTED, P.ROLLED_BACK})
