"""What it means when Redis refuses, or does not answer: in words, with what to do."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass

from hiredis import ProtocolError
from redis.exceptions import InvalidResponse

from sisyphus.errors import StoreRefused, StoreUnavailable


@dataclass(frozen=True, slots=True)
class _Meaning:
    """One kind of refusal."""

    said: str
    passes: bool = False
    """It may end without anybody changing our settings."""
    every_call: bool = True
    """Whatever is asked meets it."""


_MEANINGS = {
    "Authentication required": _Meaning(
        "it wants a password: put it in the URL, redis://:PASSWORD@host"
    ),
    "username-password pair": _Meaning("the user name or password in the URL is wrong"),
    "without any password configured": _Meaning(
        "it has no password and was given one: take it out of the URL"
    ),
    "index is out of range": _Meaning(
        "it has no database of that number: the last part of the URL is too large"
    ),
    "protected mode": _Meaning(
        "it serves only its own machine (protected-mode): give it a password"
    ),
    "MOVED": _Meaning(
        "it is part of a cluster, which is not supported: use a server of its own"
    ),
    "CLUSTERDOWN": _Meaning(
        "it is part of a cluster, which is not supported: use a server of its own"
    ),
    "OOM": _Meaning(
        "it is full and takes no new job: raise maxmemory or drop keys (nothing is lost)",
        passes=True,
    ),
    "MISCONF": _Meaning(
        "it cannot save to its disk (full?) and takes no writes until it can: its log"
        " says more",
        passes=True,
    ),
    "NOREPLICAS": _Meaning(
        "too few of its replicas answer, and it takes no writes until they do"
        " (min-replicas-to-write)",
        passes=True,
    ),
    "READONLY": _Meaning("it is a replica: use the address of the primary"),
    "MASTERDOWN": _Meaning(
        "it is a replica without its primary: use the address of the primary"
    ),
    "LOADING": _Meaning("it is still reading its data from disk", passes=True),
    "BUSY ": _Meaning("it is busy with somebody's script", passes=True),
    "max number of clients": _Meaning(
        "it has no connection left: raise maxclients, or look who has them",
        passes=True,
    ),
    "WRONGTYPE": _Meaning(
        "one of our keys holds another type: is the list's name taken?",
        every_call=False,
    ),
}
_NO_REDIS = "what answers there is no Redis: check host and port of the URL"


def refusal(error: Exception) -> StoreRefused:
    """Say in words what Redis's error means for the person who runs it."""
    text = str(error)
    meaning = _of_rights(text) or next(
        (found for piece, found in _MEANINGS.items() if piece in text), None
    )
    if meaning is None:
        meaning = _Meaning(text.removeprefix("ERR "), every_call=False)
    return StoreRefused(
        f"Redis refused: {meaning.said}",
        passes=meaning.passes,
        every_call=meaning.every_call,
    )


def _of_rights(text: str) -> _Meaning | None:
    if "NOPERM" in text or "no permissions" in text or "ACL failure" in text:
        if found := re.search(r"run the '([^']+)' command", text):
            said = f"this user may not run that command, {found[1].upper()}"
        elif "key" in text:
            said = "this user may not touch the keys of this queue"
        else:
            said = "this user may not run that command"
        return _Meaning(f"{said}: see its ACL", every_call=False)
    if found := re.search(r"unknown command ['`]([^'`]+)['`]", text):
        said = f"it does not know {found[1].upper()}: is it a Sentinel, or no Redis?"
        return _Meaning(f"{said} Use the address of the primary")
    return None


def no_redis(error: BaseException) -> StoreRefused | None:
    """Recognise an answer that no Redis gives; nothing when it is none."""
    if not isinstance(error, ProtocolError | InvalidResponse):
        return None
    hint = ""
    if '"\\x15"' in str(error) or '"\x15"' in str(error):
        hint = "; it seems to speak TLS: write rediss://"
    elif '"H"' in str(error):
        hint = "; it seems to be a web server"
    return StoreRefused(_NO_REDIS + hint, every_call=True)


def silence(error: BaseException, where: str, *, tls: bool) -> StoreUnavailable:
    """Say why there is no answer."""
    reason = str(error).strip() or type(error).__name__
    for cause in _chain(error):
        if isinstance(cause, TimeoutError) or "imeout" in str(cause):
            reason = "no answer in time" + ("; is it a TLS port?" if tls else "")
            break
        if isinstance(cause, socket.gaierror):
            reason = "no host of this name is known"
            break
        if isinstance(cause, OSError) and cause.strerror:
            reason = cause.strerror[:1].lower() + cause.strerror[1:]
            break
        if "closed by server" in str(cause):
            reason = "the connection was closed"
    return StoreUnavailable(f"Redis does not answer: {reason} ({where})")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
