"""What is wrong with an input is told with the nearest thing that would be right."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from sisyphus.errors import InvalidJob
from sisyphus.job import parse_job
from sisyphus.problems import did_you_mean, problems_of


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    language: str = ""
    destination: str = Field("", validation_alias=AliasChoices("destination", "to"))


class Other(BaseModel):
    model_config = ConfigDict(extra="forbid")

    threshold: int = 0


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    copies: tuple[Inner, ...] = Field((), alias="copy")
    by_name: dict[str, Inner] = Field(default_factory=dict)
    either: Inner | Other | None = None


def said(data: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(data)
    return "; ".join(map(str, problems_of(caught.value, "task", model=Outer)))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"copi": []}, "task.copi: is not a known key; did you mean 'copy'?"),
        (
            {"copy": [{}, {"languag": ""}]},
            "copy[1].languag: is not a known key; did yo",
        ),
        ({"copy": [{"dest": ""}]}, "did you mean 'destination'?"),
        ({"by_name": {"x": {"lang": ""}}}, "did you mean 'language'?"),
        ({"either": {"treshold": 1}}, "did you mean 'threshold'?"),
        ({"copy": [{"zzz": ""}]}, "known are destination, language"),
    ],
)
def test_an_unknown_key_is_told_the_nearest_known_one_however_deep_it_stands(
    data: Any, expected: str
) -> None:
    assert expected in said(data)


def test_keys_of_a_task_object_are_known_too() -> None:
    task = {"module": "cleanup", "data": {}, "time_out": 1}
    document = {"job_id": "1", "job_title": "t", "tasks": [task]}

    with pytest.raises(InvalidJob, match="did you mean 'timeout'"):
        parse_job(json.dumps(document))


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("dest", "; did you mean 'destination'?"),
        ("sorce", "; did you mean 'source'?"),
        ("x", "; known are destination, source"),
    ],
)
def test_the_beginning_of_a_name_counts_as_near(name: str, hint: str) -> None:
    assert did_you_mean(name, ["source", "destination"]) == hint
