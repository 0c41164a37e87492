"""Tables with ternary fields and direct counters, whose process ends: the next one has all of them, hidden ones too."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ezpath_tor import ternary_map
from ezpath_tor.plane import Key, PlaneError, Priority, Range, TableFull, Ternary
from ezpath_tor.tc import TcPlane
from packet.asked import ACL, ANY, ANY_PORT, ANY_PREFIX, INITIAL, M16, Asked, Query, answer, expected, near, some_key
from packet.calculator import CONFIG, Calculator
from packet.wire import Wires, inside

pytestmark = pytest.mark.root

PORTS = {1: "ezt-mo-1", 2: "ezt-mo-2"}


class Killed(BaseException):
    """Nobody catches it, as nobody catches SIGKILL."""


class Switch(Asked):
    """A switch that process after process goes on with."""

    def __init__(self, wires: Wires) -> None:
        self._wires = wires
        self._calculator = Calculator(wires, TcPlane(PORTS))
        super().__init__(self._calculator)
        with inside(wires.switch):
            self.plane.load(CONFIG.with_name("matches.json").read_bytes())

    def taken_over(self, limits: dict[str, int] | None = None) -> None:
        """The process is another one from now on."""
        self.plane.leave()
        self.plane = self._calculator.plane = TcPlane(PORTS, limits=limits)
        with inside(self._wires.switch):
            assert self.plane.take_over() is not None

    def close(self) -> None:
        with inside(self._wires.switch):
            self.plane.close()

    def held(self) -> set[Key]:
        return {key for key, _ in self.plane.entries("Ask.acl")}


@pytest.fixture
def switch(needs: Callable[..., None]) -> Iterator[Switch]:
    needs("ip", "clang", "sysctl", root=True)
    with Wires(PORTS, name="over") as wires:
        switch = Switch(wires)
        try:
            yield switch
        finally:
            switch.close()


def test_random_tables_answer_as_before_and_go_on(switch: Switch) -> None:
    source = random.Random(7)
    entries: dict[Key, int] = {}
    for round_ in range(3):
        # Given a random table, which some entries came to before the last process ended and some after
        for number in range(25):
            key = some_key(source, 1000 * round_ + number + 1)
            entries[key] = source.getrandbits(16)
            switch.insert("acl", key, answer(entries[key]))
        for key in source.sample(sorted(entries, key=str), len(entries) // 3):
            switch.delete("acl", key)
            del entries[key]
        counts = {key: switch.plane.read_hits("Ask.acl", key) for key in entries}
        # When another process takes over
        switch.taken_over()
        # Then it holds the same entries, what they have counted, and answers as a search through all of them
        assert switch.held() == set(entries)
        assert {key: switch.plane.read_hits("Ask.acl", key) for key in entries} == counts
        for key in entries:
            query = near(source, key)
            assert switch.ask(query) == expected(entries, query)


def test_what_a_better_entry_hides_is_there_and_comes_out_when_that_one_goes(switch: Switch) -> None:
    match = (Ternary(5, M16), Range(10, 30), ANY_PREFIX, ANY)
    keys: list[Key] = [(*match, Priority(priority)) for priority in (3, 9, 6)]
    for key, value in zip(keys, (3, 9, 6), strict=True):
        switch.insert("acl", key, answer(value))
    switch.taken_over()
    for value in (9, 6, 3):
        assert switch.ask(Query(ACL, a=5, b=20)) == (value, value)
        switch.delete("acl", (*match, Priority(value)))
    with pytest.raises(PlaneError, match="has no entry"):
        switch.plane.delete("Ask.acl", keys[0])


def test_of_two_with_one_priority_the_first_still_counts(switch: Switch) -> None:
    for number in range(20):
        key = (Ternary(0, 1 << number % 16), Range(0, M16 - number), ANY_PREFIX, ANY, Priority(5))
        switch.insert("acl", key, answer(number))
    before = [switch.ask(Query(ACL, b=number)) for number in range(5)]
    switch.taken_over()
    assert [switch.ask(Query(ACL, b=number)) for number in range(5)] == before


def test_entries_that_the_program_brought_are_as_they_were_left(switch: Switch) -> None:
    switch.plane.modify("Ask.initial", (1,), answer(111))
    switch.plane.delete("Ask.initial", (2,))
    switch.taken_over()
    assert [switch.ask(Query(INITIAL, a=a))[0] for a in (1, 2)] == [111, 0]
    switch.plane.insert("Ask.initial", (3,), answer(33))
    assert dict(switch.plane.entries("Ask.initial")) == {(1,): answer(111), (3,): answer(33)}


def test_a_smaller_limit_takes_no_more_and_keeps_what_is_there(switch: Switch) -> None:
    keys: list[Key] = [(Ternary(number, M16), ANY_PORT, ANY_PREFIX, ANY, Priority(1)) for number in range(5)]
    for key in keys[:4]:
        switch.insert("acl", key, answer(1))
    switch.taken_over(limits={"Ask.acl": 3})
    assert switch.held() == set(keys[:4])
    with pytest.raises(TableFull, match="room for 3 entries"):
        switch.plane.insert("Ask.acl", keys[4], answer(1))


def test_killed_at_any_step_of_a_write_it_is_as_before_the_write_or_as_after_it(
    switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given two entries, one of which hides a part of the other
    narrow: Key = (Ternary(5, M16), Range(3, 12), ANY_PREFIX, ANY, Priority(9))
    wide: Key = (Ternary(0, 0), Range(1, 6), ANY_PREFIX, ANY, Priority(5))
    new: Key = (Ternary(5, M16), Range(3, 9), ANY_PREFIX, ANY, Priority(20))
    entries = {narrow: 1, wide: 2}
    for key, value in entries.items():
        switch.insert("acl", key, answer(value))
    queries = [Query(ACL, a=5, b=b) for b in range(14)]
    writes: list[tuple[Callable[[], None], dict[Key, int]]] = [
        (lambda: switch.plane.insert("Ask.acl", new, answer(3)), entries | {new: 3}),
        (lambda: switch.plane.modify("Ask.acl", new, answer(4)), entries | {new: 4}),
        (lambda: switch.plane.delete("Ask.acl", new), entries),
    ]
    before = entries
    for write, after in writes:
        for steps in range(40):
            # When the process is killed after so many steps of a write, and another one takes over
            with monkeypatch.context() as patched:
                kill_after(steps, patched)
                try:
                    write()
                    finished = True
                except Killed:
                    finished = False
            switch.taken_over()
            # Then all answers are those of before or those of after, as are the entries
            assert switch.held() in (set(before), set(after))
            answers = [switch.ask(query) for query in queries]
            assert answers in ([expected(state, query) for query in queries] for state in (before, after))
            if finished:
                break
            put_right(switch, before)
        assert steps > 3, "else it was not much of a write"
        before = after


def put_right(switch: Switch, entries: dict[Key, int]) -> None:
    """The table as it was before the write."""
    held = switch.held()
    for key in held - set(entries):
        switch.plane.delete("Ask.acl", key)
    for key, value in entries.items():
        (switch.plane.modify if key in held else switch.plane.insert)("Ask.acl", key, answer(value))


def kill_after(steps: int, patched: pytest.MonkeyPatch) -> None:
    left = steps

    def step(real: Callable[..., int]) -> Callable[..., int]:
        def counted(*arguments: Any) -> int:
            nonlocal left
            if left == 0:
                raise Killed
            left -= 1
            return real(*arguments)

        return counted

    for name in ("map_update", "map_delete"):
        patched.setattr(ternary_map, name, step(getattr(ternary_map, name)))
