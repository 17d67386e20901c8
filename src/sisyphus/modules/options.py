"""Options of tools as jobs write them: names, values, and what no value may be."""

from __future__ import annotations

import re

Scalar = bool | int | float | str | None
OptionValue = Scalar | dict[str, Scalar]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_LEADS_AWAY = re.compile(
    r"(?:^|[=:,;|@+(\]])\s*(?:/(?=[^\s/])|~/|\.\.?/)|[a-z][a-z0-9+.-]*://"
    r"|(?:^|[/=:])\.\./",
    re.IGNORECASE,
)


def words(text: str) -> frozenset[str]:
    """Take a text of names apart."""
    return frozenset(text.split())


def check_name(name: str) -> None:
    """Refuse a name that is more than a name.

    Raises:
        ValueError: it holds other signs than letters, digits, ``_`` and ``-``.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"the option name {name!r} may hold letters, digits, '_' and '-' only"
        )


def check_text(name: str, text: str) -> None:
    """Refuse a value that a tool could take for a path or an address.

    Raises:
        ValueError: it could.
    """
    # Without quoting signs, so that no spelling of a path slips through.
    if _LEADS_AWAY.search(re.sub(r"[\\'\"]", "", text)):
        raise ValueError(
            f"the value of {name!r} names a file or an address, which jobs may not"
        )


def rendered(value: OptionValue) -> str:
    """Write a value as one argument: objects as ``key=value:key=value``.

    Raises:
        ValueError: it holds a NUL character, which no argument can.
    """
    if isinstance(value, dict):
        text = ":".join(
            key if item is None else f"{key}={_plain(item)}"
            for key, item in value.items()
        )
    else:
        text = _plain(value)
    if "\0" in text:
        raise ValueError("a value holds a NUL character")
    return text


def _plain(value: Scalar) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)
