"""``sisyphus modules``: list, describe and begin modules."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from sisyphus.cli import render
from sisyphus.cli.options import AsJson, ModuleFolders, group, settings_of
from sisyphus.errors import JobError
from sisyphus.modules.registry import ModuleClass, Registry
from sisyphus.modules.scaffold import write_module

app = group("List, describe and begin modules.")

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="As `modules list` shows it.")
]


@app.command("list")
def list_modules(folders: ModuleFolders = None, as_json: AsJson = False) -> None:
    """List the modules that jobs may name here."""
    registry = _registry(folders)
    rows: list[tuple[str, str, str]] = []
    for name in registry.names:
        try:
            rows.append((name, _sentence(registry.get(name)), ""))
        except JobError as broken:
            rows.append((name, "", broken.message))
    if as_json:
        members = ("name", "what", "error")
        render.emit_json([dict(zip(members, row, strict=True)) for row in rows])
        return
    table = render.table("MODULE", "WHAT", flexible="WHAT")
    for name, what, error in rows:
        table.add_row(name, render.cut(error or what, "red" if error else ""))
    render.show(table)


@app.command()
def show(name: Name, folders: ModuleFolders = None, as_json: AsJson = False) -> None:
    """Show what a module's task data looks like."""
    module = _registry(folders).get(name)
    schema = module.Settings.model_json_schema(by_alias=True)
    if as_json:
        render.emit_json({"name": name, "what": _doc(module), "settings": schema})
        return
    render.say(Text(name, style="bold"))
    render.say(render.plain(_doc(module)))
    rows = list(fields_of(schema))
    if not rows:
        render.note("Its data is an empty object.")
        return
    render.say("")
    table = render.table("KEY", "TYPE", "DEFAULT", "MEANS", flexible="TYPE MEANS")
    for key, kind, default, means in rows:
        style = "bold" if default == "required" else ""
        table.add_row(Text(key, style=style), kind, default, means)
    render.show(table)


@app.command()
def schema(name: Name, folders: ModuleFolders = None) -> None:
    """Print the JSON Schema of a module's task data, for editors and forms."""
    found = _registry(folders).get(name)
    render.emit_json(found.Settings.model_json_schema(by_alias=True))


@app.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Such as thumbnail.")],
    folder: Annotated[
        Path, typer.Option("--folder", "-d", help="Where to write it.")
    ] = Path(),
) -> None:
    """Write a module that works, and its test, to begin with."""
    module, test = write_module(name, folder)
    render.say(f"wrote {module} and {test}")
    render.note(f"try it: pytest {test}; use it: sisyphus worker --modules {folder}")


def _registry(folders: list[Path] | None) -> Registry:
    return Registry.load(settings_of(module_folders=folders))


def _doc(module: ModuleClass) -> str:
    return inspect.cleandoc(module.__doc__ or "")


def _sentence(module: ModuleClass) -> str:
    return _doc(module).split("\n", 1)[0]


def fields_of(
    schema: Mapping[str, Any], depth: int = 0, part: Mapping[str, Any] | None = None
) -> Iterator[tuple[str, str, str, str]]:
    """List the keys of a JSON Schema: key, type, default, meaning; nested ones indented."""
    here = schema if part is None else part
    required = here.get("required", ())
    for key, field in here.get("properties", {}).items():
        default = field.get("default")
        shown = "required" if key in required else _shown(default)
        means = field.get("description", "")
        inner = _object_in(schema, field)
        if not means and inner:
            means = str(inner.get("description", "")).split("\n", 1)[0]
        yield "  " * depth + key, _kind(schema, field), shown, means
        if inner and depth < 3:
            yield from fields_of(schema, depth + 1, inner)


def _shown(default: Any) -> str:
    if default in (None, [], {}):
        return ""
    return str(default).lower() if isinstance(default, bool) else str(default)


def _resolved(schema: Mapping[str, Any], field: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = field.get("$ref", "")
    found = schema.get("$defs", {}).get(reference.rpartition("/")[2])
    return found if reference and found else field


def _object_in(
    schema: Mapping[str, Any], field: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """Find the one kind of object that a field, a list or a choice holds."""
    field = _resolved(schema, field)
    if field.get("properties"):
        return field
    parts = [field["items"]] if isinstance(field.get("items"), dict) else []
    parts += [p for p in field.get("anyOf", ()) if isinstance(p, dict)]
    for part in parts:
        if found := _object_in(schema, part):
            return found
    return None


def _kind(schema: Mapping[str, Any], field: Mapping[str, Any]) -> str:
    field = _resolved(schema, field)
    if choices := field.get("anyOf"):
        words = [_kind(schema, choice) for choice in choices]
        return " or ".join(dict.fromkeys(word for word in words if word != "null"))
    if values := field.get("enum"):
        return " or ".join(map(str, values))
    kind = str(field.get("format") or field.get("type", "anything"))
    if kind == "array":
        inner = field.get("items")
        return f"list of {_kind(schema, inner)}" if inner else "list"
    return kind
