"""Which modules there are, and how a task's data becomes a module that can run."""

from __future__ import annotations

import importlib.util
import re
import sys
import traceback
from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from sisyphus.errors import (
    ConfigError,
    InvalidSettings,
    ModuleBroken,
    Problem,
    UnknownModule,
)
from sisyphus.modules.base import Module
from sisyphus.modules.legacy import adapt, is_legacy
from sisyphus.modules.options import NOTHING_ALLOWED, Allowed
from sisyphus.problems import did_you_mean, problems_of
from sisyphus.settings import Settings

GROUP = "sisyphus.modules"
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")

ModuleClass = type[Module]


class Registry:
    """The modules that jobs may name; each is loaded when it is first needed.

    A file in a module folder goes before an installed module of the same name.
    """

    def __init__(
        self,
        sources: Mapping[str, EntryPoint | Path | ModuleClass],
        settings: Settings | None = None,
    ) -> None:
        self._sources = dict(sources)
        self._settings = settings
        self._loaded: dict[str, ModuleClass] = {}

    @classmethod
    def load(cls, settings: Settings) -> Self:
        """Find all modules that the settings allow; loads those with allowed options.

        Raises:
            ConfigError: a module folder is missing, or an allowed name is not known.
        """
        found: dict[str, EntryPoint | Path | ModuleClass] = {}
        for entry in entry_points(group=GROUP):
            if NAME.fullmatch(entry.name):
                found[entry.name] = entry
        for folder in settings.module_folders:
            found |= _files_of(folder)
        for name in settings.modules:
            if name not in found:
                hint = did_you_mean(name, found)
                raise ConfigError(f"modules: no module {name!r} is installed{hint}")
        everything = cls(found)
        for refused in settings.allowed_options:
            everything._check_allowed(refused)
        wanted = set(settings.modules or found)
        return cls({name: found[name] for name in found if name in wanted}, settings)

    @property
    def names(self) -> tuple[str, ...]:
        """The names that jobs may use, in alphabetical order."""
        return tuple(sorted(self._sources))

    def get(self, name: str, field: str = "module") -> ModuleClass:
        """Give the class of a module; ``field`` is where the job named it.

        Raises:
            UnknownModule: there is none of this name; names the nearest.
            ModuleBroken: it is there, but cannot be loaded.
        """
        if name not in self._sources:
            hint = did_you_mean(name, self._sources)
            expected = f"is not a module of this worker{hint}"
            raise UnknownModule.of(Problem(field, name, expected))
        if name not in self._loaded:
            self._loaded[name] = _load(name, self._sources[name])
        return self._loaded[name]

    def build(self, name: str, data: Any, field_prefix: str = "task") -> Module:
        """Make the module for one task, its data checked.

        ``field_prefix`` says which task, such as ``tasks[0]``; problems name fields
        such as ``tasks[0].ffmpeg.output_file``.

        Raises:
            UnknownModule: there is no such module.
            InvalidSettings: the data is not what the module wants; lists all problems.
            ModuleBroken: the module cannot be loaded.
        """
        found = self.get(name, field_prefix)
        allowed = NOTHING_ALLOWED
        if self._settings is not None:
            allowed = Allowed.of(self._settings, name, found.may_allow)
        try:
            settings = found.Settings.model_validate(data, context=allowed.context)
        except ValidationError as error:
            place = f"{field_prefix}.{name}"
            problems = problems_of(error, place, model=found.Settings)
            raise InvalidSettings.of(*problems) from None
        module = found(settings)
        module.name = name
        return module

    def check_stored(self, name: str, document: Mapping[str, Any]) -> bool:
        """Check a document that is to be stored for a module; false: it is not known here.

        Raises:
            InvalidSettings: no task of that module could use it; lists all problems.
        """
        try:
            found = self.get(name)
        except (UnknownModule, ModuleBroken):
            return False
        found.check_stored(document)
        return True

    def _check_allowed(self, entry: str) -> None:
        """Refuse an entry of ``allowed_options`` that would allow nothing."""
        module, _, option = entry.partition(".")
        if not option or module not in self._sources:
            hint = did_you_mean(module, self._sources)
            raise ConfigError(
                f"allowed_options: {entry!r} must be a module's name, a dot and an"
                f" option{hint}"
            )
        try:
            refused = self.get(module).may_allow
        except ModuleBroken:
            return  # every job that names it is told
        if not any(map(Allowed.only(module, option).has, refused)):
            hint = did_you_mean(option, refused)
            raise ConfigError(
                f"allowed_options: the module {module} refuses nothing by the name"
                f" {option!r}{hint}"
            )


def _files_of(folder: Path) -> Iterable[tuple[str, Path]]:
    if not folder.is_dir():
        raise ConfigError(f"module_folders: {folder} is not a folder")
    return [
        (path.stem, path)
        for path in sorted(folder.glob("*.py"))
        if NAME.fullmatch(path.stem) and not path.stem.startswith("test_")
    ]


def _load(name: str, source: EntryPoint | Path | ModuleClass) -> ModuleClass:
    try:
        if isinstance(source, Path):
            found = load_file(source)
        elif isinstance(source, EntryPoint):
            found = source.load()
        else:
            found = source
        if is_legacy(found):
            found = adapt(found)
        if not (isinstance(found, type) and issubclass(found, Module)):
            raise TypeError(f"{found!r} is not a subclass of Module")
    except (Exception, SystemExit) as error:
        # Whatever a module file does when loaded, it must not end the worker.
        message = (
            f"the module {name!r} cannot be loaded: {type(error).__name__}: {error}"
        )
        raise ModuleBroken(message, traceback.format_exc()) from error
    return found


def load_file(path: Path) -> Any:
    """Run a module file and give its module class.

    That is the only ``Module`` (or class for an older interface) defined there, else
    the one named like the file: ``two-pass.py`` has ``TwoPass`` or ``Two-pass``.

    Raises:
        LookupError: there is no such class, or it is not clear which one.
        Exception: whatever the file itself raises.
    """
    full_name = f"sisyphus_module_{path.stem}"
    spec = importlib.util.spec_from_file_location(full_name, path)
    if spec is None or spec.loader is None:
        raise LookupError(f"{path} cannot be imported")
    file = importlib.util.module_from_spec(spec)
    # Type annotations of the file's models are looked up there.
    sys.modules[full_name] = file
    spec.loader.exec_module(file)
    classes = [
        member
        for member in vars(file).values()
        if isinstance(member, type)
        and member.__module__ == full_name
        and (issubclass(member, Module) or is_legacy(member))
    ]
    if len(classes) == 1:
        return classes[0]
    wanted = {path.stem.capitalize(), class_name(path.stem)}
    named = [found for found in classes if found.__name__ in wanted]
    if len(named) != 1:
        raise LookupError(
            f"{path} must define one Module, named {class_name(path.stem)}"
        )
    return named[0]


def class_name(name: str) -> str:
    """Give the class name for a module's name: ``two-pass`` makes ``TwoPass``."""
    parts = re.split(r"[-_]+", name)
    return "".join(part[:1].upper() + part[1:] for part in parts)
