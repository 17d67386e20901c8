"""The supervisor and its worker processes; to understand it, read runner.py first."""
