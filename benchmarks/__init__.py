"""Measurements of speed and memory; each module prints a table."""
