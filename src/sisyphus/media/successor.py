"""Whether one film may take another's place: the same kinds of streams, as long."""

from __future__ import annotations

from collections import Counter

from sisyphus.errors import OutputRefused
from sisyphus.media.expected import COUNTED_KINDS, counted
from sisyphus.media.probe import Film

_SLACK_SECONDS, _SLACK_SHARE = 1.0, 0.005
# Where the container only estimates how long it is.
_LOOSE_SECONDS, _LOOSE_SHARE = 2.0, 0.05


def check_successor(new: Film, original: Film) -> list[str]:
    """Compare a film with the one whose place it is to take.

    Returns what could not be compared, or looks odd.

    Raises:
        OutputRefused: a kind of stream is missing, or the lengths differ.
    """
    _check_kinds(new, original)
    if new.duration is None or original.duration is None:
        unknown = new if new.duration is None else original
        return [f"the length of {unknown.path} is not known, and was not compared"]
    said = (
        f"{new.path} is {new.duration:.2f} s long,"
        f" {original.path} is {original.duration:.2f} s"
    )
    seconds, share = _SLACK_SECONDS, _SLACK_SHARE
    exact = new.trusted and original.trusted
    if not exact:
        seconds, share = _LOOSE_SECONDS, _LOOSE_SHARE
    difference = new.duration - original.duration
    if abs(difference) <= seconds + share * original.duration:
        return []
    if exact or difference < 0:
        raise OutputRefused(f"{said}: they are not the same film")
    return [said]


def _check_kinds(new: Film, original: Film) -> None:
    had, has = (Counter(s.kind for s in counted(film)) for film in (original, new))
    for kind in COUNTED_KINDS:
        if had[kind] and not has[kind]:
            raise OutputRefused(
                f"{new.path} has no {kind} stream, {original.path} has {had[kind]}"
            )
