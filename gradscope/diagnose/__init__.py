"""Judges a trace: rules, each of one kind of trouble, and the engine that runs them."""

from gradscope.diagnose.engine import diagnose

__all__ = ["diagnose"]
