"""A machine: one ``sisyphus worker`` as a user starts it, that can be hit in many ways."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from bench.processes import children, descendants
from chaos.clock import now_us

ROOT = Path(__file__).resolve().parent.parent


class Machine:
    """Restarted after each death, as a service manager would."""

    def __init__(
        self, name: str, workers: int, folder: Path, variables: Mapping[str, str]
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._workers = workers
        self._variables = variables
        self._output: BinaryIO = self.log.open("ab")
        self.process: subprocess.Popen[bytes] | None = None
        self.down_until_us = 0
        """When it may be started again; only while it is down."""
        self.frozen: list[int] = []
        self.told_to_end = False
        self.deaths: dict[int, int] = {}
        """When each supervisor that was killed died, by its pid."""
        self.supervisors: list[int] = []
        """All that it has had, by their pids."""
        self.odd_ends: list[str] = []
        """Ends that nobody asked for."""

    @property
    def alive(self) -> bool:
        """Whether its supervisor runs."""
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        """The supervisor's."""
        assert self.process is not None
        return self.process.pid

    def look_after(self) -> None:
        """Start it, or start it again."""
        if self.alive:
            return
        if self.process is not None:
            code = self.process.wait()
            if self.pid not in self.deaths:  # nobody killed it
                self.deaths[self.pid] = now_us()
                self._judge_end(code)
            self.process, self.frozen, self.told_to_end = None, [], False
        if now_us() >= self.down_until_us:
            self._start()

    def _judge_end(self, code: int) -> None:
        if not self.told_to_end:
            self.odd_ends.append(f"ended by itself with exit code {code}")
        elif code not in (0, -signal.SIGTERM):  # that is: before it had begun
            self.odd_ends.append(f"ended with exit code {code} after SIGTERM")

    def _start(self) -> None:
        words = ["worker", "-c", str(self._workers), "--name", self.name]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sisyphus.cli", *words],
            env=self._variables,
            cwd=self.log.parent,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            start_new_session=True,
        )
        self.supervisors.append(self.pid)

    def workers(self) -> list[int]:
        """Pids of its worker processes."""
        return [pid for pid in children(self.pid) if _runs(pid, "worker.process")]

    def guards(self) -> list[int]:
        """Pids of the guards of its tools."""
        return [pid for pid in descendants(self.pid) if _runs(pid, "import guard")]

    def tools(self) -> list[int]:
        """Pids of the tools that run."""
        tools = [pid for guard in self.guards() for pid in descendants(guard)]
        return [pid for pid in tools if _runs(pid, "ticker.py")]

    def tree(self) -> list[int]:
        """All its pids."""
        return [self.pid, *descendants(self.pid)]

    def kill(self) -> None:
        """SIGKILL for the supervisor alone."""
        self.deaths[self.pid] = now_us()
        send([self.pid], signal.SIGKILL)

    def lose_power(self) -> None:
        """All of it is gone at once."""
        tree = self.tree()
        send(tree, signal.SIGSTOP)
        self.deaths[self.pid] = now_us()
        send(tree, signal.SIGKILL)

    def freeze(self, pids: Iterable[int]) -> None:
        """Stop some of its processes."""
        stopped = list(pids)
        send(stopped, signal.SIGSTOP)
        self.frozen += stopped

    def thaw(self) -> None:
        """Let all its processes go on; tools before those that might stop them."""
        stopped, self.frozen = self.frozen[::-1], []
        send(stopped, signal.SIGCONT)

    def tell_to_end(self) -> None:
        """SIGTERM, as a deploy sends it."""
        self.told_to_end = True
        send([self.pid], signal.SIGTERM)

    def close(self) -> None:
        """End what is left of it."""
        if self.alive:
            self.thaw()
            self.lose_power()
        if self.process is not None:
            self.process.wait()
        self._output.close()

    def said(self) -> str:
        """Read what the supervisor and its workers have said."""
        return self.log.read_text(errors="replace")


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Signal processes, of which some may have ended."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _runs(pid: int, word: str) -> bool:
    with suppress(OSError):
        return word.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def still_running(word: str) -> list[int]:
    """Find all processes of this machine that have a word in their command line."""
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [pid for pid in pids if pid != os.getpid() and _runs(pid, word)]
