"""``python -m sisyphus.cli``: the same as ``sisyphus``."""

from sisyphus.cli.main import run

run()
