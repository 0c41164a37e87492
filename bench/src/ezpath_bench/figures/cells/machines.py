"""The file that names two machines for ``--hosts``: how SSH reaches them, and which cards the bench may have. Pure."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from ezpath_bench.figures.experiment import checked


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Machine(_Strict):
    """One machine."""

    ssh: str = Field(min_length=1)
    """As ``ssh`` takes it: a host, user@host, or a name from its configuration."""
    uplink: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,15}$")
    """The card that Open vSwitch gets."""
    plain: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,15}$")
    """Another one (a second port, or a virtual function), for the modes without Open vSwitch."""
    sudo: bool = False
    """Where SSH does not lead to root."""

    def cards(self) -> dict[str, str]:
        """Each card to its name on a host of the bench."""
        return {self.uplink: "vec0", self.plain: "vec2"}


class Machines(_Strict):
    """The file."""

    machines: tuple[Machine, Machine]
    ssh_config: str = ""
    """A configuration file for ``ssh`` in place of the user's own."""

    def options(self, folder: str) -> tuple[str, ...]:
        """Of every call of ``ssh``: never ask, and keep one connection a machine, whose socket is in ``folder``."""
        shared = ("ControlMaster=auto", f"ControlPath={folder}/ssh-%C", "ControlPersist=60")
        settings = [word for each in ("BatchMode=yes", *shared) for word in ("-o", each)]
        return (*(("-F", self.ssh_config) if self.ssh_config else ()), *settings)


def machines_of(text: str, file: str) -> Machines:
    """Check YAML ``text``. Raises :class:`InventoryError`, with everything that is wrong with it."""
    return checked(text, file, Machines)[1]
