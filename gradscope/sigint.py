"""Ctrl-C pressed twice in a row is one wish, not two."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from gradscope.sigterm import REPEATS_S


@contextmanager
def repeats_unheard() -> Iterator[None]:
    """While open, SIGINT does nothing for the first second: it belongs to the Ctrl-C before.

    Where the program handles or ignores SIGINT itself, nothing is changed.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    heard_again = time.monotonic() + REPEATS_S

    def handle(signum: int, frame: FrameType | None) -> None:
        if time.monotonic() >= heard_again:
            signal.default_int_handler(signum, frame)

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is handle:
            signal.signal(signal.SIGINT, signal.default_int_handler)
