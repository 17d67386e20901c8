"""Which jobs files, folders and standard input hold."""

from __future__ import annotations

import io
import json
import uuid
from pathlib import Path
from types import SimpleNamespace

import pytest

from sisyphus.cli.documents import read_documents
from sisyphus.errors import ConfigError, InvalidJob

YAML = """\
job_title: from yaml
not_before: 2030-01-02T03:04:05Z
tasks:
  - note: {output_file: a.txt}
"""


def test_a_json_file_is_taken_byte_for_byte(tmp_path: Path) -> None:
    raw = b'\xef\xbb\xbf{"job_id" :"a",  "n": 1.50}\n'
    (tmp_path / "a.json").write_bytes(raw)

    (document,) = read_documents([str(tmp_path / "a.json")])

    assert document.raw == raw


def test_a_job_without_an_id_gets_one(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"job_title": "t"}')

    (document,) = read_documents([str(tmp_path / "a.json")])

    job = json.loads(document.raw)
    assert job["job_title"] == "t"
    assert str(uuid.UUID(job["job_id"])) == job["job_id"]


def test_set_id_gives_every_job_a_new_id(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"job_id": "a"}, {"job_id": "a"}]')

    documents = read_documents([str(tmp_path / "a.json")], set_id=True)

    ids = {json.loads(document.raw)["job_id"] for document in documents}
    assert len(ids) == 2
    assert "a" not in ids


def test_yaml_may_hold_several_jobs_and_times(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"{YAML}---\n{YAML}")

    documents = list(read_documents([str(tmp_path / "a.yaml")]))

    assert len(documents) == 2
    assert json.loads(documents[0].raw)["not_before"] == "2030-01-02T03:04:05+00:00"
    assert documents[1].place.endswith("a.yaml, job 2")


def test_a_folder_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    for name in ("b.json", "a.yml", "c.yaml"):
        (tmp_path / name).write_text(f'{{"job_id": "{name}"}}')
    (tmp_path / "notes.txt").write_text("not a job")

    documents = read_documents([str(tmp_path)])

    ids = [json.loads(document.raw)["job_id"] for document in documents]
    assert ids == ["a.yml", "b.json", "c.yaml"]


@pytest.mark.parametrize("typed", [b'{"job_id": "x"}', b"job_id: x\n"])
def test_standard_input_is_json_or_yaml(
    typed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(typed)))

    (document,) = read_documents(["-"])

    assert json.loads(document.raw) == {"job_id": "x"}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.json", "{", "is not JSON"),
        ("a.yaml", "a: [", "is neither JSON nor YAML"),
        ("a.yaml", "", "is empty"),
        ("a.json", '["a"]', "must be an object"),
        ("a.yaml", "job_id: !!binary aGk=", "must be something JSON can hold"),
    ],
)
def test_what_is_no_job_is_refused_by_the_file_s_name(
    name: str, text: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)

    with pytest.raises(InvalidJob, match=said):
        list(read_documents([str(tmp_path / name)]))


def test_a_missing_file_and_an_empty_folder_are_said_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        list(read_documents([str(tmp_path / "none.json")]))
    with pytest.raises(ConfigError, match=r"holds no \.json"):
        list(read_documents([str(tmp_path)]))
