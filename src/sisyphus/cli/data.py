"""``sisyphus data``: the option sets and profiles that tasks name."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from sisyphus.cli import render
from sisyphus.cli.options import (
    AsJson,
    ModuleFolders,
    Queue,
    RedisUrl,
    connected,
    group,
    settings_of,
)
from sisyphus.errors import ConfigError, WrongState
from sisyphus.modules.registry import Registry
from sisyphus.problems import did_you_mean

app = group("Keep named option sets and profiles for modules.")

ModuleName = Annotated[str, typer.Argument(metavar="MODULE", help="Such as ffmpeg.")]
DataName = Annotated[str, typer.Argument(metavar="NAME", help="As tasks name it.")]


@app.command("list")
def list_data(
    module: ModuleName,
    as_json: AsJson = False,
    redis_url: RedisUrl = None,
    queue: Queue = None,
) -> None:
    """List what is stored for a module."""
    with connected(redis_url, queue) as client:
        names = client.data_names(module)
    if as_json:
        render.emit_json(names)
        return
    for name in names:
        render.say(render.plain(name))
    if not names:
        render.note(
            f"Nothing is stored for {module}."
            f" `sisyphus data put {module} NAME FILE` stores something."
        )


@app.command()
def show(
    module: ModuleName,
    name: DataName,
    as_json: AsJson = True,
    redis_url: RedisUrl = None,
    queue: Queue = None,
) -> None:
    """Print a stored document, always as JSON."""
    with connected(redis_url, queue) as client:
        found = client.get_data(module, name)
    if found is None:
        raise _missing(module, name)
    render.emit_json(found)


@app.command()
def put(
    module: ModuleName,
    name: DataName,
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="JSON or YAML; - for standard input."),
    ],
    modules: ModuleFolders = None,
    as_json: AsJson = False,
    redis_url: RedisUrl = None,
    queue: Queue = None,
) -> None:
    """Store a document, in the place of one of the same name.

    One that no task of the module could use is refused.
    """
    document = _read(file)
    registry = Registry.load(settings_of(redis_url, queue, module_folders=modules))
    if not registry.check_stored(module, document):
        hint = did_you_mean(module, registry.names)
        render.note(f"There is no module {module} here, so this is not checked{hint}.")
    with connected(redis_url, queue) as client:
        replaced = client.get_data(module, name) is not None
        client.put_data(module, name, document)
    if as_json:
        render.emit_json({"module": module, "name": name, "replaced": replaced})
        return
    said = "stored, in the place of an older one" if replaced else "stored"
    render.say(render.plain(f"{module} {name}: {said}"))


def _read(file: Path) -> dict[str, Any]:
    try:
        raw = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        text = raw.decode()
        is_yaml = file.suffix.lower() in (".yaml", ".yml")
        value = yaml.safe_load(text) if is_yaml else json.loads(text)
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from None
    except (ValueError, yaml.YAMLError) as error:
        said = " ".join(str(error).split())
        raise ConfigError(f"{file} cannot be understood: {said}") from None
    if not isinstance(value, dict):
        raise ConfigError(f"{file} must hold an object, such as an option set")
    return value


def _missing(module: str, name: str) -> WrongState:
    return WrongState(
        f"nothing is stored for {module} under {name!r}:"
        f" see `sisyphus data list {module}`"
    )


@app.command()
def remove(
    module: ModuleName,
    name: DataName,
    as_json: AsJson = False,
    redis_url: RedisUrl = None,
    queue: Queue = None,
) -> None:
    """Delete a stored document."""
    with connected(redis_url, queue) as client:
        if not client.remove_data(module, name):
            raise _missing(module, name)
    if as_json:
        render.emit_json({"module": module, "name": name})
        return
    render.say(render.plain(f"{module} {name}: removed"))
