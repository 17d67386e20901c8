"""The scripts' headers tell the truth, and no script does what a script may not."""

from __future__ import annotations

import inspect
import re
from importlib.resources import files

import pytest
from redis import Redis

from sisyphus.lifecycle import ENDED, TRANSITIONS, JobState, Transition
from sisyphus.settings import Settings
from sisyphus.store.keys import Keys
from sisyphus.store.replies import Activity, Verdict
from sisyphus.store.scripts import script, script_names
from sisyphus.store.store import Store
from store.fleet import WRITES, Fleet, document
from store.invariants import check_invariants, key_types

LUA = files("sisyphus.store") / "lua"
NAMES = script_names()
ALL = ["_prelude", *NAMES]

# Of Redis 6.2, each bounded by its arguments or by the number of kinds of workers.
ALLOWED = {
    *("TIME", "DEL", "UNLINK", "EXISTS", "EXPIRE", "GET", "SET"),
    *("HGET", "HMGET", "HSET", "HDEL", "HINCRBY", "HEXISTS", "HKEYS"),
    *("LPUSH", "RPUSH", "RPOP", "LLEN", "LMOVE", "LTRIM"),
    *("SADD", "SREM", "SCARD", "SISMEMBER", "SRANDMEMBER"),
    *("ZADD", "ZREM", "ZCARD", "ZSCORE", "ZRANGE", "ZRANGEBYSCORE", "ZPOPMIN"),
    *("XADD", "XDEL", "XRANGE"),
}

# An argument's name in the header -> the local variable's.
SHORT = {"job_id": "id"}


def text_of(name: str) -> str:
    return (LUA / f"{name}.lua").read_text()


def header_and_body(name: str) -> tuple[str, str]:
    header, body = text_of(name).split("\n\n", 1)
    return header, body


def code_of(name: str) -> str:
    """The script without its comments."""
    return re.sub(r"--.*", "", text_of(name))


def calls(name: str) -> list[tuple[str, str]]:
    """Every command, with what follows it."""
    found = re.finditer(r"redis\.p?call\((?:\w+ and )?'(\w+)'", code_of(name))
    return [(match[1], code_of(name)[match.end() :][:160]) for match in found]


def returned_words(body: str) -> set[str]:
    """The words that may stand first in a returned table."""
    without_calls = re.sub(r"(redis\.call|key)\((?:[^()]|\([^()]*\))*\)", "x", body)
    words: set[str] = set()
    for first in re.findall(r"return \{([^,}]+)", without_calls):
        words |= set(re.findall(r"'(\w+)'", re.sub(r"==\s*'\w+'", "", first)))
    return words


@pytest.mark.parametrize("name", NAMES)
def test_a_header_names_its_script_and_key(name: str) -> None:
    header, _ = header_and_body(name)

    assert re.match(rf"-- {name}\.lua: .+[.,;:]", header)
    assert re.findall(r"^-- KEYS\[(\d+)\]\s+(\w+)\s+(\w+)", header, re.MULTILINE) == [
        ("1", "queue", "list")
    ]
    assert all(line.startswith("--") for line in header.splitlines())


@pytest.mark.parametrize("name", NAMES)
def test_arguments_are_numbered_and_named_in_the_first_lines(name: str) -> None:
    header, body = header_and_body(name)
    told = re.findall(r"^-- ARGV\[(\d+)\]\s+(\w+)", header, re.MULTILINE)
    first, _, rest = body.partition("\n\n")

    assert [number for number, _ in told] == [str(n + 1) for n in range(len(told))]
    used = dict.fromkeys(re.findall(r"ARGV\[(\d+)\]", first))
    assert list(used) == [number for number, _ in told]
    locals_ = [
        variable.strip()
        for names in re.findall(r"local ([\w, ]+?)\s*=(?!=)", first)
        for variable in names.split(",")
    ]
    assert locals_[: len(told)] == [SHORT.get(name, name) for _, name in told]
    assert "ARGV" not in rest
    assert "KEYS[" not in body
    assert script(name).arguments == tuple(argument for _, argument in told)


@pytest.mark.parametrize("name", NAMES)
def test_every_argument_is_used(name: str) -> None:
    _, body = header_and_body(name)
    _, _, rest = body.partition("\n\n")

    for argument in script(name).arguments:
        variable = SHORT.get(argument, argument)
        assert re.search(rf"\b{variable}\b", rest), f"{variable} is not used"


@pytest.mark.parametrize("name", NAMES)
def test_the_documented_replies_are_those_that_are_returned(name: str) -> None:
    header, body = header_and_body(name)

    documented = set(re.findall(r"\{'(\w+)'", header))

    assert documented == returned_words(body)
    assert documented == script(name).replies


def test_the_words_of_a_renewal_are_those_of_its_enumerations() -> None:
    header, body = header_and_body("renew")
    words = {*map(str, Verdict), *map(str, Activity)}

    assert words <= set(re.findall(r"'(\w+)'", header))
    assert words <= set(re.findall(r"'(\w+)'", body))


