"""requeue, remove and trim: what becomes of ended jobs."""

from __future__ import annotations

import pytest

from sisyphus.errors import WrongState
from store.conftest import MakeStore
from store.fleet import ERROR, Fleet, document, entry


@pytest.mark.parametrize("state", ["completed", "failed", "cancelled"])
def test_an_ended_job_may_be_run_again(fleet: Fleet, state: str) -> None:
    first = fleet.in_state(state)
    assert first is not None

    fleet.store.requeue("a")

    assert fleet.waiting() == [document()]
    gone = {"error", "result", "cancel", "failures", "crashes", "ended_ms"}
    assert not gone & set(fleet.record())
    taken = fleet.take(first.session)
    assert (taken.attempt, taken.failures, taken.raw) == (2, 0, document())
    assert taken.lease.token > first.token


def test_it_goes_to_the_end_of_its_list(fleet: Fleet) -> None:
    fleet.push(document("a"), priority=4)
    lease = fleet.take(fleet.worker()).lease
    fleet.store.settle(fleet.store.fail(lease, ERROR, entry("failed")))
    fleet.push(document("b"), priority=4)

    fleet.store.requeue("a")

    assert fleet.waiting(4) == [document("b"), document("a")]


@pytest.mark.parametrize("afresh", [True, False])
def test_it_goes_on_at_its_checkpoint_unless_afresh(fleet: Fleet, afresh: bool) -> None:
    lease = fleet.running()
    fleet.store.checkpoint(lease, "[1]")
    fleet.store.settle(fleet.store.fail(lease, ERROR, entry("failed")))

    fleet.store.requeue("a", afresh=afresh)

    assert fleet.take(lease.session).checkpoint == ("" if afresh else "[1]")


@pytest.mark.parametrize("state", ["queued", "delayed", "running"])
@pytest.mark.parametrize("wish", ["requeue", "remove"])
def test_only_what_has_ended_is_run_again_or_removed(
    fleet: Fleet, state: str, wish: str
) -> None:
    fleet.in_state(state)
    before = fleet.everything()

    with pytest.raises(WrongState, match=f"is {state}: only an ended job"):
        getattr(fleet.store, wish)("a")

    assert fleet.everything() == before


@pytest.mark.parametrize("wish", ["requeue", "remove"])
def test_an_unknown_job_is_called_so(fleet: Fleet, wish: str) -> None:
    with pytest.raises(WrongState, match="'a' is not known"):
        getattr(fleet.store, wish)("a")

    assert fleet.everything() == {}


def test_a_second_requeue_changes_nothing_more(fleet: Fleet) -> None:
    fleet.in_state("failed")
    fleet.store.requeue("a")
    before = fleet.everything()

    with pytest.raises(WrongState, match="queued"):
        fleet.store.requeue("a")

    assert fleet.everything() == before


def test_a_cancelled_job_whose_document_still_waits_may_be_run_again(
    fleet: Fleet,
) -> None:
    fleet.in_state("queued")
    fleet.store.cancel("a")

    fleet.store.requeue("a")

    assert fleet.waiting() == [document()]
    assert fleet.take_all(fleet.worker()) == ["a"]


def test_a_cancelled_job_whose_document_has_surfaced_may_be_run_again(
    fleet: Fleet,
) -> None:
    fleet.in_state("queued")
    fleet.store.cancel("a")
    assert fleet.nothing_for(fleet.worker())

    fleet.store.requeue("a")

    assert fleet.take_all("session-w") == ["a"]


def test_a_job_that_never_was_cannot_be_run_again(fleet: Fleet) -> None:
    assert fleet.store.cancel("a") == "unseen"

    with pytest.raises(WrongState):
        fleet.store.requeue("a")


@pytest.mark.parametrize("state", ["completed", "failed", "cancelled"])
def test_a_removed_job_leaves_nothing(fleet: Fleet, state: str) -> None:
    lease = fleet.in_state(state)
    assert lease is not None
    fleet.store.log(lease, [(1, "ffmpeg", "info", "frame 1")])

    fleet.store.remove("a")

    of_job = [name for name in fleet.everything() if name.endswith(":a")]
    assert of_job == []
    assert not fleet.client.exists(fleet.keys.ended)
    assert fleet.events()[-1] == "removed"


def test_a_second_remove_changes_nothing_more(fleet: Fleet) -> None:
    fleet.in_state("failed")
    fleet.store.remove("a")
    before = fleet.everything()

    with pytest.raises(WrongState, match="not known"):
        fleet.store.remove("a")

    assert fleet.everything() == before


def test_a_cancelled_job_is_kept_until_its_document_has_surfaced(fleet: Fleet) -> None:
    fleet.in_state("queued")
    fleet.store.cancel("a")

    with pytest.raises(WrongState, match="still waits in the list"):
        fleet.store.remove("a")

    assert fleet.nothing_for(fleet.worker())
    fleet.store.remove("a")
    assert fleet.state() is None


# The bounds of the history


def ended(fleet: Fleet, *ids: str) -> None:
    session = fleet.worker()
    for job_id in ids:
        lease = fleet.running(job_id, session)
        fleet.store.settle(fleet.store.complete(lease, None))


def test_trim_drops_what_is_too_old(fleet: Fleet) -> None:
    ended(fleet, "old", "new")
    fleet.age_history("old", days=31)
    fleet.age_history("new", days=29)

    assert fleet.store.trim() == 1

    assert (fleet.state("old"), fleet.state("new")) == (None, "completed")
    assert not fleet.client.exists(fleet.keys.doc("old"))


def test_trim_drops_the_oldest_of_too_many(fleet: Fleet, make_store: MakeStore) -> None:
    ids = [f"{number:02}" for number in range(15)]
    ended(fleet, *ids)
    for number, job_id in enumerate(ids):
        fleet.age_history(job_id, days=15 - number)

    assert make_store(history_count=10).trim() == 5

    assert fleet.client.zrange(fleet.keys.ended, 0, -1) == [
        b"%02d" % number for number in range(5, 15)
    ]


def test_trim_drops_a_bounded_number(fleet: Fleet) -> None:
    ended(fleet, *map(str, range(10)))
    for number in range(10):
        fleet.age_history(str(number), days=40)

    assert [fleet.store.trim(limit=4) for _ in range(4)] == [4, 4, 2, 0]


def test_trimming_twice_is_trimming_once(fleet: Fleet) -> None:
    ended(fleet, "old", "new")
    fleet.age_history("old", days=31)
    fleet.store.trim()
    before = fleet.everything()

    assert fleet.store.trim() == 0

    assert fleet.everything() == before


def test_trim_keeps_a_cancelled_job_whose_document_still_waits(fleet: Fleet) -> None:
    fleet.in_state("queued")
    fleet.store.cancel("a")
    fleet.age_history("a", days=400)

    assert fleet.store.trim() == 0

    assert fleet.nothing_for(fleet.worker())
    assert fleet.state() == "cancelled"


def test_index_and_record_agree_on_a_cancelled_job_that_was_kept(fleet: Fleet) -> None:
    fleet.in_state("queued")
    fleet.store.cancel("a")
    fleet.age_history("a", days=400)

    fleet.store.trim()

    score = fleet.client.zscore(fleet.keys.ended, "a")
    assert score == int(fleet.record()["ended_ms"])
