"""A raw document may say when it wants to be started."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from sisyphus.errors import InvalidJob
from sisyphus.job import parse_job
from store.fleet import Fleet, document

EAST = timezone(timedelta(hours=5, minutes=30))
MOMENTS = [
    datetime(2099, 3, 1, 0, 0, 0, tzinfo=UTC),
    datetime(2096, 2, 29, 23, 59, 59, tzinfo=UTC),
    datetime(2100, 12, 31, 12, 30, 5, tzinfo=UTC),
    datetime(2101, 1, 1, 1, 2, 3, tzinfo=EAST),
]


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("form", ["iso", "Z", "blank", "seconds", "day"])
def test_a_raw_document_waits_for_its_time(
    fleet: Fleet, moment: datetime, form: str
) -> None:
    utc = moment.astimezone(UTC)
    written: Any = {
        "iso": moment.isoformat(),
        "Z": utc.strftime("%Y-%m-%dT%H:%M:%S.250Z"),
        "blank": utc.strftime("%Y-%m-%d %H:%M"),
        "seconds": moment.timestamp(),
        "day": utc.strftime("%Y-%m-%d"),
    }[form]
    raw = document(not_before=written)
    fleet.push(raw)

    assert fleet.nothing_for(fleet.worker())

    assert fleet.state() == "delayed"
    due = parse_job(raw).not_before
    assert due is not None
    due_ms = fleet.client.zscore(fleet.keys.delayed, "a")
    assert abs(due_ms - due.timestamp() * 1000) < 1000


def test_a_delayed_raw_document_runs_when_its_time_has_come(fleet: Fleet) -> None:
    session = fleet.worker()
    raw = document(not_before=MOMENTS[0].isoformat())
    fleet.push(raw)
    assert fleet.nothing_for(session)
    fleet.client.zadd(fleet.keys.delayed, {"a": 1})

    fleet.store.promote()

    assert fleet.waiting() == [raw]


@pytest.mark.parametrize("written", ["soon", True, [], "2020-01-01T00:00:00Z", 0, None])
def test_what_is_past_or_no_time_does_not_wait(fleet: Fleet, written: Any) -> None:
    fleet.push(document(not_before=written))

    assert fleet.take(fleet.worker()).lease.job_id == "a"


@pytest.mark.parametrize("written", ["20300131T201500Z", "2030-01-31T20", "31.1.2030"])
def test_a_time_that_the_store_cannot_read_is_no_job(written: str) -> None:
    with pytest.raises(InvalidJob, match="not_before"):
        parse_job(document(not_before=written))
