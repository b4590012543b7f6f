"""The command line as a stranger uses it: in a folder of its own, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
SAMPLES = REPOSITORY / "samples"
SEEDS = REPOSITORY / "tests" / "seeds"
LIMIT_S = 300
# This checkout first, so that the tests judge it and nothing that is installed.
PYTHONPATH = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])


@dataclass(frozen=True)
class Ran:
    """What a run left behind.

    Attributes:
        code: Exit code.
        out: stdout.
        err: stderr.
        folder: Where it ran.
    """

    code: int
    out: bytes
    err: str
    folder: Path

    @property
    def files(self) -> set[str]:
        """Names of the files that are in the folder now."""
        return {path.name for path in self.folder.iterdir() if path.is_file()}

    def json(self, name: str) -> dict[str, Any]:
        """One of the files, as JSON."""
        loaded: dict[str, Any] = json.loads((self.folder / name).read_text("utf-8"))
        return loaded


def gradscope(folder: Path, *args: str, env: Mapping[str, str] | None = None) -> Ran:
    """Run ``gradscope args...`` in the folder."""
    return run(folder, "-m", "gradscope", *args, env=env)


def run(folder: Path, *args: str, env: Mapping[str, str] | None = None) -> Ran:
    """Run ``python args...`` in the folder, with this checkout importable."""
    inherited = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    done = subprocess.run(
        [sys.executable, *args],
        cwd=folder,
        capture_output=True,
        timeout=LIMIT_S,
        stdin=subprocess.DEVNULL,
        env={**inherited, "PYTHONPATH": PYTHONPATH, **(env or {})},
    )
    return Ran(done.returncode, done.stdout, done.stderr.decode("utf-8", "replace"), folder)
