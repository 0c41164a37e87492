"""A real decider records what it hears and decides; replayed, the same engine decides the same, one by one.

NATS, the decider, the collectors' samples as bytes and the recording are real; writers are played by their contract.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgpack
import numpy as np
import pytest
from click.testing import CliRunner
from decider_rig import Decider, World
from ezpath.events import FlowSample, SwitchTables, TableUse
from ezpath.names import SwitchName
from ezpath_decider.recording import RecordingError, Step, replay
from ezpath_decider.sim.command import command as sim
