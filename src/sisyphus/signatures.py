"""Who may give jobs: documents signed with a key that producers and workers share.

The signature is a member of the document itself, ``"signature": "<64 hex digits>"``: the
HMAC-SHA256 of the document's bytes in which these digits are zeros. So no two programs have
to agree on how JSON is written: whoever signs writes zeros, reckons, and puts the digits
there. Like the store's fingerprint it does not see white space at the end of a document.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from sisyphus.errors import (
    ABSENT,
    BadSignature,
    ConfigError,
    InvalidJob,
    NotSigned,
    Problem,
)
from sisyphus.job import json_object
from sisyphus.secret_files import secret_lines
from sisyphus.settings import Settings

MEMBER = "signature"
SHORTEST_KEY = 32
"""Bytes, such as the 64 letters that ``openssl rand -hex 32`` prints."""

_ZEROS = b"0" * 64
_PLACE = re.compile(rb'"signature"\s*:\s*"([0-9a-f]{64})"')
_BOM = b"\xef\xbb\xbf"
_WHITE = b" \t\n\v\f\r"


def signature_of(raw: bytes, start: int, key: bytes) -> bytes:
    """Reckon the signature whose 64 digits stand, or will stand, at ``start``."""
    zeroed = raw[:start] + _ZEROS + raw[start + len(_ZEROS) :]
    text = zeroed.removeprefix(_BOM).rstrip(_WHITE)
    return hmac.new(key, text, "sha256").hexdigest().encode()


def signed(raw: bytes, key: bytes) -> bytes:
    """Sign a document; one that bears a signature of this key already stays as it is.

    Any other signature goes, and with it the way the document was written.

    Raises:
        InvalidJob: it is no JSON object, or what looks like a signature stands in it.
    """
    members = json_object(raw)
    if MEMBER in members:
        if _is_good(raw, [key]):
            return raw
        del members[MEMBER]
        text = json.dumps(members, ensure_ascii=False, separators=(",", ":"))
        raw = text.encode(errors="backslashreplace")
    if _PLACE.search(raw):
        expected = "is what only the document itself may have, not what is in it"
        raise InvalidJob.of(Problem(MEMBER, ABSENT, expected))
    front = raw.index(b"{") + 1
    head = raw[:front] + b'"signature":"'
    rest = (b'",' if members else b'"') + raw[front:]
    whole = head + _ZEROS + rest
    return head + signature_of(whole, len(head), key) + rest


def check(raw: bytes, keys: Iterable[bytes]) -> None:
    """Refuse a document that none of these keys has signed.

    Nothing of it is read before its bytes are known to be good.

    Raises:
        NotSigned: it bears no signature.
        BadSignature: the signature is not of these bytes, or its place is not clear.
        InvalidJob: it is signed, but no JSON object.
    """
    found = list(_PLACE.finditer(raw))
    if not found:
        if b'"signature"' in raw:
            raise BadSignature("signature: must be 64 hex digits in lower case")
        raise NotSigned(
            "signature: is missing, and this worker runs signed documents only"
        )
    digits = found[0][1]
    if len(found) > 1 or raw.count(digits) > 1:
        raise BadSignature("signature: stands in the document more than once")
    start = found[0].start(1)
    # All keys are tried, whichever it is: the time that this takes tells nothing.
    matches = [
        hmac.compare_digest(signature_of(raw, start, key), digits) for key in keys
    ]
    if not any(matches):
        raise BadSignature(
            "signature: does not fit: the document was changed after it was signed, or"
            " signed with another key"
        )
    if json_object(raw).get(MEMBER) != digits.decode():
        raise BadSignature(
            "signature: must be a member of the document, not of what is in it"
        )


def _is_good(raw: bytes, keys: Iterable[bytes]) -> bool:
    try:
        check(raw, keys)
    except (NotSigned, BadSignature):
        return False
    return True


def required_keys(settings: Settings) -> Sequence[bytes]:
    """Give the keys that a job must be signed with; none when it need not be.

    Raises:
        ConfigError: it must be signed, and there is no key that could tell.
    """
    if not settings.require_signed:
        return ()
    if settings.signing_key_file is None:
        raise ConfigError("require_signed: needs signing_key_file as well")
    return read_keys(settings.signing_key_file)


def read_keys(file: Path) -> Sequence[bytes]:
    """Read a file of keys, one a line: the first signs, and all are good for checking.

    Raises:
        ConfigError: it cannot be read, others may read it, or a key is too short.
    """
    keys = [line.encode() for line in secret_lines("signing_key_file", file)]
    if not keys:
        raise ConfigError(f"signing_key_file: there is no key in {file}")
    if any(len(key) < SHORTEST_KEY for key in keys):
        raise ConfigError(
            f"signing_key_file: a key in {file} has fewer than {SHORTEST_KEY} bytes:"
            " take what `openssl rand -hex 32` prints"
        )
    return keys
