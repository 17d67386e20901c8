"""Faults injected into real machines, and what became of the jobs: ``python -m chaos``."""
