"""The phases of a saga and the order they come in: the heart of EZPath on one screen.

    requested -> switch-receive -> switch-send -> host-receive -> host-send -> active
                      |                |              |              |           |
                      v                v              v              v           v
                  switch-off       switch-off   host-receive-off   host-send-off (drain) ...

Forward, each phase installs something and is left when all its targets have read it back and confirmed. Both ToRs hold
everything before a host is touched, and every receiver is ready before a sender is. The way back is the mirror image,
whether an operator asked for it, the flow went idle, or something failed: a saga enters it at the first phase that
undoes what may have been done, and it never stops half-way (invariants I1, I2 and I5 of docs/ARCHITECTURE.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Phase(StrEnum):
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


NEXT: Mapping[Phase, Phase] = {
    Phase.REQUESTED: Phase.SWITCH_RECEIVE,
    Phase.SWITCH_RECEIVE: Phase.SWITCH_SEND,
    Phase.SWITCH_SEND: Phase.HOST_RECEIVE,
    Phase.HOST_RECEIVE: Phase.HOST_SEND,
    Phase.HOST_SEND: Phase.ACTIVE,
    Phase.HOST_SEND_OFF: Phase.DRAIN,
    Phase.DRAIN: Phase.HOST_RECEIVE_OFF,
    Phase.HOST_RECEIVE_OFF: Phase.SWITCH_OFF,
    # SWITCH_OFF ends in REVERTED or ROLLED_BACK: the saga's goal says which.
}
"""Where a phase leads once all its targets have confirmed it."""

UNDO: Mapping[Phase, Phase] = {
    Phase.SWITCH_RECEIVE: Phase.SWITCH_OFF,
    Phase.SWITCH_SEND: Phase.SWITCH_OFF,
    Phase.HOST_RECEIVE: Phase.HOST_RECEIVE_OFF,
    Phase.HOST_SEND: Phase.HOST_SEND_OFF,
    Phase.ACTIVE: Phase.HOST_SEND_OFF,
}
"""Where the way back begins. A phase that did not finish may have done anything: it is undone as if it had."""

INSTALLS: tuple[Phase, ...] = (Phase.SWITCH_RECEIVE, Phase.SWITCH_SEND, Phase.HOST_RECEIVE, Phase.HOST_SEND)
"""The phases that put items on targets, in order."""

REMOVES: Mapping[Phase, tuple[Phase, ...]] = {
    Phase.HOST_SEND_OFF: (Phase.HOST_SEND,),
    Phase.HOST_RECEIVE_OFF: (Phase.HOST_RECEIVE,),
    Phase.SWITCH_OFF: (Phase.SWITCH_SEND, Phase.SWITCH_RECEIVE),
}
"""Whose items each phase of the way back takes off."""

HOLDS: Mapping[Phase, tuple[Phase, ...]] = {
    Phase.REQUESTED: (),
    Phase.SWITCH_RECEIVE: INSTALLS[:1],
    Phase.SWITCH_SEND: INSTALLS[:2],
    Phase.HOST_RECEIVE: INSTALLS[:3],
    Phase.HOST_SEND: INSTALLS,
    Phase.ACTIVE: INSTALLS,
    # On the way back an item is let go when its removal begins, not before: until then others may not
    # count on it being gone, and nobody may take off what it stands on.
    Phase.HOST_SEND_OFF: INSTALLS[:3],
    Phase.DRAIN: INSTALLS[:3],
    Phase.HOST_RECEIVE_OFF: INSTALLS[:2],
    Phase.SWITCH_OFF: (),
    Phase.REVERTED: (),
    Phase.ROLLED_BACK: (),
}
"""Whose items a saga needs to stay where they are, phase by phase."""

FORWARD = frozenset({Phase.REQUESTED, *INSTALLS})
BACKWARD = frozenset({Phase.HOST_SEND_OFF, Phase.DRAIN, Phase.HOST_RECEIVE_OFF, Phase.SWITCH_OFF})
ENDED = frozenset({Phase.REVERTED, Phase.ROLLED_BACK})
