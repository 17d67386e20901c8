"""What the user of the store may not do, asked without doing it.

Redis checks a user's rights when a command joins a transaction; this one is discarded.
"""

from __future__ import annotations

from sisyphus.store.keys import Keys
from sisyphus.store.wire import Command, Wire

_TEMPLATES = """\
EVALSHA 0 0|TIME|DEL k|UNLINK k|EXISTS k|EXPIRE k 1|GET k|SET k v|HGET k f|HMGET k f
HSET k f v|HDEL k f|HINCRBY k f 1|HEXISTS k f|HKEYS k|LPUSH k v|RPUSH k v|RPOP k|LLEN k
LMOVE k k LEFT LEFT|LTRIM k 0 1|SADD k v|SREM k v|SISMEMBER k v|SRANDMEMBER k
ZADD k 1 v|ZREM k v|ZCARD k|ZSCORE k v|ZRANGE k 0 1|ZRANGEBYSCORE k 0 1|ZPOPMIN k
XADD k * f v|BLMOVE k k LEFT LEFT 1|BLPOP k 1"""
_LOADING = ("SCRIPT", "LOAD", "return 1")


def denied(wire: Wire, keys: Keys) -> list[str]:
    """List what a worker needs and this user may not; empty where it cannot be asked.

    Should the transaction ever be lost on the way, all that is asked about is a key that
    nobody uses; the keys that matter are only looked at.
    """
    own = f"{keys.tag}:none"
    asked: list[tuple[str, str, Command]] = [("SCRIPT LOAD", own, _LOADING)]
    for template in _TEMPLATES.replace("\n", "|").split("|"):
        words = template.split()
        command = tuple(own if word == "k" else word for word in words)
        asked.append((words[0], own, command))
    others = (keys.waiting(), keys.heartbeat("x"), keys.progress("x"))
    asked += [("EXISTS", name, ("EXISTS", name)) for name in others]
    if wire.run(("MULTI",))[0] != b"OK":  # not to be asked, and nothing may be done
        return []
    answers = wire.run(*(command for *_, command in asked), ("DISCARD",))
    missing: dict[str, None] = {}
    for (word, name, _), answer in zip(asked, answers, strict=False):
        text = str(answer) if isinstance(answer, Exception) else ""
        if "NOPERM" in text:
            missing[f"the key {name}" if " key" in text else word] = None
    return list(missing)
