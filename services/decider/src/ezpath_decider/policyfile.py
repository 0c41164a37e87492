"""The policy's file: read at the start, and again when it has changed."""

from __future__ import annotations

from pathlib import Path

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

    def reread(self, inventory: Inventory) -> bool:
        """True where there is another good version. Raises :class:`InventoryError` once for each bad one."""
        if self._path is None or (version := self._look(self._path)) == self._version:
            return False
        self._version = version
        self.policy, self.strategy = self._read(self._path, inventory)
        return True

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
        return parse(text, str(path), self._defaults, inventory)
