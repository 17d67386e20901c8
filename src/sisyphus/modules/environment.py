"""What a tool may see of the worker's environment: an allow list, no secrets."""

from __future__ import annotations

import os
from collections.abc import Mapping

_NAMES = frozenset(
    {
        "PATH",
        "HOME",
        "TMPDIR",
        "LANG",
        "LANGUAGE",
        "TZ",
        "XDG_RUNTIME_DIR",
        "LD_LIBRARY_PATH",
        "DYLD_LIBRARY_PATH",
    }
)
_PREFIXES = ("LC_", "LIBVA_", "NVIDIA_", "CUDA_")
_ASCII_ONLY = ("C", "POSIX")


def tool_environment(
    extra: Mapping[str, str] | None = None, *, of: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Make the environment of a tool: allowed names of ``of``, then ``extra``.

    ``of`` is this process's environment unless given.
    """
    # No setting is read here: variables are only passed on to a child.
    source = os.environ if of is None else of  # noqa: TID251
    allowed = {
        name: value
        for name, value in source.items()
        if name in _NAMES or name.startswith(_PREFIXES)
    }
    if allowed.get("LC_ALL") in _ASCII_ONLY:
        # In it mkvmerge opens no file whose name has other letters.
        allowed |= {"LC_ALL": "C.UTF-8"}
    return {**allowed, **(extra or {})}
