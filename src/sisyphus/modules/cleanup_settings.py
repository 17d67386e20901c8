"""The data of a ``cleanup`` task, in both dialects, and the operations it comes to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    TypeAdapter,
    WithJsonSchema,
    WrapValidator,
    model_validator,
)

from sisyphus.modules.base import ModuleSettings, Step
from sisyphus.modules.fields import InputFile, OutputFile
from sisyphus.modules.verifying import VerifiedSettings, Verify

_INPUT: TypeAdapter[Path] = TypeAdapter(InputFile)


def _as_path(value: Any, _: Any) -> Path:
    return _INPUT.validate_python(value)


# Not an InputFile, which must be there when the job starts: an earlier operation of this
# very task may make the file, and a missing file is nothing wrong for "delete".
AnyFile = Annotated[
    Path,
    WrapValidator(_as_path),
    WithJsonSchema({"type": "string", "format": "path", "minLength": 1}),
]


class Transfer(ModuleSettings):
    """One file to copy or move."""

    source: AnyFile = Field(description="The file.")
    destination: OutputFile = Field(
        description="Its new path, or a folder that receives it under its name."
    )


class Replacement(VerifiedSettings):
    """One original, and the new file that takes its place."""

    original: AnyFile = Field(
        description="The file that goes into the quarantine; no symbolic link."
    )
    # "with" is a word of Python.
    successor: AnyFile = Field(
        alias="with",
        description="The new file. It gets the original's name, but for the ending,"
        " and its times, permissions and owner.",
    )
    verify: Verify = Field(
        Verify.QUICK,
        description="How thoroughly the new film is compared with the original.",
    )
    keep_days: float | None = Field(
        None,
        ge=0,
        le=36_500,
        description="Days the original is kept for `sisyphus undo`; 0 deletes it as"
        " soon as the new file is in its place. Default: quarantine_days of the worker.",
    )
    any_size: bool = Field(
        False,
        description="Whether the new file may be larger than the original, or smaller"
        " than 3 % of it.",
    )

    @property
    def final(self) -> Path:
        """The original's folder and stem with the new file's ending."""
        old, new = self.original.suffix, self.successor.suffix
        if not new or old.lower() == new.lower():
            return self.original
        return self.original.with_name(self.original.stem + new)

    @model_validator(mode="after")
    def _two_files(self) -> Self:
        if self.original == self.successor:
            raise ValueError("original and with must be two files")
        return self


class CleanupSettings(ModuleSettings):
    """What to do, in the order of the keys."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    verify_exists: tuple[AnyFile, ...] = Field(
        (), description="Files that must be there."
    )
    delete_files: tuple[AnyFile, ...] = Field(
        (), description="Files to delete; missing ones are fine, folders are not."
    )
    copy_files: tuple[Transfer, ...] = Field((), description="The same as copy.")
    delete: tuple[AnyFile, ...] = Field(
        (), description="Files and empty folders to delete; missing ones are fine."
    )
    # "copy" is a method of every pydantic model.
    copies: tuple[Transfer, ...] = Field(
        (), alias="copy", description="Files to copy, with times and permissions."
    )
    move: tuple[Transfer, ...] = Field((), description="Files to move.")
    replace: tuple[Replacement, ...] = Field(
        (),
        description="New files to put in the place of originals, which are kept for"
        " some days.",
    )

    _order: tuple[str, ...] = PrivateAttr(())

    @model_validator(mode="wrap")
    @classmethod
    def _keep_order(cls, data: Any, build: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(data, dict) and not data:
            raise ValueError("needs at least one operation")
        made = build(data)
        if isinstance(data, dict):
            made._order = tuple(data)
        return made

    def operations(self) -> Iterator[Operation]:
        """List what is to be done, in order."""
        for key in self._order:
            entries = getattr(self, "copies" if key == "copy" else key)
            for number, entry in enumerate(entries):
                field = f"{key}[{number}]"
                match entry:
                    case Transfer():
                        verb = "move" if key == "move" else "copy"
                        yield Operation(verb, field, entry.source, entry.destination)
                    case Replacement():
                        yield Operation(key, field, entry.successor, wish=entry)
                    case _:
                        yield Operation(key, field, entry)


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing to do with one file."""

    verb: str
    """``verify_exists``, ``delete_files``, ``delete``, ``copy``, ``move``, ``replace``."""
    field: str
    path: Path
    destination: Path | None = None
    wish: Replacement | None = None

    @property
    def target(self) -> Path | None:
        """Where a copied, moved or new file ends up."""
        if self.wish is not None:
            return self.wish.final
        if self.destination is None or not self.destination.is_dir():
            return self.destination
        return self.destination / self.path.name

    @property
    def takes_away(self) -> bool:
        """Whether the file is gone afterwards."""
        return self.verb not in ("verify_exists", "copy")

    def step(self, days: float) -> Step:
        """Say what will be done; ``days`` is how long originals are kept by default."""
        path, target = self.path, self.target
        if self.wish is not None:
            original = self.wish.original
            kept = days if self.wish.keep_days is None else self.wish.keep_days
            gone = () if self.wish.final == original else (original,)
            fate = f"kept for {kept:g} days" if kept else "deleted then"
            return Step(
                f"put {path} in the place of {original}, which is {fate}",
                reads=(path, original),
                writes=(self.wish.final,),
                deletes=(path, *gone),
            )
        if target is not None:
            return Step(
                f"{self.verb} {path} to {target}",
                reads=(path,),
                writes=(target,),
                deletes=(path,) if self.takes_away else (),
            )
        if self.verb == "verify_exists":
            return Step(f"check that {path} exists", reads=(path,))
        return Step(f"delete {path}", deletes=(path,))
