"""take: a job goes to a worker that has what it needs."""

from __future__ import annotations

from store.fleet import Fleet, document


def test_a_job_whose_label_is_missing_here_is_set_aside(fleet: Fleet) -> None:
    session = fleet.worker("plain")
    raw = document(requires=["gpu"])
    fleet.push(raw)

    assert fleet.nothing_for(session)

    assert fleet.state() == "queued"
    assert fleet.record()["needs"] == "label:gpu module:ffmpeg"
    found = fleet.client.lrange(fleet.keys.aside_list("label:gpu module:ffmpeg"), 0, -1)
    assert found == [raw]
    assert fleet.events() == ["aside"]


def test_a_worker_that_has_the_label_gets_what_was_set_aside_oldest_first(
    fleet: Fleet,
) -> None:
    ids = [f"job-{number}" for number in range(20)]
    fleet.push(*(document(job_id, requires=["gpu"]) for job_id in ids))
    assert fleet.nothing_for(fleet.worker("plain"))

    assert fleet.take_all(fleet.worker("able", labels=("gpu", "fast"))) == ids


def test_what_was_set_aside_comes_before_what_waits(fleet: Fleet) -> None:
    fleet.push(document("1", requires=["gpu"]))
    assert fleet.nothing_for(fleet.worker("plain"))
    fleet.push(document("2"))

    assert fleet.take_all(fleet.worker("able", labels=("gpu",))) == ["1", "2"]


def test_a_job_set_aside_keeps_its_priority(fleet: Fleet) -> None:
    fleet.push(document(requires=["gpu"]), priority=6)
    assert fleet.nothing_for(fleet.worker("plain"))

    fleet.take(fleet.worker("able", labels=("gpu",)))

    assert fleet.record()["priority"] == "6"


def test_a_job_whose_module_another_worker_has_is_set_aside_for_it(
    fleet: Fleet,
) -> None:
    able = fleet.worker("able", modules=("mkvmerge",))
    plain = fleet.worker("plain", modules=("ffmpeg",))
    fleet.push(document("a", module="mkvmerge"), document("b"))

    assert fleet.take(plain).lease.job_id == "b"
    assert fleet.take(able).lease.job_id == "a"


def test_a_module_that_nobody_has_is_for_the_taker_to_report(fleet: Fleet) -> None:
    fleet.worker("another", modules=("mkvmerge",), labels=("gpu",))
    session = fleet.worker("plain")
    fleet.push(document(module="no_such_module", requires=["gpu"]))

    assert fleet.take(session).lease.job_id == "a"


def test_needs_that_no_single_worker_has_are_waited_for(fleet: Fleet) -> None:
    one = fleet.worker("one", modules=("ffmpeg",), labels=("gpu",))
    two = fleet.worker("two", modules=("mkvmerge",))
    fleet.push(document(module="mkvmerge", requires=["gpu"]))

    assert fleet.nothing_for(one)
    assert fleet.nothing_for(two)

    assert fleet.client.hlen(fleet.keys.aside) == 1
    both = fleet.worker("both", modules=("ffmpeg", "mkvmerge"), labels=("gpu",))
    assert fleet.take(both).lease.job_id == "a"


def test_both_forms_of_a_task_name_their_module(fleet: Fleet) -> None:
    fleet.worker("able", modules=("mkvmerge", "ffmpeg"))
    session = fleet.worker("plain")
    tasks = [{"ffmpeg": {}, "timeout": 5}, {"module": "mkvmerge", "data": {}}]
    fleet.push(document(tasks=tasks))

    assert fleet.nothing_for(session)

    assert fleet.record()["needs"] == "module:ffmpeg module:mkvmerge"


def test_one_label_is_not_part_of_another(fleet: Fleet) -> None:
    session = fleet.worker("w", labels=("gpus", "a-gpu", "big"))
    fleet.push(document(requires=["gpu"]))

    assert fleet.nothing_for(session)


def test_labels_that_cannot_be_labels_are_for_the_taker_to_report(
    fleet: Fleet,
) -> None:
    session = fleet.worker()
    fleet.push(document("1", requires=["a b"]), document("2", requires=["a|b"]))
    fleet.push(document("3", requires="gpu"), document("4", requires=[1, None]))

    assert fleet.take_all(session) == ["1", "2", "3", "4"]


def test_a_copy_of_a_job_set_aside_runs_once(fleet: Fleet) -> None:
    raw = document(requires=["gpu"])
    fleet.push(raw, raw)
    assert fleet.nothing_for(fleet.worker("plain"))

    assert fleet.take_all(fleet.worker("able", labels=("gpu",))) == ["a"]
    assert fleet.record()["duplicates"] == "1"


def test_a_mended_job_set_aside_leaves_no_old_document(fleet: Fleet) -> None:
    fleet.in_state("failed")
    mended = document(requires=["gpu"])
    fleet.push(mended)
    assert fleet.nothing_for("session-w")

    fleet.store.cancel("a")
    able = fleet.worker("able", labels=("gpu",))
    assert fleet.nothing_for(able)
    fleet.store.requeue("a")

    assert fleet.take(able).raw == mended


def test_a_job_pushed_again_and_set_aside_keeps_its_priority(fleet: Fleet) -> None:
    other = fleet.worker("other", ("ffmpeg", "mkvmerge"))
    fleet.store.submit("a", document("a", "mkvmerge"), 5, 0, "")
    fleet.store.settle(fleet.store.fail(fleet.take(other).lease, {}, {}))
    fleet.push(document("a", "mkvmerge"))

    assert fleet.nothing_for(fleet.worker("lacking", ("ffmpeg",)))

    assert fleet.record()["priority"] == "5"
    assert fleet.take(other).lease.job_id == "a"
