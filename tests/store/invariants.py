"""What must hold whenever nobody is inside a call: read all keys and look.

``keys.py`` says which keys there are and of which type; what is no key of ours is ignored
only if it is a heartbeat or a progress value.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import Any

from redis import Redis

from sisyphus.job import PRIORITIES
from sisyphus.lifecycle import ENDED, JobState
from sisyphus.store.keys import Keys

Hash = dict[str, str]
ENDED_WORDS = {state.value for state in ENDED}
STATES = {state.value for state in JobState}


@dataclass
class Snapshot:
    """Every key of a family of queues, by kind."""

    records: dict[str, Hash] = field(default_factory=dict)
    docs: dict[str, bytes] = field(default_factory=dict)
    attempts: dict[str, list[str]] = field(default_factory=dict)
    logs: dict[str, list[Any]] = field(default_factory=dict)
    orders: list[bytes] = field(default_factory=list)
    sessions: dict[str, Hash] = field(default_factory=dict)
    aside_lists: dict[str, list[bytes]] = field(default_factory=dict)
    lists: dict[str, list[bytes]] = field(default_factory=dict)
    single: dict[str, Any] = field(default_factory=dict)
    """Keys of which there is one: meta, sessions, workers, kinds ..."""

    def hash(self, kind: str) -> Hash:
        found: Hash = self.single.get(kind, {})
        return found

    def scores(self, kind: str) -> dict[str, float]:
        found: dict[str, float] = self.single.get(kind, {})
        return found

    def members(self, kind: str) -> set[str]:
        found: set[str] = self.single.get(kind, set())
        return found

    def copies(self) -> dict[str, list[bytes]]:
        """Documents that lie in some list, by job id."""
        found: dict[str, list[bytes]] = {}
        for elements in (*self.lists.values(), *self.aside_lists.values()):
            for raw in elements:
                job_id = id_of(raw)
                if job_id is not None:
                    found.setdefault(job_id, []).append(raw)
        return found


def id_of(raw: bytes) -> str | None:
    """Read the job id of a document as the take script does, if it is one."""
    try:
        document = json.loads(raw.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError):
        return None
    job_id = document.get("job_id") if isinstance(document, dict) else None
    if isinstance(job_id, bool) or not isinstance(job_id, str | int):
        return None
    return str(job_id)


@cache
def key_types() -> dict[str, str]:
    """Say the Redis type of each key by the name of its attribute, from ``keys.py``."""
    return {
        name: (inspect.getdoc(member) or "").split(":")[0]
        for name, member in inspect.getmembers(Keys)
        if not name.startswith("_") and name not in ("tag", *Keys.__dataclass_fields__)
    }


def read_all(client: Redis) -> dict[str, tuple[str, Any]]:
    """Read the type and the value of every key, in one round trip."""
    raw: Any = client  # its types say str where we always get bytes
    found: dict[str, tuple[str, Any]] = {}
    for name, kind, value in raw.eval(_READ_ALL, 0):
        match kind:
            case b"hash":
                value = dict(zip(value[::2], value[1::2], strict=True))
            case b"set":
                value = set(value)
            case b"zset":
                scores = map(float, value[1::2])
                value = list(zip(value[::2], scores, strict=True))
            case b"stream":
                value = [
                    (stamp, dict(zip(row[::2], row[1::2], strict=True)))
                    for stamp, row in value
                ]
        found[name.decode()] = (kind.decode(), value)
    return found


_READ_ALL = """
local readers = {string = {'GET'}, hash = {'HGETALL'}, list = {'LRANGE', 0, -1},
  set = {'SMEMBERS'}, zset = {'ZRANGE', 0, -1, 'WITHSCORES'}, stream = {'XRANGE', '-', '+'}}
local found = {}
for i, name in ipairs(redis.call('KEYS', '*')) do
  local kind = redis.call('TYPE', name).ok
  local reader = readers[kind]
  found[i] = {name, kind, redis.call(reader[1], name, unpack(reader, 2))}
