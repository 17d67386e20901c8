"""Options that people store by name: a profile, or an option set.

The document is ``{"settings": {...}}`` or ``{"options": {...}}``, as it was for the workers
of 2021 and of later; each may be named either way by a task.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import ValidationError, model_validator

from sisyphus.errors import InvalidSettings
from sisyphus.modules.base import ModuleSettings
from sisyphus.modules.ffmpeg_settings import Options
from sisyphus.modules.options import Allowed, OptionValue
from sisyphus.problems import problems_of


class StoredOptions(ModuleSettings):
    """The document."""

    settings: Options | None = None
    options: Options | None = None
    name: Any = None
    """Old exports hold it; the name under which the document is stored is what counts."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.settings is None and self.options is None:
            raise ValueError("needs settings or options, an object")
        if self.settings is not None and self.options is not None:
            raise ValueError("has settings and options, of which only one can count")
        return self


def stored_options(
    document: Mapping[str, Any], allowed: Allowed, *, strict: bool = False
) -> dict[str, OptionValue]:
    """Take the options out of a stored document; ``strict``: it has no other keys.

    Raises:
        InvalidSettings: there are none, or they are wrong.
    """
    # What databases add to every document begins so.
    given = {key: value for key, value in document.items() if key[:1] != "_"}
    if not strict:
        used = "settings" if "settings" in given else "options"
        given = {key: value for key, value in given.items() if key == used}
    try:
        found = StoredOptions.model_validate(given, context=allowed.context)
    except ValidationError as error:
        problems = problems_of(error, model=StoredOptions)
        raise InvalidSettings.of(*problems) from None
    return found.settings or found.options or {}
