"""What gradscope raises on bad use; each message says what was wrong and what to do."""

from __future__ import annotations


class GradscopeError(Exception):
    """Base of everything gradscope raises on purpose."""


class UsageError(GradscopeError):
    """The call or command was not usable as given (exit code 2)."""


class ImageError(GradscopeError):
    """Graphviz or Vega could not draw the picture."""
