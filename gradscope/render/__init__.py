"""From a trace, a report or a folded graph to text: pure functions, no files and no torch.

Only ``image`` may fail: it asks Graphviz to turn DOT into bytes.
"""
