"""What can be computed from a graph alone: folding, paths and gains."""
