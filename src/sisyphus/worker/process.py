"""A worker process: takes a job, runs it, says how it ended, takes the next.

Started by the supervisor as ``python -m sisyphus.worker.process``. It loads the modules,
so a module may crash it; that costs one attempt and nothing else.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import os
import select
import signal
import sys
import threading
from collections import deque
from functools import partial
from typing import NoReturn

from sisyphus.errors import ConfigError, SisyphusError, StoreError
from sisyphus.logs import configure
from sisyphus.modules.control import StopReason
from sisyphus.modules.registry import Registry
from sisyphus.modules.tool import Deadline
from sisyphus.settings import Settings
from sisyphus.store.replies import (
    Empty,
    Gone,
    Paused,
    Settlement,
    Taken,
    TakeReply,
    WorkerFacts,
)
from sisyphus.store.store import Store
from sisyphus.version import VERSION
from sisyphus.worker.board import (
    PATIENT_OFFSET,
    STRICT_OFFSET,
    STRICT_PART,
    Activity,
    Board,
    Doing,
    boot_ms,
)
from sisyphus.worker.contract import (
    ID_TAKEN,
    LEFT_IN_ORDER,
    SESSION_GONE,
    SUPERVISOR_GONE,
    WRONG_SETTINGS,
    Order,
    Start,
    Word,
)
from sisyphus.worker.patience import insist
from sisyphus.worker.runner import Runner

logger = logging.getLogger(__name__)

WAIT_SECONDS = 5.0
"""A waiting worker looks at all lists this often, in case it missed something."""
TOLD_KEPT = 64
"""Ends of jobs that are remembered, in case the server forgets them."""


class WorkerProcess:
    """One life of one worker: one session."""

    def __init__(self, start: Start, settings: Settings) -> None:
        self._start = start
        self._settings = settings
        self._session = start.session
        self._board = Board(start.board_fd)
        self._store = Store(settings)
        self._registry = Registry.load(settings)
        self._runner = Runner(
            self._store,
            self._registry,
            settings,
            self._board,
            Deadline(start.board_fd, STRICT_OFFSET, PATIENT_OFFSET),
            {"worker_id": start.worker_id, "host": settings.hostname},
        )
        self._draining = False
        self._token = 0
        self._told = deque[Settlement](maxlen=TOLD_KEPT)
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)

    def live(self) -> int:
        """Work until drained or told to go; returns the exit code."""
        threading.Thread(target=self._hear, name="orders", daemon=True).start()
        if not self._register():
            return ID_TAKEN
        done, settlement = 0, None
        while not self._draining and done != self._settings.max_jobs:
            settlement = self._await_renewal(settlement)
            reply = self._settle_and_take(settlement)
            settlement = None
            match reply:
                case Taken():
                    settlement = self._told_before(reply) or self._run(reply)
                    self._told.append(settlement)
                    done += 1
                case Empty():
                    self._wait(Doing.IDLE, reply.due_in)
                case Paused():
                    self._wait(Doing.PAUSED, None)
                case Gone():
                    return SESSION_GONE
        self._leave(settlement)
        return LEFT_IN_ORDER

    def _run(self, taken: Taken) -> Settlement:
        self._token = taken.lease.token
        settlement = self._runner.run(taken)
        self._token = 0
        if self._runner.control.stopping:
            self._board.write(Activity(doing=Doing.SETTLING))
        return settlement

    def _told_before(self, taken: Taken) -> Settlement | None:
        """Find how this very attempt ended, if it has been told already.

        No token is given twice, so the server has lost what it was told: it went on
        with older data (a replica that lagged, a restart without its last second). What
        is done is told once more, not done once more.
        """
        for settlement in self._told:
            if settlement.lease == taken.lease:
                logger.warning(
                    "Redis has forgotten how %s ended: it is told once more",
                    taken.lease.job_id,
                )
                return settlement
        return None

    def _register(self) -> bool:
        """Begin the session; a dead worker's one on this machine is ended first."""
        start = self._start
        facts = WorkerFacts(
            worker_id=start.worker_id,
            host=self._settings.hostname,
            machine=start.machine,
            node=start.node,
            pid=os.getpid(),
            version=VERSION,
            modules=tuple(self._registry.names),
            labels=self._settings.labels,
        )
        while True:
            sent_ms = boot_ms()
            taken = insist(lambda: self._store.register(self._session, facts))
            if taken is None:
                until = sent_ms + int(self._settings.lease * 1000 * STRICT_PART)
                self._board.allow_until(until, until)
                return True
            other, machine, host = taken
            if machine != start.machine:
                logger.error(
                    "the worker id %s is in use by a worker on %s: give this one another"
                    " name (--name or HOSTNAME_OVERRIDE)",
                    start.worker_id,
                    host or "another machine",
                )
                return False
            # The supervisor holds this machine's lock on the id: the other one is dead.
            insist(partial(self._store.recover, other, "it was started anew"))

    def _await_renewal(self, settlement: Settlement | None) -> Settlement | None:
        """Take nothing while nobody renews our lease: the supervisor may be stopped."""
        while self._board.may_go_on_until(patient=False) < boot_ms():
            if settlement is not None:
                self._board.write(Activity(doing=Doing.SETTLING))
                insist(partial(self._store.settle, settlement))
                settlement = None
            _readable(self._wake_read, 0.2)
            if self._draining:
                break
        return settlement

    def _settle_and_take(self, settlement: Settlement | None) -> TakeReply:
        try:
            accepted, reply = self._store.take(self._session, settlement)
        except StoreError:
            self._board.write(Activity(doing=Doing.SETTLING))
            accepted, reply = insist(
                lambda: self._store.take(self._session, settlement)
            )
        if settlement is not None and not accepted:
            logger.warning(
                "lost %s: its outcome was not accepted, another worker has it",
                settlement.lease.job_id,
            )
        return reply

    def _wait(self, doing: Doing, due_in: float | None) -> None:
        """Sleep until there may be work."""
        self._board.write(Activity(doing=doing))
        if due_in is not None and due_in <= 0:
            insist(self._store.promote)
            return
        seconds = WAIT_SECONDS if due_in is None else min(WAIT_SECONDS, due_in)
        if doing is Doing.IDLE:
            try:
                self._store.wait(max(0.001, seconds), self._wake_read)
            except (
                StoreError
            ) as error:  # full, perhaps, or gone: the next take will tell
                logger.debug("not waiting for a document: %s", error)
                _readable(self._wake_read, 1.0)
        else:
            _readable(self._wake_read, seconds)
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 4096)

    def _leave(self, settlement: Settlement | None) -> None:
        self._board.write(Activity(doing=Doing.LEAVING))
        if settlement is not None:
            insist(lambda: self._store.settle(settlement))
        # The waiting connection goes first: what it may still move is put back by leave.
        self._store.close()
        insist(lambda: self._store.leave(self._session))
        self._store.close()

    # Orders, heard by a thread of their own

    def _hear(self) -> None:
        for line in sys.stdin.buffer:
            order = Order.read(line)
            match order.word:
                case Word.STOP:
                    if order.token == self._token:
                        self._runner.control.stop(StopReason(order.reason))
                case Word.DRAIN:
                    self._draining = True
            os.write(self._wake_write, b"!")
        # The supervisor is gone: nobody renews the lease or would stop us. The end of this
        # process ends the tools: their guards notice.
        os._exit(SUPERVISOR_GONE)


