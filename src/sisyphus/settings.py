"""Every setting, in one place: read once at the door, then handed inward.

Order: command line, ``SISYPHUS_*`` variables, ``sisyphus.toml`` in the working directory,
the 2021 worker's variables (``REDIS_HOST`` ...), defaults.
"""

from __future__ import annotations

import os
import re
import shlex
import socket
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import quote

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from sisyphus.errors import ABSENT, ConfigError, Problem
from sisyphus.problems import did_you_mean, problems_of

PREFIX = "SISYPHUS_"
LEASE_FLOOR_SECONDS = 3.0
_TOO_LARGE = 2**63
"""Bytes: the kernel takes no such limit."""


def _split(value: Any) -> Any:
    """Take ``a,b`` (or ``a:b`` for folders) from a variable for a list."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _split_paths(value: Any) -> Any:
    if isinstance(value, str):
        return [part for part in value.split(os.pathsep) if part]
    return value


_UNITS = {unit: 1024**power for power, unit in enumerate("KMGT", 1)}


def _bytes(value: Any) -> Any:
    """Take ``4G`` for a number of bytes."""
    found = re.fullmatch(r"(\d+)\s*([KMGT])(i?B)?", str(value).strip(), re.IGNORECASE)
    return int(found[1]) * _UNITS[found[2].upper()] if found else value


def _split_words(value: Any) -> Any:
    if isinstance(value, str):
        return shlex.split(value)
    return value


Bytes = Annotated[int, BeforeValidator(_bytes)]
Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_words)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Folders = Annotated[tuple[Path, ...], NoDecode, BeforeValidator(_split_paths)]


class Settings(BaseSettings):
    """All settings, frozen; each field says its unit and its default."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", toml_file="sisyphus.toml"
    )

    # The store
    redis_url: str = Field(
        "redis://localhost:6379/0",
        repr=False,  # it may hold a password
        description="Redis or Valkey: redis://, rediss:// or unix:// with password.",
    )
    redis_password_file: Path | None = Field(
        None, description="File with the password, for a URL without one."
    )
    redis_ca: Path | None = Field(
        None,
        description="Certificates of who may vouch for Redis; default: the system's.",
    )
    redis_certificate: Path | None = Field(
        None, description="Our certificate, where Redis wants one."
    )
    redis_key: Path | None = Field(None, description="The key of that certificate.")
    queue: str = Field("queue", min_length=1, description="Name of the list of jobs.")
    heartbeat_prefix: str = Field(
        "worker", description="Heartbeats lie in <prefix>:<worker_id>."
    )
    progress_prefix: str = Field(
        "progress", description="Progress lies in <prefix>:<worker_id>."
    )
    max_document_bytes: int = Field(
        8 * 1024 * 1024, ge=1024, description="Larger documents are rejected."
    )
    history_count: int = Field(10_000, ge=1, description="Ended jobs kept.")
    history_days: float = Field(30, gt=0, description="Days an ended job is kept.")
    log_lines: int = Field(2_000, ge=10, description="Lines kept of a job's log.")
    crash_limit: int = Field(
        3, ge=1, description="Workers a job may take down; then it fails."
    )

    # The worker
    concurrency: int = Field(1, ge=1, le=256, description="Worker processes.")
    hostname: str = Field(
        default_factory=socket.gethostname, description="Name in heartbeats and ids."
    )
    worker_id: str | None = Field(
        None, description="Id of the first worker; default: derived from the host name."
    )
    lease: float = Field(
        12.0,
        ge=LEASE_FLOOR_SECONDS,
        description="Seconds after which a silent machine's jobs go to others.",
    )
    patience: float = Field(
        600.0,
        ge=0,
        description="Seconds an encoder may go on while Redis does not answer.",
    )
    grace: float = Field(
        10.0, ge=0, description="Seconds between the polite stop and SIGKILL."
    )
    on_drain: Literal["finish", "release"] = Field(
        "finish", description="At SIGTERM: finish the job, or hand it back at once."
    )
    drain_timeout: float | None = Field(
        None, ge=0, description="Seconds a drain may take before jobs are handed back."
    )
    max_jobs: int | None = Field(
        None, ge=1, description="Jobs after which a worker process is replaced."
    )
    stall_timeout: float = Field(
        900.0, ge=0, description="Seconds without progress that count as hung; 0 = off."
    )
    labels: Names = Field((), description="What jobs may require of this worker.")
    roots: Folders = Field(
        default_factory=lambda: (Path.cwd(),),
        description="Folders that jobs may read, write and delete below.",
    )
    workdir: Path | None = Field(
        None, description="Folder for temporary files; default: the system's."
    )

    # Modules and tools
    modules: Names = Field((), description="Modules a job may name; default: all.")
    module_folders: Folders = Field(
        (), description="Folders with further modules, one <name>.py each."
    )
    allowed_options: Names = Field(
        (),
        description="Options refused in jobs that they may use here all the same,"
        " such as ffmpeg.filter_complex or mkvmerge.split.",
    )
    ffmpeg: str | None = Field(None, description="Path of ffmpeg.")
    ffprobe: str | None = Field(None, description="Path of ffprobe.")
    mkvmerge: str | None = Field(None, description="Path of mkvmerge.")
    mkvextract: str | None = Field(None, description="Path of mkvextract.")
    handbrake: str | None = Field(None, description="Path of HandBrakeCLI.")

    # Limits of tools
    tool_nice: int = Field(
        0, ge=0, le=19, description="How nice tools are; 19 leaves most to others."
    )
    tool_io_class: Literal["best-effort", "idle"] | None = Field(
        None,
        description="The disk's time for tools: least of the usual class, or what is"
        " left (Linux).",
    )
    tool_memory: Bytes | None = Field(
        None,
        ge=64 * 1024**2,
        lt=_TOO_LARGE,
        description="Memory a tool may take, such as 4G; see deployment.md (Linux).",
    )
    tool_file_size: Bytes | None = Field(
        None,
        ge=1024,
        lt=_TOO_LARGE,
        description="Size of any file a tool writes, such as 100G.",
    )
    tool_wrapper: Words = Field(
        (),
        description="Words put before every tool's command, such as `chrt --idle 0`.",
    )

    # Fonts for subtitles
    font_attachments: bool = Field(
        True, description="Whether mkvmerge attaches the fonts that subtitles need."
    )
    font_folders: Folders = Field(
        (Path("/usr/share/fonts"), Path("/usr/local/share/fonts")),
        description="Folders in which fonts are looked for, with all below.",
    )
    missing_font: Literal["error", "warning"] = Field(
        "error", description="What a font that cannot be found is."
    )

    # Replaced originals
    quarantine_days: float = Field(
        30.0, ge=0, description="Days a replaced original is kept for `sisyphus undo`."
    )

    # Signed documents
    signing_key_file: Path | None = Field(
        None,
        description="File with the key that documents are signed with; workers take"
        " several, one a line.",
    )
    require_signed: bool = Field(
        False, description="Whether a worker runs signed documents only."
    )

    # The HTTP server
    server_host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address it listens on; any but this machine's own needs a token.",
    )
    server_port: int = Field(
        5000, ge=0, le=65535, description="Port it listens on; 0 takes a free one."
    )
    server_token: SecretStr | None = Field(
        None, description="What callers must send as `Authorization: Bearer TOKEN`."
    )
    server_token_file: Path | None = Field(
        None, description="File with that token, in its stead."
    )

    # Logs
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least important line that is shown."
    )
    log_json: bool | None = Field(
        None, description="One JSON object a line; default: when not on a terminal."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the file under the variables, the seed's variables under the file."""
        return (
            init_settings,
            env_settings,
            TomlConfigSettingsSource(settings_cls),
            _SeedVariables(settings_cls),
        )

    @classmethod
    def load(cls, **given: Any) -> Self:
        """Read all sources; values that are ``None`` count as not given.

        Raises:
            ConfigError: a value is wrong, or a name is not known.
        """
        _refuse_unknown_variables()
        try:
            return cls(
                **{key: value for key, value in given.items() if value is not None}
            )
        except ValidationError as error:
            known = list(cls.model_fields)
            found = [_without_secret(p) for p in problems_of(error, known=known)]
            raise ConfigError("; ".join(map(str, found))) from None


def environment_of_workers() -> dict[str, str]:
    """Give what worker processes see of our environment: all but settings and secrets.

    They are handed their settings otherwise, and a module that shows its environment must
    not show the password of Redis.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(PREFIX)
    }


def _without_secret(problem: Problem) -> Problem:
    if problem.field in ("redis_url", "server_token"):
        return Problem(problem.field, ABSENT, problem.expected)
    return problem


class _SeedVariables(PydanticBaseSettingsSource):
    """The variables of the 2021 worker and its successors."""

    _PLAIN: ClassVar[dict[str, str]] = {
        "HOSTNAME_OVERRIDE": "hostname",
        "HOST_UUID": "worker_id",
        "FFMPEG_PATH": "ffmpeg",
        "HANDBRAKE_CLI_PATH": "handbrake",
        "FONT_DIRECTORY": "font_folders",
        "MKVMERGE_ENABLE_FONT_ATTACHMENTS": "font_attachments",
    }

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            field: os.environ[name]
            for name, field in self._PLAIN.items()
            if os.environ.get(name)
        }
        parts = [os.environ.get(f"REDIS_{name}") for name in ("HOST", "PORT", "DB")]
        if any(parts):
            host, port, db = parts
            found["redis_url"] = (
                f"redis://{quote(host or 'localhost')}:{port or 6379}/{db or 0}"
            )
        return found


def _refuse_unknown_variables() -> None:
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    for name in os.environ:
        if name.startswith(PREFIX) and name.upper() not in known:
            hint = did_you_mean(name, known)
            raise ConfigError(f"the variable {name} is not a setting{hint}")
