"""The least that a taker of jobs can do: a blocking wait, one round trip, the clock.

Run as a program of its own: ``python -m bench.bare SOCKET LIST FILE``.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from pathlib import Path

from hiredis import Reader, pack_command


def main(path: str, waiting: str, file: str) -> None:
    """Take documents until killed; write down each one's id and when it was there."""
    reader, wire = Reader(), socket.socket(socket.AF_UNIX)
    wire.connect(path)
    staged = f"{waiting}:staged"
    wait: bytes = pack_command(("BLMOVE", waiting, staged, "RIGHT", "LEFT", "0"))  # type: ignore[arg-type]  # its stub is wrong
    take: bytes = pack_command(("RPOP", staged))  # type: ignore[arg-type]  # its stub is wrong

    def ask(command: bytes) -> bytes:
        wire.sendall(command)
        while (answer := reader.gets()) is False:
            reader.feed(wire.recv(65536))
        return bytes(answer)

    with Path(file).open("a", buffering=1) as lines:
        while True:
            ask(wait)
            document = ask(take)
            there = time.monotonic_ns()
            lines.write(f"{json.loads(document)['job_id']} {there}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