def _readable(fd: int, seconds: float) -> None:
    select.select([fd], [], [], seconds)


def main() -> NoReturn:
    """Live as a worker process."""
    die_with_parent()
    start = Start.model_validate_json(sys.stdin.buffer.readline())
    settings = Settings(**start.settings)
    configure(settings.log_level, settings.log_json)
    try:
        process = WorkerProcess(start, settings)
    except ConfigError as error:
        logger.error("%s", error)
        logging.shutdown()
        os._exit(WRONG_SETTINGS)
    # What is loaded by now stays: no need to look through it for garbage again and again.
    gc.collect()
    gc.freeze()
    try:
        code = process.live()
    except SisyphusError as error:
        logger.error("the worker process ends: %s", error)
        code = 1
    logging.shutdown()
    os._exit(code)  # no waiting for threads of modules


def die_with_parent() -> None:
    """Let the kernel kill this process when its supervisor dies; Linux only.

    Signals that stop a supervisor often go to its whole group or control group: a worker
    process leaves them to its supervisor.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        pr_set_pdeathsig, pr_set_child_subreaper = 1, 36
        libc.prctl(pr_set_pdeathsig, signal.SIGKILL, 0, 0, 0)
        libc.prctl(pr_set_child_subreaper, 1, 0, 0, 0)


if __name__ == "__main__":
    main()
