"""What can be wrong with this machine, as findings: each says how to mend it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sisyphus import __version__
from sisyphus.errors import ConfigError, JobError, ToolMissing
from sisyphus.limits import Limits, memory_keeper
from sisyphus.modules.registry import Registry
from sisyphus.modules.tool import Tools
from sisyphus.settings import Settings
from sisyphus.store.health import Finding, Severity

TOOLS = {"ffmpeg": "-version", "ffprobe": "-version", "mkvmerge": "--version"}
OLDEST = {"ffmpeg": 5, "ffprobe": 5, "mkvmerge": 60}
"""Major versions that are known to work."""
ENCODERS = ("libx264", "libx265", "libopus", "aac")
LOW_DISK_BYTES = 10 * 1000**3
TOOL_SECONDS = 15


def machine_findings(settings: Settings) -> Iterator[tuple[str, Finding]]:
    """Look at Python, tools, folders and modules; gives topic and finding."""
    python = ".".join(map(str, sys.version_info[:3]))
    yield "python", ok(f"Python {python}, Sisyphus {__version__}")
    tools = Tools.of(settings)
    for name in TOOLS:
        yield name, tool_finding(tools, name)
    yield from (("encoders", finding) for finding in encoder_findings(tools))
    for folder in settings.roots:
        yield "roots", folder_finding(folder, "--root")
    workdir = settings.workdir or Path(tempfile.gettempdir())
    yield "temporary", folder_finding(workdir, "SISYPHUS_WORKDIR")
    yield from (("limits", finding) for finding in limit_findings(settings, tools))
    yield from (("modules", finding) for finding in module_findings(settings))


def ok(what: str) -> Finding:
    """Say that all is well."""
    return Finding(Severity.OK, what)


def tool_finding(tools: Tools, name: str) -> Finding:
    """Find a tool and ask for its version."""
    try:
        path = tools.find(name)
    except ToolMissing as error:
        what, _, mend = error.message.partition(": ")
        severity = Severity.ERROR if name == "ffmpeg" else Severity.WARNING
        return Finding(severity, what, mend or "check the setting")
    said = _run(path, TOOLS[name])
    if said is None:
        mend = f"run it by hand: {path} {TOOLS[name]}"
        return Finding(Severity.ERROR, f"{path} does not work", mend)
    version = version_in(said)
    shown = f"{version or 'unknown version'}  {path}"
    major = int(version.split(".")[0]) if version else None
    if major is not None and major < OLDEST[name]:
        mend = f"install {name} {OLDEST[name]} or newer"
        return Finding(Severity.WARNING, f"{shown}, is old", mend)
    return ok(shown)


def version_in(said: str) -> str:
    """Find the version in what a tool says of itself; empty for a nightly build."""
    found = re.match(r"\w+ (?:version )?[nv]?(\d+(?:\.\d+)*)", said)
    return found[1] if found else ""


def encoder_findings(tools: Tools) -> Iterator[Finding]:
    """See which of the usual encoders this ffmpeg has."""
    try:
        said = _run(tools.find("ffmpeg"), "-hide_banner", "-encoders")
    except ToolMissing:
        return
    known = {
        words[1] for line in (said or "").splitlines() if len(words := line.split()) > 1
    }
    present = [name for name in ENCODERS if name in known]
    missing = [name for name in ENCODERS if name not in known]
    if present:
        yield ok(", ".join(present))
    if missing:
        yield Finding(
            Severity.WARNING,
            f"this ffmpeg has no {', '.join(missing)}",
            "install a full build of ffmpeg, if jobs name them",
        )


def folder_finding(folder: Path, setting: str) -> Finding:
    """See whether a folder can be written and has room."""
    if not folder.is_dir():
        return Finding(
            Severity.ERROR, f"{folder} is no folder", f"make it, or set {setting}"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        mend = f"chown or chmod it for this user, or set {setting}"
        return Finding(Severity.ERROR, f"{folder} cannot be written", mend)
    free = shutil.disk_usage(folder).free
    shown = f"{folder}, {free / 1000**3:.1f} GB free"
    if free < LOW_DISK_BYTES:
        return Finding(Severity.WARNING, shown, "make room, or use another disk")
    return ok(shown)


def limit_findings(settings: Settings, tools: Tools) -> Iterator[Finding]:
    """Say which limits tools have, if any, and what keeps them."""
    limits = Limits.of(settings)
    try:
        limits = limits.found(tools.find)
    except ToolMissing as error:
        yield Finding(Severity.ERROR, error.message, "mend the setting tool_wrapper")
    if told := limits.told():
        yield ok(", ".join(told))
    if limits.memory and memory_keeper() == "nothing":
        mend = "use tool_wrapper for it, or take tool_memory out"
        yield Finding(Severity.WARNING, "tool_memory has no effect here", mend)


def module_findings(settings: Settings) -> Iterator[Finding]:
    """Load every module."""
    try:
        registry = Registry.load(settings)
    except ConfigError as error:
        yield Finding(Severity.ERROR, error.message, "mend that setting")
        return
    fine = []
    for name in registry.names:
        try:
            registry.get(name)
            fine.append(name)
        except JobError as error:
            yield Finding(Severity.ERROR, error.message, "mend or remove the module")
    if settings.allowed_options:
        allowed = ", ".join(settings.allowed_options)
        yield Finding(
            Severity.WARNING,
            f"jobs may use what is refused elsewhere: {allowed}",
            "take out of allowed_options what no job needs",
        )
    if fine:
        yield ok(", ".join(fine))
    else:
        yield Finding(
            Severity.ERROR, "there is no module", "install one, or use --modules DIR"
        )


def _run(*argv: str) -> str | None:
    """Give what a tool prints, or nothing when it fails."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TOOL_SECONDS,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None
