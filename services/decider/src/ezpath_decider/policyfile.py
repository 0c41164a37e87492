"""The policy in force: an operator's word where there is one, else the file, read again when it has changed."""

from __future__ import annotations

from pathlib import Path

from ezpath.controls import PolicySet
from ezpath.inventory import Inventory, InventoryError
from ezpath.inventory.problems import Problem

from ezpath_decider.policy import Policy, parse, tried
from ezpath_decider.strategy import Strategy, StrategyError


class PolicyFile:
    """``policy`` and ``strategy`` are those of the last good version. Without a path, the defaults."""

    policy: Policy
    strategy: Strategy

    def __init__(self, path: Path | None, defaults: Policy) -> None:
        self._path, self._defaults = path, defaults
        self._version: tuple[int, int] | None = None
        self._set: PolicySet | None = None
        """In force …"""
        self._said: PolicySet | None = None
        """… and the last one looked at, which may have been refused."""

    def check(self, inventory: Inventory) -> list[str]:
        """Read it for the first time. Returns what is wrong with it, a line each."""
        try:
            if self._path is None:
                self.policy, self.strategy = self._defaults, tried(self._defaults, inventory)
            else:
                self._version = self._look(self._path)
                self.policy, self.strategy = self._read(self._path, inventory)
        except InventoryError as error:
            return [str(problem) for problem in error.problems]
        except StrategyError as error:
            return [f"--strategy: {error}"]
        return []

    @property
    def source(self) -> str:
        """Where the policy is from."""
        if self._set is not None:
            return f"{self._set.file}, by `ezpath policy set`"
        return "the decider's options" if self._path is None else str(self._path)

    @property
    def since(self) -> float | None:
        """When an operator put it in force; None for the decider's own."""
        return self._set.since if self._set else None

    def reread(self, inventory: Inventory, said: PolicySet | None = None) -> bool:
        """True where there is another good version. Raises :class:`InventoryError` once for each bad one.

        ``said``: by an operator; it outdoes the file for as long as it is there.
        """
        if said != self._said:
            self._said = said
            if said is not None:
                self.policy, self.strategy = self.trial(said.text, said.file, inventory)
                self._set = said
                return True
            was_set, self._set, self._version = self._set is not None, None, None
            if self._path is None and was_set:
                self.policy, self.strategy = self._defaults, tried(self._defaults, inventory)
                return True
        if self._set is not None or self._path is None or (version := self._look(self._path)) == self._version:
            return False
        self._version = version
        self.policy, self.strategy = self._read(self._path, inventory)
        return True

    def trial(self, text: str, file: str, inventory: Inventory) -> tuple[Policy, Strategy]:
        """What ``text`` says, over the decider's options. Raises :class:`InventoryError`."""
        return parse(text, file, self._defaults, inventory)

    @staticmethod
    def _look(path: Path) -> tuple[int, int] | None:
        try:
            status = path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino

    def _read(self, path: Path, inventory: Inventory) -> tuple[Policy, Strategy]:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            problem = Problem(str(path), 0, "file", f"cannot be read: {error}", "Give a readable file of UTF-8 text")
            raise InventoryError([problem]) from None
        return self.trial(text, str(path), inventory)
