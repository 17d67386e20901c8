"""restore: a rejected document is put back; drop_rejected: it is not."""

from __future__ import annotations

from store.fleet import Fleet, document


def rejected(fleet: Fleet, raw: bytes) -> str:
    fleet.push(raw)
    assert fleet.nothing_for(fleet.worker("finder"))
    fleet.store.leave("session-finder")
    [(entry, _)] = fleet.client.xrange(fleet.keys.rejected)
    name: str = entry.decode()
    return name


def test_a_mended_document_is_put_in_the_list(fleet: Fleet) -> None:
    entry = rejected(fleet, b'{"job_id": "a", }')
    fleet.push(document("b"))

    assert fleet.store.restore(entry, document("a"))

    assert fleet.rejected() == []
    assert fleet.take_all(fleet.worker()) == ["b", "a"]


def test_a_document_may_be_put_back_as_it_was(fleet: Fleet) -> None:
    raw = b"\xff\x00 not a job"
    entry = rejected(fleet, raw)

    assert fleet.store.restore(entry, raw)

    assert fleet.waiting() == [raw]
    assert fleet.nothing_for(fleet.worker())
    assert fleet.rejected() == [("queue", "not_json", raw)]


def test_restoring_twice_is_restoring_once(fleet: Fleet) -> None:
    entry = rejected(fleet, b"bad")
    fleet.store.restore(entry, document())
    before = fleet.everything()

    assert not fleet.store.restore(entry, document())

    assert fleet.everything() == before


def test_an_unknown_entry_is_not_restored(fleet: Fleet) -> None:
    assert not fleet.store.restore("1-1", document())

    assert fleet.waiting() == []


def test_what_is_no_entry_is_not_restored(fleet: Fleet) -> None:
    rejected(fleet, b"bad")

    assert not fleet.store.restore("abc", document())


def test_a_dropped_document_is_gone(fleet: Fleet) -> None:
    entry = rejected(fleet, b"bad")

    assert fleet.store.drop_rejected(entry)
    assert not fleet.store.drop_rejected(entry)
    assert not fleet.store.drop_rejected("abc")

    assert fleet.rejected() == []
    assert fleet.waiting() == []


def test_stored_documents_of_a_module_are_kept_by_name(fleet: Fleet) -> None:
    fleet.store.put_data("ffmpeg", "x265", {"crf": 20, "ä": 1.0})

    assert fleet.store.get_data("ffmpeg", "x265") == {"crf": 20, "ä": 1.0}
    assert fleet.store.get_data("ffmpeg", "x264") is None
    assert fleet.store.get_data("mkvmerge", "x265") is None
