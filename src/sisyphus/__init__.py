"""A distributed job worker that loses nothing."""

from importlib.metadata import version

__version__ = version("sisyphus-worker")
