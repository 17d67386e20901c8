"""A trouble that lasts: one line when it begins, one when it is over, none in between."""

from __future__ import annotations

import logging
import time


class Outage:
    """One kind of trouble. Owned by one thread."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._since: float | None = None

    def __bool__(self) -> bool:
        return self._since is not None

    def goes_on(self, said: str) -> None:
        """Say what it is, unless that was said before."""
        if self._since is None:
            self._since = time.monotonic()
            self._logger.warning("%s", said)

    def is_over(self, said: str) -> None:
        """Say that it is over, and how long it was; nothing if there was none."""
        if self._since is not None:
            lasted = time.monotonic() - self._since
            self._since = None
            self._logger.info("%s after %.0f s", said, lasted)
