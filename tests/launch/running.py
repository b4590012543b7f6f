"""Run one program twice: by Python itself, and under the launcher."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.command import LIMIT_S, PYTHONPATH


@dataclass(frozen=True)
class Ran:
    """What a run left behind."""

    code: int
    out: bytes
    err: bytes
    facts: list[dict[str, Any]]


def environment() -> dict[str, str]:
    """The variables of a child that must find this checkout and print without buffering."""
    return {**os.environ, "PYTHONPATH": PYTHONPATH}


def by_python(folder: Path, *argv: str, stdin: bytes = b"") -> Ran:
    command = [sys.executable, *argv]
    done = subprocess.run(
        command, cwd=folder, input=stdin, capture_output=True, timeout=LIMIT_S, env=environment()
    )
    return Ran(done.returncode, done.stdout, done.stderr, [])


def launcher(facts: Path, *argv: str) -> list[str]:
    """The command that runs a program under the launcher."""
    return [sys.executable, "-m", "tests.launch.driver", str(facts), *argv]


def by_launcher(folder: Path, *argv: str, stdin: bytes = b"") -> Ran:
    facts = folder.parent / f"{folder.name}.facts"
    done = subprocess.run(
        launcher(facts, *argv),
        cwd=folder,
        input=stdin,
        capture_output=True,
        timeout=LIMIT_S,
        env=environment(),
    )
    return Ran(done.returncode, done.stdout, done.stderr, read_facts(facts))


def read_facts(path: Path) -> list[dict[str, Any]]:
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def write(folder: Path, **files: str | bytes) -> Path:
    """Write ``name`` as ``name.py`` (``__`` in a name separates folders)."""
    for name, content in files.items():
        path = folder / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder
