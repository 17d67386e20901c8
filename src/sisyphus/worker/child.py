"""One worker as its supervisor sees it: the process of the moment, its board, its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path

from sisyphus.settings import Settings, environment_of_workers
from sisyphus.store.replies import Held, Lease
from sisyphus.worker.board import Activity, Board, Doing
from sisyphus.worker.contract import LEASE_OVER, LEFT_IN_ORDER, Order, Start, Word
from sisyphus.worker.identity import Identity

STABLE_SECONDS = 30.0
"""A process that lived so long did not die of its start."""
LONGEST_PAUSE = 30.0


class Child:
    """Owned by the supervisor's main thread; the beat reads it and gives orders."""

    def __init__(
        self, identity: Identity, settings: Settings, machine: str, node: str
    ) -> None:
        self.identity = identity
        self.worker_id = identity.worker_id
        self.board = Board.create()
        self.session = ""
        self.process: subprocess.Popen[bytes] | None = None
        self.pidfd = -1
        self.finished = False
        """Not to be started again."""
        self.draining = False
        self.start_at = 0.0
        """Monotonic time before which it is not started again."""
        self.times_id_was_taken = 0
        self.settings_are_wrong = False
        self.killed_for_its_lease = False
        self.stopping: tuple[int, float] = (0, 0.0)
        """The token of the job that was told to stop, and when (monotonic)."""
        self._settings = settings
        self._machine, self._node = machine, node
        self._short_lives = 0
        self._started = 0.0
        self._oom_before = 0
        self._orders = threading.Lock()

    # Life

    def start(self) -> None:
        """Start a process with a session of its own."""
        self.session = uuid.uuid4().hex
        self.stopping, self.killed_for_its_lease = (0, 0.0), False
        self.board.write(Activity(doing=Doing.STARTING))
        self.board.allow_until(0, 0)
        self._oom_before = _oom_kills()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sisyphus.worker.process"],
            stdin=subprocess.PIPE,
            env=environment_of_workers(),
            pass_fds=(self.board.fd, self.identity.lock_fd),
            start_new_session=True,  # a terminal's Ctrl-C is for the supervisor
        )
        self._started = time.monotonic()
        if hasattr(os, "pidfd_open"):
            self.pidfd = os.pidfd_open(self.process.pid)
        start = Start(
            settings=self._settings.model_dump(mode="json"),
            session=self.session,
            worker_id=self.worker_id,
            machine=self._machine,
            node=self._node,
            board_fd=self.board.fd,
        )
        self._send(start.model_dump_json().encode() + b"\n")

    def ended(self) -> int | None:
        """Reap the process if it has ended; its exit code, negative for a signal."""
        if self.process is None or (code := self.process.poll()) is None:
            return None
        if self.process.stdin is not None:
            with suppress(OSError):
                self.process.stdin.close()
        if self.pidfd >= 0:
            os.close(self.pidfd)
        self.process, self.pidfd = None, -1
        short = time.monotonic() - self._started < STABLE_SECONDS
        if short and code != LEFT_IN_ORDER:
            self._short_lives += 1
        else:
            self._short_lives = 0
        pause = 0.0
        if self._short_lives > 2:
            pause = min(LONGEST_PAUSE, 2.0 ** (self._short_lives - 3))
        self.start_at = time.monotonic() + pause
        return code

    def cause(self, code: int) -> str:
        """Say how the process died."""
        if code == LEASE_OVER:
            return "the job did not stop before its lease could end"
        if code >= 0:
            return f"the worker process ended with exit code {code}"
        said = f"the worker process was killed by {signal.Signals(-code).name}"
        if -code == signal.SIGKILL and _oom_kills() > self._oom_before:
            said += " (the kernel ran out of memory)"
        return said

    def kill(self) -> None:
        """End the process at once; its tools end with it."""
        if self.process is not None:
            self.process.kill()

    # Orders

    def stop(self, token: int, reason: str) -> None:
        """Stop the job with this token; said again until it is heard."""
        if self.stopping[0] != token:
            self.stopping = (token, time.monotonic())
        self.order(Order(Word.STOP, token, reason))

    def drain(self) -> None:
        """Take no further job, and leave."""
        if not self.draining:
            self.draining = self.finished = True
            self.order(Order(Word.DRAIN))

    def order(self, order: Order) -> None:
        """Tell the process something; a dead one does not mind."""
        self._send(order.line())

    def _send(self, line: bytes) -> None:
        process = self.process
        if process is not None and process.stdin is not None:
            with self._orders, suppress(OSError, ValueError):
                process.stdin.write(line)
                process.stdin.flush()

    def lease(self) -> Lease | None:
        """Tell which job it has, or had when it died."""
        now = self.board.read()
        if now is None or now.doing is not Doing.BUSY:
            return None
        return Lease(self.session, now.job_id, now.token)

    def held(self, activity: Activity) -> Held:
        """What to renew."""
        if activity.doing is Doing.BUSY:
            return Held(self.session, activity.job_id, activity.token)
        return Held(self.session)


def _oom_kills() -> int:
    with suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0
