"""Documents that are no good jobs, and what take makes of each.

``REJECTED`` never reach a worker; ``HANDED_OUT`` are jobs for the store: their worker says
what is wrong with them, under the id that the store read.
"""

from __future__ import annotations

MAX_BYTES = 4096
"""The tests' bound on a document."""

NOT_JSON = "not_json"
NOT_AN_OBJECT = "not_an_object"
NO_ID = "no_usable_job_id"
TOO_LARGE = "too_large"

_REST = b'"job_title": "t", "tasks": [{"ffmpeg": {}}]'


def with_id(job_id: bytes) -> bytes:
    """A whole document with this text for its id."""
    return b'{"job_id": ' + job_id + b", " + _REST + b"}"


def with_data(data: bytes) -> bytes:
    """A whole document with these settings for its task."""
    return b'{"job_id": "a", "job_title": "t", "tasks": [{"ffmpeg": ' + data + b"}]}"


REJECTED: dict[str, tuple[str, bytes]] = {
    "nothing": (NOT_JSON, b""),
    "a blank": (NOT_JSON, b" "),
    "a new line": (NOT_JSON, b"\n"),
    "only a byte order mark": (NOT_JSON, b"\xef\xbb\xbf"),
    "NUL": (NOT_JSON, b"\x00"),
    "NUL in front": (NOT_JSON, b"\x00" + with_id(b'"a"')),
    "truncated after the brace": (NOT_JSON, b"{"),
    "truncated in a name": (NOT_JSON, b'{"job_'),
    "truncated in a value": (NOT_JSON, b'{"job_id": "a'),
    "truncated before the end": (NOT_JSON, with_id(b'"a"')[:-1]),
    "a brace too many": (NOT_JSON, with_id(b'"a"') + b"}"),
    "two documents": (NOT_JSON, with_id(b'"a"') * 2),
    "two documents in two lines": (NOT_JSON, with_id(b'"a"') + b"\n" + with_id(b'"b"')),
    "a comma at the end": (NOT_JSON, b'{"job_id": "a",}'),
    "a comma in front": (NOT_JSON, b'{,"job_id": "a"}'),
    "no colon": (NOT_JSON, b'{"job_id" "a"}'),
    "a name without quotes": (NOT_JSON, b'{job_id: "a"}'),
    "single quotes": (NOT_JSON, b"{'job_id': 'a'}"),
    "a comment": (NOT_JSON, b'{"job_id": "a" /* mine */}'),
    "YAML": (NOT_JSON, b"job_id: a\njob_title: t\n"),
    "XML": (NOT_JSON, b"<job id='a'/>"),
    "a word": (NOT_JSON, b"hello"),
    "Python's words": (NOT_JSON, b'{"job_id": "a", "resume": True}'),
    "UTF-16": (NOT_JSON, '{"job_id": "a"}'.encode("utf-16")),
    "UTF-16 without a mark": (NOT_JSON, '{"job_id": "a"}'.encode("utf-16-le")),
    "UTF-32": (NOT_JSON, '{"job_id": "a"}'.encode("utf-32-be")),
    "two byte order marks": (NOT_JSON, b"\xef\xbb\xbf" * 2 + with_id(b'"a"')),
    "compressed": (NOT_JSON, b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"),
    "a bad escape": (NOT_JSON, with_id(b'"\\x41"')),
    "half an escape": (NOT_JSON, with_id(b'"\\u00"')),
    "a high surrogate alone": (NOT_JSON, with_id(b'"\\ud83c"')),
    "a low surrogate alone": (NOT_JSON, with_id(b'"\\udfac"')),
    "a surrogate alone elsewhere": (NOT_JSON, with_data(b'{"x": "\\ud800"}')),
    "a byte in the id": (NO_ID, with_id(b'"a\\udce9"')),
    "a byte after an escaped backslash in the id": (NO_ID, with_id(b'"\\\\\\udce9"')),
    "a byte, and half a pair": (NOT_JSON, with_data(b'{"x": "\\udce9\\ud800"}')),
    "a byte, and half a pair before it": (
        NOT_JSON,
        with_data(b'["\\ud83c", "\\udce9"]'),
    ),
    "half a pair that is no byte": (NOT_JSON, with_data(b'{"x": "\\udc7f\\udce9"}')),
    "a byte, and an escape cut short": (NOT_JSON, with_data(b'["\\udce9\\udce"]')),
    "nested 2,000 deep": (NOT_JSON, b"[" * 2000 + b"]" * 2000),
    "nested 2,000 deep, never closed": (NOT_JSON, b'{"a":' * 300 + b"[" * 2000),
    "NUL in a text": (NOT_JSON, with_data(b'{"x": "a\x00b"}')),
    "null": (NOT_AN_OBJECT, b"null"),
    "true": (NOT_AN_OBJECT, b"true"),
    "a number": (NOT_AN_OBJECT, b"42"),
    "a string": (NOT_AN_OBJECT, b'"a"'),
    "an empty array": (NO_ID, b"[]"),
    "an array with a job": (NO_ID, b"[" + with_id(b'"a"') + b"]"),
    "an empty object": (NO_ID, b"{}"),
    "no id": (NO_ID, b"{" + _REST + b"}"),
    "an id in other letters": (NO_ID, b'{"JOB_ID": "a"}'),
    "an id further down": (NO_ID, b'{"job": {"job_id": "a"}}'),
    "id null": (NO_ID, with_id(b"null")),
    "id true": (NO_ID, with_id(b"true")),
    "id false": (NO_ID, with_id(b"false")),
    "id an array": (NO_ID, with_id(b'["a"]')),
    "id an object": (NO_ID, with_id(b'{"id": "a"}')),
    "id empty": (NO_ID, with_id(b'""')),
    "id a fraction": (NO_ID, with_id(b"1.5")),
    "id 1e400": (NO_ID, with_id(b"1e400")),
    "id -1e400": (NO_ID, with_id(b"-1e400")),
    "id of 20 digits": (NO_ID, with_id(b"12345678901234567890")),
    "id 2^53": (NO_ID, with_id(b"9007199254740992")),
    "id with NUL": (NO_ID, with_id(b'"a\\u0000b"')),
    "id with a new line": (NO_ID, with_id(b'"a\\nb"')),
    "id with a tab": (NO_ID, with_id(b'"a\\tb"')),
    "id with ESC": (NO_ID, with_id(b'"a\\u001b[31m"')),
    "id with DEL": (NO_ID, with_id(b'"a\\u007f"')),
    "id with a new line as it is": (NO_ID, with_id(b'"a\nb"')),
    "id of 201 letters": (NO_ID, with_id(b'"' + b"x" * 201 + b'"')),
    "id of 300 letters": (NO_ID, with_id(b'"' + b"x" * 300 + b'"')),
    "id not UTF-8": (NO_ID, with_id(b'"\xff\xfe"')),
    "id in Latin-1": (NO_ID, with_id(b'"K\xe4se"')),
    "id truncated in a letter": (NO_ID, with_id(b'"\xe2\x82"')),
    "id with an overlong letter": (NO_ID, with_id(b'"\xc0\xaf"')),
    "id with a surrogate in UTF-8": (NO_ID, with_id(b'"\xed\xa0\x80"')),
    "id above U+10FFFF": (NO_ID, with_id(b'"\xf4\x90\x80\x80"')),
    "too large by a byte": (
        TOO_LARGE,
        with_id(b'"a"') + b" " * (MAX_BYTES + 1 - len(with_id(b'"a"'))),
    ),
    "too large by far": (TOO_LARGE, b"\xff" * 3 * MAX_BYTES),
}

HANDED_OUT: dict[str, tuple[str, bytes]] = {
    "as large as may be": (
        "a",
        with_id(b'"a"') + b" " * (MAX_BYTES - len(with_id(b'"a"'))),
    ),
    "a byte order mark": ("a", b"\xef\xbb\xbf" + with_id(b'"a"')),
    "only an id": ("a", b'{"job_id": "a"}'),
    "no tasks": ("a", b'{"job_id": "a", "tasks": []}'),
    "tasks an object": ("a", b'{"job_id": "a", "tasks": {"ffmpeg": {}}}'),
    "tasks null": ("a", b'{"job_id": "a", "tasks": null}'),
    "tasks of all sorts": ("a", b'{"job_id": "a", "tasks": [1, null, [], "x", {}]}'),
    "a module that is a number": ("a", b'{"job_id": "a", "tasks": [{"module": 1}]}'),
    "a module with blanks": ("a", with_id(b'"a"').replace(b"ffmpeg", b"a b|c")),
    "two modules in one task": (
        "a",
        b'{"job_id": "a", "tasks": [{"ffmpeg": {}, "timeout": {}}]}',
    ),
    "requires an object": ("a", b'{"job_id": "a", "requires": {"x": 1}}'),
    "id twice": ("b", b'{"job_id": "a", "job_id": "b"}'),
    "id twice, once escaped": ("b", b'{"job_id": "a", "job\\u005fid": "b"}'),
    "id in an escaped name": ("a", b'{"job\\u005fid": "a"}'),
    "id escaped": ("ä\U0001f3ac", with_id(b'"\\u00e4\\ud83c\\udfac"')),
    "id in UTF-8": ("Käse 漢字 \U0001f3ac", with_id('"Käse 漢字 \U0001f3ac"'.encode())),
    "id of 200 letters": ("x" * 200, with_id(b'"' + b"x" * 200 + b'"')),
    "id a blank": (" ", with_id(b'" "')),
    "id with colons and braces": ("{a}:job:b", with_id(b'"{a}:job:b"')),
    "id a path": ("../../etc/passwd", with_id(b'"../../etc/passwd"')),
    "id a number": ("42", with_id(b"42")),
    "id 0": ("0", with_id(b"0")),
    "id -1": ("-1", with_id(b"-1")),
    "id 2^53 - 1": ("9007199254740991", with_id(b"9007199254740991")),
    "nested 100 deep": ("a", with_data(b'{"x":' * 100 + b"1" + b"}" * 100)),
    "not UTF-8 elsewhere": ("a", with_data(b'{"x": "\xff"}')),
    "NUL behind the end": ("a", with_id(b'"a"') + b"\x00"),
    "control characters in a text": ("a", with_data(b'{"x": "a\x01\n"}')),
    "1e400": ("a", with_data(b'{"x": [1e400, -1e400]}')),
    "NaN and Infinity": ("a", with_data(b'{"x": [NaN, Infinity, -Infinity]}')),
    "a number in hexadecimal": ("a", with_data(b'{"x": 0x1f}')),
    "numbers of 40 digits": ("a", with_data(b'{"x": [' + b"1234567890" * 4 + b"]}")),
    "a byte in a file name": ("a", with_data(b'{"x": "/films/caf\\udce9.mkv"}')),
    "a byte in other letters": ("a", with_data(b'{"x": "\\uDCFF\\uDc80"}')),
    "a byte after a whole pair": ("a", with_data(b'["\\ud83c\\udfac\\udce9"]')),
    "a byte, and what only looks like one": (
        "a",
        with_data(b'["\\udce9", "\\\\udc00", "\\\\\\udce9", "\\"\\udce9"]'),
    ),
    "a byte in a label": (
        "a",
        b'{"job_id": "a", "requires": ["\\udce9"], "tasks": [{"x": {}}]}',
    ),
    "a byte in the title": ("a", b'{"job_id": "a", "job_title": "\\udce9"}'),
    "a byte in a module's name": ("a", b'{"job_id": "a", "tasks": [{"\\udce9": {}}]}'),
    "a byte, and an id in escapes": (
        "\U0001f3ac",
        b'{"job_id": "\\ud83c\\udfac", "tasks": [{"x": ["\\udce9"]}]}',
    ),
    "a member without a name": ("a", b'{"": 1, "job_id": "a"}'),
}

DISAGREE: dict[str, bytes] = {
    "id 5.0": with_id(b"5.0"),
    "id 1e5": with_id(b"1e5"),
    "id -0": with_id(b"-0"),
}
"""The store reads one id, the parser another."""
