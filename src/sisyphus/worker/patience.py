"""Repeating a call to Redis until it answers: with growing pauses.

That Redis is away, the supervisor says, once for all its workers; what only this call
meets is said here, once.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from sisyphus.errors import StoreRefused, StoreUnavailable

logger = logging.getLogger(__name__)
Value = TypeVar("Value")

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0


def insist(
    call: Callable[[], Value], give_up: Callable[[], None] = lambda: None
) -> Value:
    """Call until Redis answers; ``give_up``, asked often, may end it by raising.

    Every call to the store may be repeated: a repeated one is answered as the first was.
    """
    pause, since, said = FIRST_PAUSE, time.monotonic(), False
    level = logging.DEBUG
    while True:
        try:
            value = call()
        except (StoreUnavailable, StoreRefused) as error:
            if not said and time.monotonic() - since > LONGEST_PAUSE:
                alone = isinstance(error, StoreRefused) and not error.every_call
                level = logging.WARNING if alone else logging.DEBUG
                logger.log(level, "waiting for Redis: %s", error)
                said = True
            _rest(pause * random.uniform(0.7, 1.0), give_up)
            pause = min(LONGEST_PAUSE, pause * 2)
            continue
        if said:
            waited = time.monotonic() - since
            logger.log(level, "Redis has answered after %.0f s", waited)
        return value


def _rest(seconds: float, give_up: Callable[[], None]) -> None:
    never = threading.Event()
    ends = time.monotonic() + seconds
    give_up()
    while (left := ends - time.monotonic()) > 0:
        never.wait(min(left, 0.1))
        give_up()
