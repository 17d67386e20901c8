"""Secrets in files: read late, never shown, never from a file that everybody may read."""

from __future__ import annotations

import os
import stat
from errno import ENAMETOOLONG, ENOENT
from pathlib import Path

from sisyphus.errors import ConfigError


def secret_lines(setting: str, file: Path) -> list[str]:
    """Read a file of secrets, one a line, without the blanks around them.

    ``setting`` is what named the file; errors tell it, and nothing of what is in there.

    Raises:
        ConfigError: the file cannot be read, or everybody can read it.
    """
    try:
        with file.open(encoding="utf-8") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            text = opened.read()
    except OSError as error:
        # What names no file may be the secret itself, given in the wrong place.
        is_one = "/" in str(file) or error.errno not in (ENOENT, ENAMETOOLONG)
        shown = file if is_one else "what it names"
        said = f"{setting}: {shown} cannot be read: {error.strerror}"
        raise ConfigError(said) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{setting}: {file} is not UTF-8") from None
    if mode & stat.S_IRWXO:
        raise ConfigError(
            f"{setting}: everybody on this machine can open {file}: chmod o= {file}"
        )
    return [line.strip() for line in text.splitlines() if line.strip()]


def secret_of(setting: str, file: Path) -> str:
    """Read the one secret in a file.

    Raises:
        ConfigError: as ``secret_lines``, or the file holds none or several.
    """
    lines = secret_lines(setting, file)
    if len(lines) != 1:
        raise ConfigError(f"{setting}: {file} must hold one line, it has {len(lines)}")
    return lines[0]
