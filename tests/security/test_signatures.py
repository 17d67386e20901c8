"""Signed documents: what a signature covers, where it stands, who is believed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from serving import serving
from sisyphus.cli.main import app
from sisyphus.client import Client
from sisyphus.errors import BadSignature, ConfigError, InvalidJob, JobError, NotSigned
from sisyphus.job import json_object
from sisyphus.settings import Settings
from sisyphus.signatures import check, read_keys, signature_of, signed
from worker.machines import Site

KEY, OTHER = b"k" * 32, b"o" * 32
RAW = b'{"job_title": "t", "job_id": "a", "tasks": [{"cleanup": {}}]}'


def refused(raw: bytes, *keys: bytes) -> str:
    """The code with which a document is refused; empty when it is not."""
    try:
        check(raw, keys or [KEY])
    except JobError as error:
        return error.code
    return ""


# What a signature covers


def test_a_signed_document_is_the_same_with_one_member_more() -> None:
    found = json_object(signed(RAW, KEY))

    assert len(found.pop("signature")) == 64
    assert found == json_object(RAW)


@pytest.mark.parametrize("raw", [b"{}", b'\xef\xbb\xbf  {"a": "\xc3\xa4"}\r\n', RAW])
def test_what_was_signed_is_believed(raw: bytes) -> None:
    assert refused(signed(raw, KEY)) == ""


@given(st.data())
def test_a_byte_that_is_another_is_noticed(data: st.DataObject) -> None:
    raw = signed(RAW, KEY)
    place = data.draw(st.integers(0, len(raw) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != raw[place]))
    changed = raw[:place] + bytes([other]) + raw[place + 1 :]

    if changed.rstrip() != raw.rstrip():
        assert refused(changed)


@given(st.binary(max_size=200))
def test_what_nobody_has_signed_is_refused(raw: bytes) -> None:
    assert refused(raw) in ("not_signed", "bad_signature")


@pytest.mark.parametrize("end", ["\n", "\r\n", "  \n\n"])
def test_an_editors_line_break_and_mark_do_not_matter(end: str) -> None:
    raw = b"\xef\xbb\xbf" + signed(RAW, KEY) + end.encode()

    assert refused(raw) == ""


def test_a_document_in_front_of_which_blanks_were_put_is_another_one() -> None:
    assert refused(b" " + signed(RAW, KEY)) == "bad_signature"


# Who is believed


def test_any_of_several_keys_will_do() -> None:
    assert refused(signed(RAW, KEY), OTHER, KEY) == ""


def test_another_key_will_not() -> None:
    assert refused(signed(RAW, OTHER)) == "bad_signature"


def test_no_signature_is_told_from_a_bad_one() -> None:
    assert refused(RAW) == "not_signed"
    assert refused(RAW.replace(b"{", b'{"signature": "", ', 1)) == "bad_signature"
    assert refused(RAW.replace(b"{", b'{"signature": null, ', 1)) == "bad_signature"


# Where it stands


def test_a_signature_that_stands_there_twice_is_refused() -> None:
    raw = signed(RAW, KEY)
    digits = json_object(raw)["signature"]

    twice = raw.replace(b"{", b'{"signature":"%s",' % digits.encode(), 1)
    assert refused(twice) == "bad_signature"


def test_a_signature_of_a_task_is_not_that_of_its_job() -> None:
    """Even one that fits, which only who has the key could make."""
    inner = RAW.replace(
        b'"cleanup": {}', b'"cleanup": {"signature": "%s"}' % (b"0" * 64)
    )
    digits = _reckoned(inner)

    assert refused(inner.replace(b"0" * 64, digits)) == "bad_signature"


def test_zeros_elsewhere_do_not_move_the_place() -> None:
    """The same zeroed bytes, the digits in another text of 64 zeros."""
    raw = RAW.replace(b'"t"', b'"%s"' % (b"0" * 64))
    good = signed(raw, KEY)
    digits = json_object(good)["signature"].encode()
    zeros = b"0" * 64

    moved = good.replace(zeros, b"x").replace(digits, zeros).replace(b"x", digits)
    assert moved != good
    assert refused(good) == ""
    assert refused(moved) == "bad_signature"


def test_a_name_that_is_written_with_escapes_is_no_second_place() -> None:
    other = b'{"signatur\\u0065":"%s",' % (b"1" * 64)
    raw = signed(RAW, KEY)

    assert refused(raw.replace(b"{", other, 1)) == "bad_signature"
    with pytest.raises(InvalidJob):  # signed so by who has the key: two members
        check(_signed_as_it_is(RAW.replace(b"{", other, 1)), [KEY])


def _reckoned(raw: bytes) -> bytes:
    return signature_of(raw, raw.index(b"0" * 64), KEY)


def _signed_as_it_is(raw: bytes) -> bytes:
    zeroed = raw.replace(b"{", b'{"signature":"%s",' % (b"0" * 64), 1)
    return zeroed.replace(b"0" * 64, _reckoned(zeroed), 1)


# Signing again


def test_signing_twice_changes_nothing() -> None:
    once = signed(RAW, KEY) + b"\n"

    assert signed(once, KEY) == once


def test_a_strangers_signature_is_replaced() -> None:
    ours = signed(signed(RAW, OTHER), KEY)

    assert refused(ours) == ""
    assert json_object(ours).keys() == json_object(signed(RAW, OTHER)).keys()


def test_what_could_not_be_checked_is_not_signed() -> None:
    task = b'"cleanup": {"signature": "%s"}' % (b"a" * 64)

    with pytest.raises(InvalidJob, match="signature"):
        signed(RAW.replace(b'"cleanup": {}', task), KEY)


# Files of keys


def test_a_file_may_hold_several_keys(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"{KEY.decode()}\r\n\n  {OTHER.decode()}\n")
    file.chmod(0o640)

    assert read_keys(file) == [KEY, OTHER]


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        ("", 0o600, "there is no key"),
        ("short\n", 0o600, "fewer than 32 bytes"),
        (f"{'k' * 32}\nshort\n", 0o600, "fewer than 32 bytes"),
        ("k" * 32, 0o644, "everybody on this machine can open"),
        ("k" * 32, 0o602, "everybody"),
    ],
)
def test_a_file_that_does_not_do_is_told_without_its_keys(
    tmp_path: Path, text: str, mode: int, said: str
) -> None:
    file = tmp_path / "keys"
    file.write_text(text)
    file.chmod(mode)

    with pytest.raises(ConfigError, match=said) as caught:
        read_keys(file)
    assert "kkkk" not in str(caught.value)
    assert "short" not in str(caught.value)


# Those who submit


@pytest.fixture
def client(redis_url: str, key_file: Path) -> Iterator[Client]:
    settings = Settings.load(redis_url=redis_url, signing_key_file=key_file)
    with Client(settings=settings) as client:
        yield client


def job(job_id: str = "a", **more: Any) -> dict[str, Any]:
    return {"job_title": "t", "job_id": job_id, "tasks": [{"scripted": {}}], **more}


def document_of(client: Client, job_id: str) -> bytes:
    found = client.document(job_id)
    assert found is not None
    return found


def test_a_client_with_a_key_signs(client: Client, key_file: Path) -> None:
    client.submit(job())
    client.submit(job("b"), priority=3, retries=2)

    for job_id in ("a", "b"):
        check(document_of(client, job_id), read_keys(key_file))


def test_the_command_signs(redis_url: str, key_file: Path, tmp_path: Path) -> None:
    file = tmp_path / "job.json"
    file.write_text(json.dumps(job()))
    given = {"SISYPHUS_SIGNING_KEY_FILE": str(key_file)}

    result = CliRunner().invoke(app, ["submit", str(file), "-r", redis_url], env=given)

    assert result.exit_code == 0, result.output
    with Client(redis_url) as looking:
        check(document_of(looking, "a"), read_keys(key_file))


def test_a_job_that_is_run_here_and_now_needs_no_signature(
    key_file: Path, tmp_path: Path
) -> None:
    file = tmp_path / "job.json"
    file.write_text(json.dumps(job(tasks=[{"cleanup": {"delete_files": []}}])))
    given = {
        "SISYPHUS_SIGNING_KEY_FILE": str(key_file),
        "SISYPHUS_REQUIRE_SIGNED": "true",
    }

    result = CliRunner().invoke(app, ["run", str(file)], env=given)

    assert result.exit_code == 0, result.output


def test_the_same_job_signed_again_is_the_same_document(client: Client) -> None:
    assert client.submit(job()) == client.submit(job())
    assert client.queue().queued == 1


def test_a_document_that_is_signed_already_goes_as_it_is(
    client: Client, key_file: Path
) -> None:
    raw = signed(RAW + b"\n", read_keys(key_file)[0])

    client.submit(raw)

    assert document_of(client, "a") == raw


def test_without_the_key_a_signed_job_is_not_changed(redis_url: str) -> None:
    raw = signed(json.dumps(job()).encode(), KEY)

    with Client(redis_url) as client:
        with pytest.raises(InvalidJob, match=r"signature: .*set signing_key_file"):
            client.submit(raw, priority=5)
        client.submit(raw)
        assert document_of(client, "a") == raw


def test_a_mended_document_is_signed(client: Client, key_file: Path) -> None:
    client._store._plain(
        "XADD", "{queue}:rejected", "1-1", "list", "queue", "reason", "x", "raw", "{"
    )

    assert client.restore("1-1", job())

    check(document_of(client, "a"), read_keys(key_file))


def test_the_server_signs_what_is_posted(redis_url: str, key_file: Path) -> None:
    settings = Settings.load(redis_url=redis_url, signing_key_file=key_file)
    posted = {"job_title": "t", "tasks": [{"cleanup": {"delete_files": []}}]}

    with serving(settings) as http, Client(settings=settings) as client:
        job_id = http.post("/queue", json=posted).json()["job_id"]
        check(document_of(client, job_id), read_keys(key_file))
        refusal = http.post("/queue", json={**posted, "signature": "0" * 64})
        assert refusal.status_code == 400
        assert "signature" in refusal.text


def test_the_server_lends_signed_jobs_only_where_they_must_be(
    redis_url: str, key_file: Path
) -> None:
    settings = Settings.load(
        redis_url=redis_url, signing_key_file=key_file, require_signed=True
    )
    task: dict[str, Any] = {"tasks": [{"cleanup": {"delete_files": []}}]}
    with serving(settings) as http, Client(settings=settings) as client:
        with Client(redis_url) as stranger:
            stranger.submit(job("unsigned", **task))
        client.submit(job("signed", **task))

        assert http.get("/queue/poll").json()["job_id"] == "signed"
        assert (client.job("unsigned").error or {})["code"] == "not_signed"


# Workers


@pytest.fixture
def site(redis_url: str, tmp_path: Path) -> Iterator[Site]:
    made = Site(redis_url, tmp_path)
    yield made
    made.close()


Push = Callable[[bytes], None]


def test_a_worker_that_requires_signatures_runs_nothing_else(
    site: Site, key_file: Path
) -> None:
    site.machine(require_signed=True, signing_key_file=str(key_file))
    key, ran = read_keys(key_file)[0], site.path("ran")

    def document(job_id: str) -> bytes:
        data = {"do": "note", "file": str(ran)}
        return json.dumps(job(job_id, tasks=[{"scripted": data}], retries=5)).encode()

    changed = signed(document("changed"), key).replace(b'"title', b'"titel', 1)
    changed = changed.replace(b'"retries": 5', b'"retries": 6')
    for raw in (
        document("unsigned"),
        changed,
        signed(document("another"), OTHER),
        signed(document("good"), key),
    ):
        site.redis.lpush("queue", raw)

    site.until("good", "completed")
    for job_id, code in (
        ("unsigned", "not_signed"),
        ("changed", "bad_signature"),
        ("another", "bad_signature"),
    ):
        assert site.until(job_id, "failed")
        assert site.error(job_id)["code"] == code
        assert site.redis.get(f"{{queue}}:doc:{job_id}") is not None
    assert len(site.lines("ran")) == 1


def test_a_signed_job_may_not_lean_on_what_is_stored_unsigned(
    site: Site, key_file: Path, clip: Path
) -> None:
    site.machine(require_signed=True, signing_key_file=str(key_file))
    source = site.path("film.mp4")
    source.write_bytes(clip.read_bytes())
    output = {"specifier": "v", "stream": 0, "option_set": "mine"}
    task = {
        "sources": [str(source)],
        "source_maps": [{"source": 0, "specifier": "v", "stream": 0}],
        "output_maps": [output],
        "output_file": str(site.path("out.mkv")),
    }
    key = read_keys(key_file)[0]
    with Client(site.url) as client:
        client.put_data("ffmpeg", "mine", {"options": {"codec": "copy"}})
    site.redis.lpush(
        "queue", signed(json.dumps(job(tasks=[{"ffmpeg": task}])).encode(), key)
    )

    site.until("a", "failed")

    error = site.error("a")
    assert error["code"] == "not_signed", error
    assert "stored in Redis" in error["message"]


def test_a_worker_without_that_wish_runs_signed_and_unsigned_jobs(site: Site) -> None:
    site.machine()
    site.redis.lpush("queue", signed(json.dumps(job("signed")).encode(), KEY))
    site.redis.lpush("queue", json.dumps(job("unsigned", signature="nonsense")))

    site.until("signed", "completed")
    site.until("unsigned", "completed")


@pytest.mark.parametrize(
    ("key", "said"),
    [(None, "needs signing_key_file"), ("short", "fewer than 32 bytes")],
)
def test_a_worker_that_could_check_nothing_does_not_start(
    site: Site, tmp_path: Path, key: str | None, said: str
) -> None:
    given = {}
    if key is not None:
        file = tmp_path / "key"
        file.write_text(key)
        file.chmod(0o600)
        given["SISYPHUS_SIGNING_KEY_FILE"] = str(file)

    words = ["worker", "--require-signed", "-r", site.url]
    result = CliRunner().invoke(app, words, env=given)

    assert result.exit_code == 2
    assert said in result.stderr


def test_not_signed_and_badly_signed_jobs_are_not_tried_again() -> None:
    assert not NotSigned.retryable
    assert not BadSignature.retryable
