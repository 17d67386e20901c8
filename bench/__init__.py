"""Measures Sisyphus on this machine: ``.venv/bin/python -m bench``."""
