"""The command line: one file per command or family; each parses, calls and prints. `main.py` is the entry point.

Imports of anything heavy stand inside the commands that need them, so that `--help` is fast.
"""
