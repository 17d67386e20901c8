"""Types of HandBrake's options, for checks and for the forms that people fill in.

No value is null, unless the option may stand alone. ``check_value`` says so for all of
them alike; so null stands in the types, but is not shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    Strict,
    ValidationError,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue, SkipJsonSchema
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from sisyphus.modules.handbrake_values import (
    CHOICES,
    FILTERS,
    SIDES,
    UNITS,
    check_choice,
)


def refuse(title: str, wrong: Mapping[str, tuple[Any, str]]) -> None:
    """Report what is wrong with the members of an object: name to value and reason.

    Raises:
        ValidationError: there is something.
    """
    rows: list[InitErrorDetails] = [
        {
            "type": PydanticCustomError("option", "{why}", {"why": why}),
            "loc": (name,),
            "input": value,
        }
        for name, (value, why) in wrong.items()
    ]
    if rows:
        raise ValidationError.from_exception_data(title, rows)


def _number(value: Any) -> Any:
    """Take ``"22"`` for a number, but not ``true``."""
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


def _text(value: Any) -> Any:
    """Take 4.1 for ``"4.1"``."""
    return str(value) if isinstance(value, int | float) else value


def _drc(value: Any) -> Any:
    if value is not None and value != 0 and not 1 <= value <= 4:
        raise ValueError("must be from 1 to 4, or 0 for none")
    return value


def _listed(value: Any) -> Any:
    if isinstance(value, str):
        return value.split(",")
    return value if value is None or isinstance(value, list | tuple) else [value]


def _listed_texts(value: Any) -> Any:
    """Take one name for a list of one, whatever signs are in it."""
    return [value] if isinstance(value, str) else value


Nothing = SkipJsonSchema[None]
Flag = Annotated[bool, Strict()] | Nothing
Integer = Annotated[int, BeforeValidator(_number)] | Nothing
Int = Annotated[int, Field(ge=0), BeforeValidator(_number)] | Nothing
Count = Annotated[int, Field(ge=1), BeforeValidator(_number)] | Nothing
_Float = Annotated[float, Field(allow_inf_nan=False)]
_NUMBER = WithJsonSchema({"type": "number"})
Number = Annotated[int | _Float, BeforeValidator(_number), _NUMBER] | Nothing
Text = Annotated[str, Field(min_length=1)] | Nothing
Code = Annotated[str, Field(min_length=1), BeforeValidator(_text)] | Nothing
"""A text that is often written as a number."""
Compression = Annotated[Number, AfterValidator(_drc)]

Item = TypeVar("Item")
Listed = Annotated[tuple[Item | Nothing, ...] | Nothing, BeforeValidator(_listed)]
"""A list; one value alone is a list of one."""
ListedTexts = Annotated[
    tuple[Item | Nothing, ...] | Nothing, BeforeValidator(_listed_texts)
]


@dataclass(frozen=True, slots=True)
class OneOf:
    """Marks the text of an option that takes a few words only."""

    option: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        def check(value: Any) -> Any:
            return value if value is None else check_choice(self.option, str(value))

        return core_schema.no_info_plain_validator_function(check)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "enum": list(CHOICES[self.option])}


@dataclass(frozen=True, slots=True)
class FilterValue:
    """Marks the value of a filter; ``check_value`` knows all about it."""

    option: str

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        known = FILTERS[self.option]
        presets = {"enum": list(known.presets)}
        scalar = {"type": ["number", "string", "boolean"]}
        settings = {name.replace("-", "_"): scalar for name in sorted(known.settings)}
        custom = _object(settings)
        choices: list[dict[str, Any]] = [{"type": "boolean"}]
        members: dict[str, Any] = {}
        if known.presets:
            choices.append(presets)
            members["preset"] = presets
        return {"anyOf": [*choices, _object({**members, "custom": custom, **settings})]}


def _object(members: Mapping[str, Any], **rules: int) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(members),
        "additionalProperties": False,
        **rules,
    }


def _some(*choices: Mapping[str, Any]) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": list(choices)})


# Values that check_value knows all about: for people only their form is told.
_BOOLEAN = {"type": "boolean"}
_PLACE_NUMBER = {"type": "integer", "minimum": 1}
_AMOUNT = {"type": "number", "minimum": 0}
_PIXELS = {"type": "integer", "minimum": 0}
PLACE = WithJsonSchema(
    _object(dict.fromkeys(UNITS, _AMOUNT), minProperties=1, maxProperties=1)
)
CROP = WithJsonSchema(_object(dict.fromkeys(SIDES, _PIXELS)))
ENCOPTS = WithJsonSchema(
    {
        "type": "object",
        "additionalProperties": {"type": ["number", "string", "boolean", "null"]},
    }
)
PIXEL_ASPECT = WithJsonSchema({"type": "string", "pattern": r"^\d+:\d+$"})
SUBTITLES = _some(
    {"type": "array", "items": {"anyOf": [_PLACE_NUMBER, {"enum": ["scan"]}]}},
    _BOOLEAN,
)
SELECTED = _some(_PLACE_NUMBER, _BOOLEAN)
SELECTED_OR_NATIVE = _some(_PLACE_NUMBER, _BOOLEAN, {"enum": ["native", "none"]})