def lua_kinds() -> set[tuple[str, bool]]:
    """The kinds of keys that scripts build, and whether an id follows."""
    found: set[tuple[str, bool]] = set()
    for name in ALL:
        for kind, more in re.findall(r"\bkey\('(\w+)'(,?)", code_of(name)):
            found.add((kind, bool(more)))
    return found


def python_kinds() -> set[tuple[str, bool]]:
    """The same, of ``Keys``."""
    keys, found = Keys(), set()
    for name in key_types():
        member = getattr(keys, name)
        if not callable(member):
            found.add((member.removeprefix(f"{keys.tag}:"), False))
            continue
        built = member(*("X" for _ in inspect.signature(member).parameters))
        if built.startswith(f"{keys.tag}:"):
            found.add((built.removeprefix(f"{keys.tag}:").removesuffix(":X"), True))
    return found


def test_scripts_and_python_know_the_same_keys() -> None:
    of_python_only = {("data", True)}
    never_there = {("none", False)}

    assert lua_kinds() - never_there == python_kinds() - of_python_only


def test_every_key_says_its_type_and_content() -> None:
    for name, kind in key_types().items():
        assert kind in ("string", "list", "hash", "set", "zset", "stream"), name


@pytest.mark.parametrize("name", ALL)
def test_the_key_that_is_never_there_is_only_deleted(name: str) -> None:
    code = code_of(name)

    assert code.count("key('none')") == code.count("redis.call('DEL', key('none'))")


@pytest.mark.parametrize("name", ALL)
def test_commands_are_of_the_oldest_server_and_bounded(name: str) -> None:
    found = calls(name)

    assert code_of(name).count("redis.call(") + code_of(name).count("redis.pcall(") == (
        len(found)
    )
    for command, rest in found:
        command_names = {command, "LPUSH"} if "or '" in rest[:12] else {command}
        assert command_names <= ALLOWED, command
        if command == "ZRANGEBYSCORE":
            assert "'LIMIT'" in rest
        if command == "ZRANGE":
            assert re.match(r", [^,]+\)?, 0, (0|math\.min)", rest), rest
        if command == "SRANDMEMBER":
            assert re.match(r", key\('idle'\), \d+\)", rest), rest
        if command == "XRANGE":  # one entry
            assert rest.startswith(", key('rejected'), entry, entry)"), rest
        if command == "HKEYS":
            assert re.match(r", key\('(kinds|aside)'\)", rest), rest
    for never in ("KEYS(", "'KEYS'", "SCAN", "'LRANGE'", "'HGETALL'", "'SMEMBERS'"):
        assert never not in code_of(name)


@pytest.mark.parametrize("name", NAMES)
def test_scripts_have_the_names_of_methods(name: str) -> None:
    assert inspect.isfunction(getattr(Store, name, None))


def test_every_transition_is_a_script() -> None:
    assert {row.name for row in TRANSITIONS} <= set(NAMES)


STATES_IN_WORDS = {state.value: {state} for state in JobState} | {
    "ended": set(ENDED),
    "nothing": set(),
}


@pytest.mark.parametrize("row", TRANSITIONS, ids=lambda row: row.name)
def test_a_header_tells_states_that_the_lifecycle_knows(row: Transition) -> None:
    header, _ = header_and_body(row.name)
    arrow = re.match(r"-- \w+\.lua: ([\w, ]+) -> ([\w, ]+)[.;]", header)
    assert arrow is not None, header
    before, after = (
        set().union(*(STATES_IN_WORDS[word] for word in re.split(r", | or ", side)))
        for side in arrow.groups()
    )

    assert before <= row.before
    assert after <= row.after


@pytest.mark.parametrize("name", NAMES)
def test_a_script_loads_and_its_hash_is_the_server_s(fleet: Fleet, name: str) -> None:
    run = script(name)

    assert fleet.client.script_load(run.text) == run.sha


def test_a_call_with_wrong_names_is_refused() -> None:
    with pytest.raises(TypeError, match="promote takes"):
        script("promote").call("queue", bound=1)
    with pytest.raises(TypeError, match="cancel takes"):
        script("cancel").call("queue", keep=1, job_id="a")


@pytest.mark.parametrize("queue", ["queue", "films", "{films}", "{fam}:jobs", "a b:ä"])
def test_all_keys_of_a_family_carry_its_tag(
    redis_url: str, client: Redis, queue: str
) -> None:
    store = Store(Settings.load(redis_url=redis_url, queue=queue))
    fleet = Fleet(store, client)
    fleet.push(b"bad", document("a"), document("b"), document("c", requires=["gpu"]))
    store.submit("d", document("d"), 5, 0, "")
    session = fleet.worker()

    for job_id in ("d", "a", "b"):
        lease = fleet.take(session).lease
        assert lease.job_id == job_id
        for name in ("checkpoint", "log", "retry" if job_id == "b" else "fail"):
            assert WRITES[name](store, lease)
    store.cancel("c")
    store.steer("w", Activity.PAUSE)
    store.put_data("ffmpeg", "x", {})

    check_invariants(client, store.keys)
    store.close()
