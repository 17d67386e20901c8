"""Options of tools as jobs write them: names, values, and what no value may be.

A job may not make a tool read or write anywhere but where its settings say. What could
do that is refused, unless the operator of this worker allows it: ``allowed_options``
holds names such as ``ffmpeg.filter_complex``, or ``ffmpeg.*`` for all of a module.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from pydantic import ValidationInfo

from sisyphus.settings import Settings

Scalar = bool | int | float | str | None
OptionValue = Scalar | dict[str, Scalar]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_PROTOCOLS = (
    "amqp|bluray|concatf?|crypto|fd|ffrtmp(?:crypt|http)|file|ftp|gophers?|httpproxy"
    "|https?|icecast|ip[fn]s|mms[ht]|pipe|prompeg|rist|rt[ms]p[est]{0,2}|rtp|sap|sctp"
    "|sftp|smb|srtp?|ssh|tcp|d?tls|udp(?:lite)?|unix|zmq"
)
_LEADS_AWAY = re.compile(
    # The start of a value, or what a tool may take for one; there a path ...
    r"(?:^|[=:,;|@+(\]])\s*(?:/(?!\s)|~/|\.\.?/"
    # ... or an address, for which ffmpeg needs no slashes.
    rf"|(?:{_PROTOCOLS})(?:\+[a-z]+)?:|subfile,)"
    r"|[a-z][a-z0-9+.-]*://|(?:^|[/=:])\.\./",
    re.IGNORECASE,
)
_CONTEXT = "allowed"


@dataclass(frozen=True, slots=True)
class Allowed:
    """What jobs may use of one module here, although it is refused elsewhere.

    A validator of a settings model gets it from pydantic's context, into which
    ``Registry.build`` puts it, so that the error stands at the very field::

        def _checked(options: dict[str, OptionValue], info: ValidationInfo) -> ...:
            allowed = Allowed.in_validation(info)
            for name, value in options.items():
                if name in REFUSED:
                    allowed.check(name, f"the option {name!r} reads another file")
                else:
                    check_text(name, rendered(value), allowed)

        Options = Annotated[dict[str, OptionValue], AfterValidator(_checked)]

    Everywhere else: ``Allowed.of(task.settings, task.module)``. A module says in its
    ``may_allow`` which names an operator may write, so that slips are found at start.
    """

    module: str = ""
    names: frozenset[str] = frozenset()
    known: frozenset[str] = frozenset()
    """What may be allowed by its name; all else only with the whole module."""

    @classmethod
    def of(
        cls, settings: Settings, module: str, known: frozenset[str] = frozenset()
    ) -> Self:
        """Read what the worker's settings allow for one module."""
        entries = [entry.partition(".") for entry in settings.allowed_options]
        return cls.only(
            module, *(name for of, _, name in entries if of == module), known=known
        )

    @classmethod
    def only(
        cls, module: str, *names: str, known: frozenset[str] = frozenset()
    ) -> Self:
        """Allow these names of a module."""
        return cls(module, frozenset(map(_folded, names)), known)

    @classmethod
    def in_validation(cls, info: ValidationInfo) -> Self:
        """Find what the validation at hand was begun with; nothing, if it was not."""
        found = (info.context or {}).get(_CONTEXT)
        return found if isinstance(found, cls) else cls()

    @property
    def context(self) -> Mapping[str, Any]:
        """What to begin a validation with: ``model_validate(data, context=...)``."""
        return {_CONTEXT: self}

    def has(self, name: str) -> bool:
        """Tell whether ``name`` is allowed; ``-`` and ``_`` in it are the same."""
        name = _folded(name)
        parts = name.split(".")
        wider = {".".join([*parts[:n], "*"]) for n in range(len(parts))}
        return not self.names.isdisjoint({name, *wider})

    def check(self, name: str, refusal: str) -> None:
        """Refuse what is not allowed: ``refusal`` is the sentence that says why.

        Raises:
            ValueError: it is not allowed; also says which name would allow it.
        """
        if not self.has(name):
            by = f"{self.module}.{self._lifting(name)}" if self.module else name
            raise ValueError(f"{refusal}, unless allowed_options has {by}")

    def _lifting(self, name: str) -> str:
        """Find the narrowest entry that would allow a name."""
        if not self.known or _folded(name) in map(_folded, self.known):
            return name
        group = name.rpartition(".")[0] + "."
        return f"{group}*" if any(k.startswith(group) for k in self.known) else "*"


NOTHING_ALLOWED = Allowed()


def _folded(name: str) -> str:
    return name.lower().replace("-", "_")


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


def check_text(
    name: str, text: str, allowed: Allowed = NOTHING_ALLOWED, rule: str | None = None
) -> None:
    """Refuse a value that a tool could take for a path or an address.

    ``rule`` is the name by which it can be allowed, ``name`` itself unless given.

    Raises:
        ValueError: it could, and is not allowed.
    """
    # Without quoting signs, so that no spelling of a path slips through.
    if _LEADS_AWAY.search(re.sub(r"[\\'\"]", "", text)):
        refusal = (
            f"the value of {name!r} names a file or an address, which jobs may not"
        )
        allowed.check(rule or name, refusal)


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
