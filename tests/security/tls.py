"""TLS in front of a real server: certificates made on the spot, and what ends TLS."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, both PEM files."""

    file: Path
    key: Path


class Authority:
    """A certificate authority of our own, in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name, self._number = folder, name, 0
        self.certificate = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
        _openssl(
            *("req", "-x509", "-days", "2", "-subj", f"/CN={name}", *_NEW_KEY),
            *("-keyout", self.certificate.key, "-out", self.certificate.file),
        )

    @property
    def file(self) -> Path:
        return self.certificate.file

    def issue(self, name: str, *, names: str = "", days: int = 2) -> Certificate:
        """Sign a certificate for these names, such as ``DNS:localhost``."""
        self._number += 1
        stem = self._folder / f"{self._name}-{name}-{self._number}"
        made = Certificate(stem.with_suffix(".pem"), stem.with_suffix(".key"))
        request, extra = stem.with_suffix(".csr"), stem.with_suffix(".ext")
        extra.write_text(f"subjectAltName={names}\n" if names else "\n")
        _openssl(
            *("req", "-new", "-subj", f"/CN={name}", *_NEW_KEY),
            *("-keyout", made.key, "-out", request),
        )
        _openssl(
            *("x509", "-req", "-in", request, "-days", days, "-extfile", extra),
            *("-CA", self.file, "-CAkey", self.certificate.key),
            *("-set_serial", self._number, "-out", made.file),
        )
        return made


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def _openssl(*words: object) -> None:
    subprocess.run(
        ["openssl", *map(str, words)], check=True, capture_output=True, timeout=30
    )


class TlsDoor:
    """Ends TLS in front of a server's unix socket; counts and can cut connections."""

    def __init__(
        self, server: Path, own: Certificate, client_ca: Path | None = None
    ) -> None:
        self._server = server
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(own.file, own.key)
        if client_ca is not None:
            self._context.verify_mode = ssl.CERT_REQUIRED
            self._context.load_verify_locations(client_ca)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.connections = 0
        """Handshakes that came to a good end."""
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def url(self, host: str = "localhost") -> str:
        return f"rediss://{host}:{self.port}/0"

    def cut(self) -> None:
        """End all connections as a dead machine's kernel would: nothing is said."""
        for side in self._open:
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(caller,), daemon=True).start()

    def _serve(self, caller: socket.socket) -> None:
        with contextlib.suppress(OSError), caller:
            caller.settimeout(10)
            outside = self._context.wrap_socket(caller, server_side=True)
            with outside, socket.socket(socket.AF_UNIX) as inside:
                inside.connect(str(self._server))
                self._open.append(outside)
                self.connections += 1
                _pass_on(outside, inside)


def _pass_on(outside: ssl.SSLSocket, inside: socket.socket) -> None:
    """Pass bytes both ways until one side ends. One thread: TLS allows no two."""
    while True:
        both: list[socket.socket] = [outside, inside]
        ready = [both[0]] if outside.pending() else select.select(both, [], [])[0]
        for source in ready:
            data = source.recv(65536)
            if not data:
                return
            (inside if source is outside else outside).sendall(data)
