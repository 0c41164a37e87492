"""The control plane at scale, without packets: this package's own benchmarks as anybody runs them, and their growth."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

from ezpath_lab.shell import program

from ezpath_bench.figures import limits
from ezpath_bench.figures.experiment import Curve
from ezpath_bench.figures.results import Outcome

_LONGEST_S = 900.0


def measured(name: str, work: Curve) -> Outcome:
    """Runs ``ezpath-bench <kind>`` with each run's options; its own targets' verdicts are kept as remarks."""
    outcome = Outcome(name)
    if work.runs:
        outcome.curves["limits"] = limits.measured()
    for options in work.runs:
        with tempfile.TemporaryDirectory(prefix="ezfig-") as folder:
            words = [program("ezpath-bench"), work.kind, *options, "--out", folder]
            done = subprocess.run(words, capture_output=True, text=True, timeout=_LONGEST_S, check=False)
            kept = Path(folder) / f"{work.kind}.json"
            if not kept.exists():
                said = f"`{' '.join(words[1:-2])}`: exit status {done.returncode}: {done.stderr.strip()[-400:]}"
                outcome.failed = said
                return outcome
            outcome.curves.setdefault("runs", []).append(json.loads(kept.read_text(encoding="utf-8"))["results"])
        outcome.remarks += [line for line in done.stdout.splitlines() if line.startswith(("reached", "MISSED"))]
    if not work.runs:
        outcome.remarks.append("left out of a quick run")
    return outcome
