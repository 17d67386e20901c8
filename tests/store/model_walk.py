"""A walk of the model test: so many examples, against one server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sisyphus.settings import Settings
from sisyphus.store.store import Store
from store.corpus import MAX_BYTES
from store.elsewhere import scripts_in, with_fake_clock
from store.model_directed import Directed
from store.model_machine import World
from store.model_tally import Tally

KEEPS = (5, 1000)
"""How many ended jobs the queues of the examples keep."""


@contextmanager
def a_world(url: str, folder: Path) -> Iterator[World]:
    """Put the scripts in use, with a clock that can be set, into an empty folder."""
    with (
        scripts_in(with_fake_clock(folder)),
        Redis.from_url(url, retry=Retry(NoBackoff(), 0)) as client,
    ):
        stores: dict[int, Store] = {}
        for keep in KEEPS:
            given = {"history_count": keep, "max_document_bytes": MAX_BYTES}
            stores[keep] = Store(Settings.load(redis_url=url, **given))
        try:
            yield World(client, stores, Tally())
        finally:
            for store in stores.values():
                store.close()


def walk(world: World, examples: int, steps: int, *, shrink: bool = True) -> Tally:
    """Do so many steps in each of so many examples; other ones each time.

    Raises:
        AssertionError: Redis did not do as the model says.
    """
    run_state_machine_as_test(
        lambda: Directed(world),  # type: ignore[arg-type]  # any maker of one will do
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=False,
            database=None,
            print_blob=True,
            report_multiple_bugs=False,
            phases=[Phase.generate, *([Phase.shrink] if shrink else [])],
            suppress_health_check=list(HealthCheck),
        ),
    )
    return world.tally
