"""Stands for the command line: run a program under the launcher, leave facts of the trace."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from gradscope.capture.options import CaptureOptions
from gradscope.launch import run_module, run_script
from gradscope.model.trace import Trace


def main() -> int:
    facts = Path(sys.argv[1])

    def finish(trace: Trace) -> None:
        error = trace.script_error
        line = {
            "pid": os.getpid(),
            "target": trace.target,
            "argv": trace.argv,
            "steps": len(trace.steps),
            "losses": [step.loss for step in trace.steps],
            "error": None if error is None else [error.type, error.message, error.traceback],
            "where": error.source.location if error is not None and error.source else None,
            "text": error.source.text if error is not None and error.source else None,
            "notes": trace.notes,
            "names": [name for name in vars(sys.modules["__main__"]) if name[0] != "_"],
        }
        with facts.open("a") as out:
            out.write(json.dumps(line) + "\n")

    options = CaptureOptions()
    if sys.argv[2] == "-m":
        return run_module(sys.argv[3], sys.argv[4:], options=options, finish=finish)
    return run_script(sys.argv[2], sys.argv[3:], options=options, finish=finish)


if __name__ == "__main__":
    sys.exit(main())
