"""Runs the scripts under tests/scripts in this process, with other seeds and loss scales."""

from __future__ import annotations

import linecache
import re
import sys
import warnings
from pathlib import Path
from types import ModuleType

import torch

from gradscope.capture.options import CaptureOptions
from gradscope.capture.tracer import Tracer
from gradscope.model.trace import Trace

SCRIPTS = Path(__file__).parent.parent / "scripts"
_BACKWARD = re.compile(r"^(\s*)(?!def )(.+?)\.backward\((.*)$", re.MULTILINE)
_LR = re.compile(r"\blr\s*=\s*([\d.e-]+)")
_RAISES = re.compile(r"^# raises: (\w+)$", re.MULTILINE)
_UNSCALED = re.compile(r"^# unscaled: ", re.MULTILINE)
_EXPECT = re.compile(r"#\s*expect:\s*(\w+)")


def variant(text: str, seed: int, scale: float) -> str:
    """The script with another seed and its loss multiplied by ``scale``.

    Plain gradient descent gets a learning rate divided by the same number, so that it trains as
    before; the adaptive optimizers need no help. A script about the very factor of its loss says
    ``# unscaled: why`` and keeps it.
    """
    text = text.replace("manual_seed(0)", f"manual_seed({seed})")
    if scale == 1.0 or _UNSCALED.search(text):
        return text
    text = _BACKWARD.sub(rf"\1(\2).mul({scale!r}).backward(\3", text)
    if "SGD(" in text or "optim" not in text:
        text = _LR.sub(lambda found: f"lr={float(found[1]) / scale!r}", text)
    return text


def expected(text: str) -> tuple[str, int] | None:
    """Code and line of the finding that the script's own comment announces."""
    for number, row in enumerate(text.splitlines(), 1):
        found = _EXPECT.search(row)
        if found:
            return found[1], number
    return None


def run(text: str, path: str) -> Trace:
    """Runs a script as ``__main__`` under a tracer; its own exceptions come through.

    One that a comment announces, ``# raises: RuntimeError``, must come and is part of the trace.
    """
    announced = _RAISES.search(text)
    error: Exception | None = None
    linecache.cache[path] = (len(text), None, text.splitlines(keepends=True), path)
    code = compile(text, path, "exec")
    tracer = Tracer(CaptureOptions(), target=path, user_roots=[path])
    main, ours = ModuleType("__main__"), sys.modules["__main__"]
    main.__file__ = path
    sys.modules["__main__"] = main  # where its variables are looked for when it is over
    tracer.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(code, vars(main))
    except Exception as raised:
        error = raised
        if announced is None or type(raised).__name__ != announced[1]:
            raise
    finally:
        trace = tracer.stop(error)
        torch.set_grad_enabled(True)  # which some leave off
        sys.modules["__main__"] = ours
        linecache.cache.pop(path, None)
    assert (error is not None) == (announced is not None)
    return trace
