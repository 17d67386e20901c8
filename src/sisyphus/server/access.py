"""Who may ask: this machine only, or whoever knows the token; no page of another site."""

from __future__ import annotations

import hmac
from ipaddress import ip_address
from urllib.parse import urlsplit

from pydantic import SecretStr
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sisyphus.errors import ConfigError
from sisyphus.secret_files import secret_of
from sisyphus.server.answers import Answer
from sisyphus.settings import Settings

OPEN_PATH = "/status/health"
"""Answered to everybody: it says nothing but that the server lives."""
SHORTEST_TOKEN = 16
_TOO_LARGE = "the body has more than {} bytes (max_document_bytes)"


def with_token(settings: Settings) -> Settings:
    """Read the token from its file, if it has one.

    Raises:
        ConfigError: the file does not do, or the token is given twice.
    """
    file = settings.server_token_file
    if file is None:
        return settings
    if settings.server_token is not None:
        raise ConfigError("server_token_file: there is server_token as well; give one")
    token = SecretStr(secret_of("server_token_file", file))
    return settings.model_copy(update={"server_token": token})


def refuse_open_doors(settings: Settings) -> None:
    """Refuse to serve the network without a token.

    Raises:
        ConfigError: the token is missing or can be guessed. Its value is not told.
    """
    token = settings.server_token
    if token is not None and len(token.get_secret_value()) < SHORTEST_TOKEN:
        raise ConfigError(
            f"server_token: must have at least {SHORTEST_TOKEN} characters, such as what"
            " `openssl rand -hex 16` prints"
        )
    if token is None and not _is_here(settings.server_host):
        raise ConfigError(
            f"server_host: {settings.server_host!r} lets other machines in, and who can"
            " submit jobs can run encoders here: set SISYPHUS_SERVER_TOKEN, or listen on"
            " 127.0.0.1"
        )


class Gate:
    """Stands before the app and turns away what may not pass."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        token = settings.server_token
        self._app = app
        self._token = token.get_secret_value().encode() if token else None
        self._most = settings.max_document_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let it pass, or answer it here."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] == "http" and scope["path"] != OPEN_PATH:
            headers = dict(scope["headers"])
            refusal = self._refusal(headers)
            if refusal is not None:
                await refusal(scope, receive, send)
                return
            receive = _bounded(receive, self._most)
        await self._app(scope, receive, send)

    def _refusal(self, headers: dict[bytes, bytes]) -> Answer | None:
        if _from_another_site(headers):
            said = "asked by a page of another site, which a browser must not do here"
            return Answer({"message": said}, 403)
        if self._token is None:
            # A name of somebody else's that leads to this machine: a page there could
            # otherwise reach us through the browser of who looks at it.
            if not _is_here(_host(headers.get(b"host", b""))):
                said = "without a token this server is asked as localhost only"
                return Answer({"message": f"wrong Host: {said}"}, 400)
        elif not self._is_known(headers.get(b"authorization", b"")):
            said = "send the header `Authorization: Bearer TOKEN`"
            wanted = {"WWW-Authenticate": "Bearer"}
            return Answer({"message": said}, 401, wanted)
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > self._most:
            return Answer({"message": _TOO_LARGE.format(self._most)}, 413)
        return None

    def _is_known(self, authorization: bytes) -> bool:
        scheme, _, given = authorization.partition(b" ")
        expected = self._token or b""
        return scheme.lower() == b"bearer" and hmac.compare_digest(given, expected)


def _bounded(receive: Receive, most: int) -> Receive:
    """Stop reading a body that says nothing of its length, or not the truth."""
    taken = 0

    async def bounded() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > most:
            raise HTTPException(413, _TOO_LARGE.format(most))
        return message

    return bounded


def _from_another_site(headers: dict[bytes, bytes]) -> bool:
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        return site not in (b"same-origin", b"none")
    origin = headers.get(b"origin")
    return origin is not None and (
        origin.partition(b"://")[2].lower() != headers.get(b"host", b"").lower()
    )


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _host(header: bytes) -> str:
    """Take the name out of ``name:port``, ``[::1]:port``."""
    try:
        return urlsplit(f"//{header.decode('ascii')}").hostname or ""
    except ValueError:
        return ""
