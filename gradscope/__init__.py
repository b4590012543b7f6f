"""Autograd visualizer and gradient debugger for PyTorch."""

__version__ = "0.1.0"
