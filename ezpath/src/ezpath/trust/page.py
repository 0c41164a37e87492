"""The table of docs/TRUST.md: what each role may say, write and hear. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ezpath.trust.roles import API, DOES, INBOX, ROLES, SCOPED, Durables, User, permissions

BEGIN, END = "<!-- made by tools/trust-doc -->\n", "<!-- end -->\n"
_OWN = f"{INBOX}.OWN"


def in_step(page: str) -> str:
    """The page with its table as it should be. Raises ValueError where it has no place for one."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return before + BEGIN + "\n".join(_table()) + "\n" + END + after


def _table() -> Iterator[str]:
    yield "| role | does | publishes | writes in KV | hears and answers, on core NATS | takes from the stream |"
    yield "|---|---|---|---|---|---|"
    for role in ROLES:
        word = SCOPED.get(role)
        user = User(role, (f"<{word}>",) if word else ())
        may = permissions(user, _OWN, Durables((), ()))
        published = [each for each in may.publish if each.startswith("ezpath.")]
        written = [each.removeprefix("$KV.") for each in may.publish if each.startswith("$KV.")]
        heard = [each for each in may.subscribe if not each.startswith(_OWN)]
        yield (
            f"| `{role}` | {DOES[role]} | "
            + " | ".join(map(_cell, (published, written, heard, _taken(may.publish))))
            + " |"
        )


def _taken(subjects: Iterable[str]) -> Iterator[str]:
    """The filters of the consumers that it may make in the stream of events."""
    for each in subjects:
        if each.startswith(f"{API}.CONSUMER.CREATE.EZPATH.") and each.endswith(".*"):
            yield "ezpath.>"
        elif each.startswith(f"{API}.CONSUMER.CREATE.EZPATH."):
            yield ".".join(each.split(".")[6:])


def _cell(subjects: Iterable[str]) -> str:
    return " ".join(f"`{each}`" for each in subjects) or "nothing"
