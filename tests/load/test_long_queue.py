"""Nothing that is done or shown depends on how many jobs wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis import Redis

from load.peaks import run_command
from load.sizes import document
from serving import serving
from sisyphus.client import Client
from sisyphus.embedded import EmbeddedServer
from sisyphus.errors import JobNotFound
from sisyphus.lifecycle import JobState
from sisyphus.settings import Settings
from sisyphus.store.replies import Taken
from sisyphus.store.store import Store
from store.fleet import facts

LONG, SHORT = 200_000, 200
QUEUES = {"long": LONG, "short": SHORT}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with a long queue and a short one."""
    folder = tmp_path_factory.mktemp("long")
    with (
        EmbeddedServer(folder, appendonly=False) as server,
        Redis.from_url(server.url) as redis,
    ):
        for queue, count in QUEUES.items():
            for start in range(0, count, 10_000):
                numbers = range(start, min(count, start + 10_000))
                redis.lpush(queue, *(document(f"j{n:06}") for n in numbers))
        yield server.url


@pytest.fixture
def redis(url: str) -> Iterator[Redis]:
    with Redis.from_url(url, decode_responses=True) as client:
        yield client


def settings(url: str, queue: str) -> Settings:
    return Settings.load(redis_url=url, queue=queue)


def asked(redis: Redis, work: Callable[[], Any]) -> dict[str, int]:
    """Count the server's commands by name, those in scripts among them."""
    redis.config_resetstat()
    work()
    told: Any = redis.info("commandstats")
    counts = {name: found["calls"] for name, found in told.items()}
    for name in ("cmdstat_config|resetstat", "cmdstat_info", "cmdstat_hello"):
        counts.pop(name, None)
    return counts


def answered(redis: Redis, work: Callable[[], Any]) -> int:
    """Count the bytes that the server sent."""
    before: Any = redis.info("stats")
    work()
    after: Any = redis.info("stats")
    sent: int = after["total_net_output_bytes"] - before["total_net_output_bytes"]
    return sent


def test_taking_submitting_and_cancelling_cost_as_many_commands_as_in_a_short_queue(
    url: str, redis: Redis
) -> None:
    def cost(queue: str, count: int) -> list[dict[str, int]]:
        with Client(settings=settings(url, queue)) as client:
            store = Store(settings(url, queue))
            store.register(f"s-{queue}", facts(f"w-{queue}", ("cleanup",)))
            client.queue()  # connected
            store.promote()
            store.renew([])

            def take() -> None:
                done = None
                for _ in range(20):
                    _, taken = store.take(f"s-{queue}", done)
                    assert isinstance(taken, Taken)
                    done = store.complete(taken.lease, None)
                assert done is not None
                store.settle(done)

            take()  # scripts are loaded
            client.submit(document("warm"))
            client.cancel("warm")
            found = [
                asked(redis, take),
                asked(redis, lambda: client.submit(document("one more"))),
                asked(redis, lambda: client.cancel(f"j{count // 2:06}")),
                asked(redis, store.promote),
                asked(redis, lambda: store.renew([])),
            ]
            store.leave(f"s-{queue}")
            store.close()
            return found

    assert cost("long", LONG) == cost("short", SHORT)


@pytest.mark.parametrize("offset", [0, LONG // 2, LONG - 1000])
def test_a_page_of_jobs_is_as_large_as_asked_for_wherever_it_is(
    url: str, redis: Redis, offset: int
) -> None:
    with Client(settings=settings(url, "long")) as client:
        client.queue()
        first = client.jobs(JobState.QUEUED, 1)[0].job_id
        found: list[Any] = []
        sent = answered(
            redis, lambda: found.extend(client.jobs(JobState.QUEUED, 50, offset))
        )

    start = int(first[1:]) + offset
    assert [view.job_id for view in found] == [f"j{start + n:06}" for n in range(50)]
    assert sent < 50_000


def test_no_look_reads_more_than_a_page(url: str, redis: Redis) -> None:
    def look_for_nobody() -> None:
        with pytest.raises(JobNotFound):
            client.job("nobody")
        assert client.document("nobody") is None

    with Client(settings=settings(url, "long")) as client:
        assert client.queue().queued > LONG - 100
        assert answered(redis, client.queue) < 5_000
        assert answered(redis, client.workers) < 5_000
        assert answered(redis, client.jobs) < 50_000
        # A document is looked for among the next 1,000.
        assert answered(redis, look_for_nobody) < 1000 * 200


def test_the_http_servers_lists_are_pages_and_count_all(url: str) -> None:
    with serving(settings(url, "long")) as http:
        whole, page = http.get("/queue"), http.get("/queue?limit=50")
        nobody = http.get("/jobs/nobody")

    for answer, length in ((whole, 1000), (page, 50)):
        assert len(answer.json()["queue"]) == length
        assert answer.json()["entries"] > LONG - 100
        assert len(answer.content) < 200 * length
    assert nobody.status_code == 404


def test_a_command_needs_as_much_memory_as_for_a_short_queue(url: str) -> None:
    peaks = {}
    for queue in QUEUES:
        said, peaks[queue], code = run_command(
            *("jobs", "list", "--queue", queue), url=url
        )
        assert code == 0
        assert len(said) < 20_000

    assert peaks["long"] - peaks["short"] < 10