end
return found
"""


def read(client: Redis, keys: Keys) -> Snapshot:
    """Read all keys; a key that is not described, or of another type, is an error."""
    types, found = key_types(), Snapshot()
    waiting = {keys.waiting(priority) for priority in PRIORITIES}
    with_id = {
        "session": "session",
        "job": "job",
        "doc": "doc",
        "attempts": "attempts",
        "log": "log",
        "aside": "aside_list",
        "data": "data",
        "orders": "orders",
    }
    for name, (kind_of_value, value) in read_all(client).items():
        if name in waiting or name == keys.staged:
            assert kind_of_value == "list", f"{name} is a {kind_of_value}"
            found.lists[name] = value
            continue
        if name.startswith((f"{keys.heartbeat_prefix}:", f"{keys.progress_prefix}:")):
            continue
        assert name.startswith(f"{keys.tag}:"), f"a key that is not ours: {name}"
        kind, _, of = name.removeprefix(f"{keys.tag}:").partition(":")
        attribute = with_id.get(kind, "") if of else kind
        assert attribute in types, f"keys.py does not know {name}"
        assert kind_of_value == types[attribute], f"{name} is a {kind_of_value}"
        match attribute:
            case "session":
                found.sessions[of] = _hash(value)
            case "job":
                found.records[of] = _hash(value)
            case "doc":
                found.docs[of] = value
            case "attempts":
                found.attempts[of] = [_text(element) for element in value]
            case "log":
                found.logs[of] = value
            case "aside_list":
                found.aside_lists[of] = value
            case "orders":
                found.orders += value
            case "data":
                pass
            case _ if types[attribute] == "hash":
                found.single[attribute] = _hash(value)
            case _ if types[attribute] == "zset":
                found.single[attribute] = {_text(m): score for m, score in value}
            case _ if types[attribute] == "set":
                found.single[attribute] = {_text(member) for member in value}
            case _:
                found.single[attribute] = value
    return found


def check_invariants(client: Redis, keys: Keys) -> None:
    """Assert what holds for every job, session and index at rest."""
    check_snapshot(read(client, keys))


def check_snapshot(s: Snapshot) -> None:
    """The same, of what was read already."""
    copies = s.copies()
    for job_id, record in s.records.items():
        _check_record(s, job_id, record, copies.get(job_id, []))
    _check_indexes(s)
    _check_sessions(s)
    _check_aside(s)
    _check_streams(s)


def _check_record(s: Snapshot, job_id: str, record: Hash, copies: list[bytes]) -> None:
    state, raw = record.get("state"), s.docs.get(job_id)
    assert state in STATES, f"{job_id}: {record}"
    holders = [name for name, row in s.sessions.items() if row.get("job") == job_id]
    in_times = [kind for kind in ("delayed", "backoff") if job_id in s.scores(kind)]
    fence = int(s.hash("meta").get("fence", "0"))
    said = f"{job_id}: {record}, in hand of {holders}, in {in_times}"

    # Exactly one place.
    assert (state == "running") == (len(holders) == 1), said
    assert len(holders) <= 1, said
    assert len(in_times) == (state == "delayed"), said
    assert (state in ENDED_WORDS) == (job_id in s.scores("ended")), said
    if state == "queued":
        shas = {_sha(copy) for copy in copies}
        wanted = {record["sha"]} if "sha" in record else shas
        assert wanted & shas, f"its document lies in no list: {said}"
        assert raw is None, f"its document lies in a list and apart: {said}"
    if state in ("running", "delayed"):
        assert raw is not None, f"its document is gone: {said}"
    if raw is not None:
        assert _sha(raw) == record["sha"], f"another document: {said}"

    # One owner, tokens that only grow.
    if state == "running":
        session = s.sessions[holders[0]]
        assert record["session"] == holders[0], said
        assert session["token"] == record["token"], said
        assert int(record["attempts"]) >= 1, said
    for name in ("token", "settled"):
        assert int(record.get(name, "0").split()[0]) <= fence, said

    # The record in itself.
    charged = int(record.get("failures", "0")) + int(record.get("crashes", "0"))
    assert charged <= int(record.get("attempts", "0")), said
    assert len(s.attempts.get(job_id, [])) <= 50, said
    for entry in s.attempts.get(job_id, []):
        json.loads(entry)
    swallow, called_off = int(record.get("swallow", "0")), record.get("swallow_sha", "")
    assert len(set(called_off.split())) == swallow or (swallow, called_off) == (1, "")

    if state in ENDED_WORDS:
        score, ended_ms = s.scores("ended")[job_id], int(record["ended_ms"])
        # A document that has not surfaced keeps its record young.
        assert score == ended_ms or ("swallow" in record and score > ended_ms), said


def _check_indexes(s: Snapshot) -> None:
    for kind in ("ended", "delayed", "backoff"):
        assert set(s.scores(kind)) <= set(s.records), f"{kind} names unknown jobs"
    for kind, found in (("doc", s.docs), ("attempts", s.attempts), ("log", s.logs)):
        assert set(found) <= set(s.records), f"{kind} of a job that has no record"


def _check_sessions(s: Snapshot) -> None:
    assert set(s.sessions) == set(s.scores("sessions")), "sessions and their leases"
    mapped = {row["worker_id"]: name for name, row in s.sessions.items()}
    assert mapped == s.hash("workers"), "worker ids and their sessions"
    provided = Counter(row["provides"] for row in s.sessions.values())
    assert {k: int(n) for k, n in s.hash("kinds").items()} == dict(provided), "kinds"
    idle = {name for name, row in s.sessions.items() if "idle" in row}
    assert idle == s.members("idle"), "idle sessions"
    tokens = []
    for name, row in s.sessions.items():
        assert ("job" in row) == ("token" in row), f"half a hand: {name} {row}"
        assert ("paused" in row) == (row["worker_id"] in s.members("paused")), name
        if "job" in row:
            assert s.records[row["job"]]["state"] == "running", f"{name}: {row}"
            tokens.append(row["token"])
    assert len(tokens) == len(set(tokens)), "one token in two hands"


def _check_aside(s: Snapshot) -> None:
    counted = {needs: int(number) for needs, number in s.hash("aside").items()}
    lengths = {needs: len(raws) for needs, raws in s.aside_lists.items()}
    assert counted == lengths, "jobs set aside, by what they need"
    total = int(s.hash("meta").get("aside", "0"))
    assert total == sum(lengths.values()), "jobs set aside, altogether"


def _check_streams(s: Snapshot) -> None:
    for _, row in s.single.get("rejected", []):
        assert set(row) == {b"list", b"reason", b"raw"}, row
        assert row[b"reason"], row
        assert not row[b"reason"].startswith(b"script"), row
    last: dict[str, str] = {}
    running: dict[str, int] = {}
    for _, row in s.single.get("events", []):
        job_id, said = _text(row[b"job_id"]), _text(row[b"event"])
        word = "queued" if said == "aside" else said
        if word in STATES:
            assert not (word == "running" and last.get(job_id) == "running"), (
                f"{job_id} was handed out twice"
            )
            last[job_id] = word
            running[job_id] = running.get(job_id, 0) + (word == "running")
    for job_id, record in s.records.items():
        if job_id in last:
            assert last[job_id] == record["state"], f"{job_id}: events say {last}"
    stamps = [entry_id for entry_id, _ in s.single.get("events", [])]
    assert all(one != other for one, other in pairwise(stamps))


def _hash(rows: dict[bytes, bytes]) -> Hash:
    return {_text(name): _text(value) for name, value in rows.items()}


def _sha(raw: bytes) -> str:
    return hashlib.sha1(raw.rstrip(), usedforsecurity=False).hexdigest()


def _text(value: bytes) -> str:
    return value.decode(errors="replace")
