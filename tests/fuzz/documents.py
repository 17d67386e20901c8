"""Documents as they might come: jobs written in odd ways, and what is nearly a job."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from fuzz.many import JSON, mutated

IDS = st.one_of(
    st.sampled_from(
        ["a", "b", "ä", "漢", "\U0001f3ac", " ", "{a}", "x" * 200, "x" * 201]
    ),
    st.text(max_size=6),
)
NUMBER_TEXTS = st.sampled_from(
    [
        *("0", "-0", "5", "5.0", "1e5", "1E+5", "1e-7", "0.1e1", "-1", "1.5", "1e400"),
        *("-1e400", "9007199254740991", "9007199254740992", "9007199254740993"),
        *("12345678901234567890", "1" * 400, "01", "1.", ".5", "+1", "0x1f", "NaN"),
        *("Infinity", "-Infinity", "nan", "inf", "1_000", "1e", "0e0", "-", "1 2"),
    ]
)
TIMES = st.one_of(
    st.sampled_from(["2000-01-01", "2000-01-01T00:00Z", "2999-12-31 23:59:59.5+01:00"]),
    st.from_regex(
        r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?"
    ),
    st.text("0123456789-T:Z+. ", max_size=20),
)
MEMBERS: dict[str, st.SearchStrategy[Any]] = {
    "job_title": st.text(max_size=5) | JSON,
    "priority": st.integers(-1, 10) | JSON,
    "retries": st.integers(-1, 1001) | JSON,
    "timeout": st.floats() | st.integers(0, 9) | JSON,
    "not_before": TIMES | JSON,
    "requires": st.lists(st.text(max_size=4), max_size=3) | JSON,
    "resume": st.booleans() | JSON,
    "on_finish": st.text(max_size=4) | JSON,
    "unknown": JSON,
    "": JSON,
}
TASKS = st.one_of(
    st.just([{"ffmpeg": {}}]),
    st.lists(
        st.one_of(
            st.fixed_dictionaries(
                {"module": st.just("ffmpeg") | JSON, "data": st.just({}) | JSON},
                optional={"timeout": JSON, "stall_timeout": JSON},
            ),
            st.dictionaries(
                st.sampled_from(["ffmpeg", "timeout", "stall_timeout", "a b|c", "x"]),
                st.just({}) | JSON,
                max_size=2,
            ),
            JSON,
        ),
        max_size=3,
    ),
    JSON,
)


@st.composite
def texts(draw: st.DrawFn, text: str) -> str:
    """Write a text as JSON in one of its many ways."""
    if draw(st.booleans()):
        return json.dumps(text, ensure_ascii=draw(st.booleans()))
    units = text.encode("utf-16-be", "surrogatepass")
    pairs = [units[i : i + 2].hex() for i in range(0, len(units), 2)]
    return '"' + "".join(f"\\u{pair.upper()}" for pair in pairs) + '"'


@st.composite
def written(draw: st.DrawFn, value: Any) -> str:
    """Write a value as JSON, with blanks and escapes that nobody needs."""
    blank = draw(st.sampled_from(["", "", " ", "\n\t"]))
    if isinstance(value, dict):
        pairs = [
            f"{draw(texts(key))}{blank}:{draw(written(inner))}"
            for key, inner in value.items()
        ]
        return "{" + ",".join(pairs) + blank + "}"
    if isinstance(value, list):
        return "[" + f",{blank}".join(draw(written(item)) for item in value) + "]"
    if isinstance(value, str):
        return draw(texts(value))
    return blank + json.dumps(value)


@st.composite
def jobs(draw: st.DrawFn) -> bytes:
    """Write a document that may be a job, or nearly one."""
    job_id = draw(st.one_of(IDS.flatmap(texts), NUMBER_TEXTS, JSON.flatmap(written)))
    tasks = draw(TASKS.flatmap(written))
    title = draw(st.sampled_from(['"t"', "5", '""']))
    members = [f'"job_id":{job_id}', f'"tasks":{tasks}', f'"job_title":{title}']
    for name in draw(st.lists(st.sampled_from(list(MEMBERS)), max_size=3)):
        value = st.one_of(MEMBERS[name].flatmap(written), NUMBER_TEXTS)
        members.append(f"{draw(texts(name))}:{draw(value)}")
    if draw(st.integers(0, 9)) == 0:  # the same member twice
        members.append(draw(st.sampled_from(members)))
        members.append(f'"job_id":{draw(IDS.flatmap(texts))}')
    text = "{" + ",".join(draw(st.permutations(members))) + "}"
    mark = b"\xef\xbb\xbf" if draw(st.integers(0, 9)) == 0 else b""
    return mark + text.encode("utf-8", "surrogatepass")


DOCUMENTS = st.one_of(
    jobs(),
    mutated(jobs()),
    mutated(st.just(b'{"job_id": "a", "job_title": "t", "tasks": [{"ffmpeg": {}}]}')),
    JSON.flatmap(written).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.binary(max_size=40),
)
