"""checkpoint, confirm and log: what a running job tells and asks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sisyphus.errors import Stopped
from store.conftest import MakeStore
from store.fleet import ERROR, SETTLEMENTS, WRITES, Fleet, entry

Line = tuple[int, str, str, str]
LINE: Line = (1_700_000_000_123, "ffmpeg", "info", "frame=1 ä \x1b \x00 end")


def lines(fleet: Fleet, job_id: str = "a") -> list[Line]:
    return [
        (
            int(row[b"time_ms"]),
            row[b"task"].decode(),
            row[b"level"].decode(),
            row[b"text"].decode(),
        )
        for _, row in fleet.client.xrange(fleet.keys.log(job_id))
    ]


def test_a_checkpoint_is_kept_as_it_was_given(fleet: Fleet) -> None:
    lease = fleet.running()
    checkpoint = '[{"task":0,"outputs":[{"path":"/ä","size":1e5}]}]'

    fleet.store.checkpoint(lease, checkpoint)

    assert fleet.record()["checkpoint"] == checkpoint
    assert fleet.state() == "running"


def test_the_next_worker_gets_the_last_checkpoint(fleet: Fleet) -> None:
    lease = fleet.running()
    fleet.store.checkpoint(lease, "[1]")
    fleet.store.checkpoint(lease, "[1,2]")
    fleet.store.recover(lease.session)

    taken = fleet.take(fleet.worker("another"))

    assert taken.checkpoint == "[1,2]"


def test_a_repeated_checkpoint_changes_nothing_more(fleet: Fleet) -> None:
    lease = fleet.running()
    fleet.store.checkpoint(lease, "[1]")
    before = fleet.everything()

    fleet.store.checkpoint(lease, "[1]")

    assert fleet.everything() == before


def test_confirm_changes_nothing(fleet: Fleet) -> None:
    lease = fleet.running()
    before = fleet.everything()

    fleet.store.confirm(lease)

    assert fleet.everything() == before


def test_a_job_that_is_to_be_cancelled_hears_it_at_its_next_word(fleet: Fleet) -> None:
    lease = fleet.running()
    fleet.store.cancel("a")

    with pytest.raises(Stopped, match=r"^cancel$"):
        fleet.store.confirm(lease)
    with pytest.raises(Stopped, match=r"^cancel$"):
        fleet.store.checkpoint(lease, "[1]")

    assert fleet.record()["checkpoint"] == "[1]"


@pytest.mark.parametrize("wrong", ["token", "session", "job_id"])
@pytest.mark.parametrize("name", ["checkpoint", "confirm", "log"])
def test_without_the_lease_nothing_is_written(
    fleet: Fleet, name: str, wrong: str
) -> None:
    lease = fleet.running()
    before = fleet.everything()

    stale = {
        "token": replace(lease, token=1),
        "session": replace(lease, session="x"),
        "job_id": replace(lease, job_id="x"),
    }[wrong]
    accepted = WRITES[name](fleet.store, stale)

    assert not accepted
    assert fleet.everything() == before


@pytest.mark.parametrize("settled", SETTLEMENTS)
def test_a_settled_job_takes_no_checkpoint(fleet: Fleet, settled: str) -> None:
    lease = fleet.running()
    WRITES[settled](fleet.store, lease)
    before = fleet.everything()

    assert not WRITES["checkpoint"](fleet.store, lease)
    assert not WRITES["confirm"](fleet.store, lease)

    assert fleet.everything() == before


def test_log_lines_are_kept_in_their_order(fleet: Fleet) -> None:
    lease = fleet.running()
    second: Line = (LINE[0] + 1, "", "warning", "")

    assert fleet.store.log(lease, [LINE, second])
    assert fleet.store.log(lease, [])

    assert lines(fleet) == [LINE, second]


def test_the_last_lines_may_come_after_the_job_has_been_settled(fleet: Fleet) -> None:
    lease = fleet.running()
    fleet.store.settle(fleet.store.fail(lease, ERROR, entry("failed")))

    assert fleet.store.log(lease, [LINE])

    assert lines(fleet) == [LINE]


def test_a_log_is_bounded(fleet: Fleet, make_store: MakeStore) -> None:
    store = make_store(log_lines=10)
    lease = fleet.running()

    for _ in range(10):
        store.log(lease, [LINE] * 100)

    assert fleet.client.xlen(fleet.keys.log("a")) <= 10 + 100


def test_a_repeated_log_call_adds_nothing_more(fleet: Fleet) -> None:
    lease = fleet.running()
    fleet.store.log(lease, [LINE])

    fleet.store.log(lease, [LINE])

    assert lines(fleet) == [LINE]


def test_a_file_name_that_is_not_utf8_may_stand_in_a_log_line(fleet: Fleet) -> None:
    lease = fleet.running()

    assert fleet.store.log(lease, [(1, "ffmpeg", "info", "no such file: \udcff")])
