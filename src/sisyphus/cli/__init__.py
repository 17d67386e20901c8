"""The command line: one file per noun; render.py is the only one that draws for people."""
