"""How many examples a fuzz test tries, and the shapes that several of them use."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import hypothesis
from hypothesis import strategies as st

_WANTED = int(os.environ.get("FUZZ_EXAMPLES", "0"))


def tried(examples: int) -> Callable[[Any], Any]:
    """Try so many examples, always the same; ``FUZZ_EXAMPLES=20000``: other ones.

    A gate must say the same each time; ``make fuzz`` is for finding.
    """
    return hypothesis.settings(
        max_examples=_WANTED or examples,
        derandomize=not _WANTED,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        print_blob=True,
    )


def mutated(wholes: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Damage bytes: some deleted, doubled, put in, changed, or cut off."""

    @st.composite
    def draw_one(draw: st.DrawFn) -> bytes:
        data = bytearray(draw(wholes))
        for _ in range(draw(st.integers(0, 4))):
            place = draw(st.integers(0, len(data)))
            length = draw(st.integers(0, 12))
            match draw(st.sampled_from(("delete", "double", "put", "change", "cut"))):
                case "delete":
                    del data[place : place + length]
                case "double":
                    data[place:place] = data[place : place + length]
                case "put":
                    data[place:place] = draw(ODD_BYTES)
                case "change":
                    put = draw(ODD_BYTES)
                    data[place : place + len(put)] = put
                case _:
                    del data[place:]
        return bytes(data)

    return draw_one()


ODD_BYTES = st.one_of(
    st.binary(min_size=1, max_size=8),
    st.sampled_from(
        [
            *(b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xc0\xaf", b"\xed\xa0\x80", b"\x7f"),
            *(
                b"\\",
                b"\\u0000",
                b"\\ud83c",
                b"\\udfac",
                b"\\udce9",
                b"\\uDC80",
                b"\\/",
            ),
            *(b'"', b"{", b"}", b"[", b"]", b",", b":", b"{{{{", b"]]]]", b"[" * 70),
            *(b"NaN", b"Infinity", b"-", b"1e400", b"0x1f", b"9" * 40, b"1.", b"-0"),
            *(b" ", b"\n", b"\r\n", b"\t", b"/**/", b"null", b"true"),
        ]
    ),
)

NUMBERS = st.one_of(
    st.integers(-3, 12),
    st.integers(),
    st.floats(),
    st.sampled_from([10**400, -(10**400), 2**53, 2**63, 1e300, -1e300, 5e-324]),
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=8))
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)
