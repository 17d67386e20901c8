"""A worker process: takes a job, runs it, says how it ended, takes the next.

Started by the supervisor as ``python -m sisyphus.worker.process``. It loads the modules,
so a module may crash it; that costs one attempt and nothing else.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import select
import shutil
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn, TypeVar

from sisyphus.errors import ConfigError, SisyphusError, StoreError
from sisyphus.logs import configure
from sisyphus.machine import hide_memory
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
    CODE_PART,
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
    LEASE_OVER,
    LEFT_IN_ORDER,
    SESSION_GONE,
    SUPERVISOR_GONE,
    WRONG_SETTINGS,
    Order,
    Start,
    Word,
)
from sisyphus.worker.orphans import die_with_parent
from sisyphus.worker.patience import insist
from sisyphus.worker.runner import Runner
from sisyphus.worker.workdir import begin_folder

logger = logging.getLogger(__name__)
Value = TypeVar("Value")

WAIT_SECONDS = 5.0
"""A waiting worker looks at all lists this often, in case it missed something."""
LATE_PART = 0.5
"""With less than that of the lease to go, renewals are late: Redis may be away."""
TOLD_KEPT = 64
"""Ends of jobs that are remembered, in case the server forgets them."""


LEAVE_SECONDS = 3.0
"""How long a worker with nothing in hand tries to say goodbye."""


class _Drained(Exception):
    """There is nothing more to wait for."""


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
        self._draining = self._gone = False
        self._token = 0
        self._workdir: Path | None = None
        self._late_ms = int(settings.lease * 1000 * LATE_PART)
        self._told = deque[Settlement](maxlen=TOLD_KEPT)
        self._wake_read, self._wake_write = os.pipe()
        for fd in (self._wake_read, self._wake_write):
            os.set_blocking(fd, False)

    def live(self) -> int:
        """Work until drained or told to go; returns the exit code."""
        threading.Thread(target=self._hear, name="orders", daemon=True).start()
        threading.Thread(target=self._heed_lease, name="lease", daemon=True).start()
        try:
            return self._work()
        except _Drained:
            self._leave(None)
            return LEFT_IN_ORDER
        finally:
            if self._workdir is not None:
                shutil.rmtree(self._workdir, ignore_errors=True)

    def _work(self) -> int:
        if not self._register():
            return ID_TAKEN
        self._workdir = begin_folder(self._settings, self._start.worker_id)
        self._runner.work_in(self._workdir)
        done, settlement = 0, None
        while not self._draining and done != self._settings.max_jobs:
            settlement = self._await_renewal(settlement)
            if self._gone:
                if settlement is not None:
                    self._settle(settlement)
                return SESSION_GONE
            reply = self._settle_and_take(settlement)
            settlement = None
            match reply:
                case None:  # Redis was away
                    continue
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
        lease = taken.lease
        self._token = lease.token
        # Renewed as ours from now on, though its modules may take a while to load.
        self._board.write(
            Activity(doing=Doing.BUSY, token=lease.token, job_id=lease.job_id)
        )
        settlement = self._runner.run(taken)
        self._token = 0
        late = self._board.may_go_on_until(patient=False) - boot_ms() < self._late_ms
        if late or self._runner.control.stopping:
            # It is over, whatever becomes of the lease while Redis is told.
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
            taken = insist(
                lambda: self._store.register(self._session, facts),
                self._leave_if_drained,
            )
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
            insist(
                partial(self._store.recover, other, "it was started anew"),
                self._leave_if_drained,
            )

    def _await_renewal(self, settlement: Settlement | None) -> Settlement | None:
        """Take nothing while nobody renews our lease: the supervisor may be stopped."""
        while self._board.may_go_on_until(patient=False) < boot_ms():
            if settlement is not None:
                self._board.write(Activity(doing=Doing.SETTLING))
                self._settle(settlement)
                settlement = None
            if self._draining or self._gone:
                break
            self._rest(0.2)
        return settlement

    def _settle_and_take(self, settlement: Settlement | None) -> TakeReply | None:
        """Tell how the last job ended, and get one; nothing when Redis was away.

        Then only the first half is insisted on: by the time it is heard there may be a
        drain, and the lease has to be renewed before a job may begin.
        """
        try:
            accepted, reply = self._store.take(self._session, settlement)
        except StoreError:
            self._board.write(Activity(doing=Doing.SETTLING))
            if settlement is None:
                insist(partial(self._store.promote, 0), self._leave_if_drained)
            else:
                self._settle(settlement)
            return None
        if settlement is not None and not accepted:
            self._say_lost(settlement)
        return reply

    def _settle(self, settlement: Settlement) -> None:
        """Tell how a job ended, however long it takes."""
        call, job_id = partial(self._store.settle, settlement), settlement.lease.job_id
        try:
            accepted = call()
        except StoreError:
            logger.info("%s has ended; Redis is told when it answers", job_id)
            accepted = insist(call)
            logger.info("Redis was told how %s ended", job_id)
        if not accepted:
            self._say_lost(settlement)

    def _say_lost(self, settlement: Settlement) -> None:
        known = self._runner.control.reason is StopReason.LOST
        logger.log(
            logging.DEBUG if known else logging.WARNING,
            "lost %s: how it ended here does not count, others may have it",
            settlement.lease.job_id,
        )

    def _wait(self, doing: Doing, due_in: float | None) -> None:
        """Sleep until there may be work."""
        self._board.write(Activity(doing=doing))
        if due_in is not None and due_in <= 0:
            insist(self._store.promote, self._leave_if_drained)
            return
        seconds = WAIT_SECONDS if due_in is None else min(WAIT_SECONDS, due_in)
        if doing is Doing.IDLE:
            try:
                self._store.wait(max(0.001, seconds), self._wake_read)
            except (
                StoreError
            ) as error:  # full, perhaps, or gone: the next take will tell
                logger.debug("not waiting for a document: %s", error)
                seconds = min(seconds, 1.0)
            else:
                seconds = 0.0
        self._rest(seconds)

    def _rest(self, seconds: float) -> None:
        """Sleep, unless an order has come or comes."""
        select.select([self._wake_read], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 4096)

    def _leave(self, settlement: Settlement | None) -> None:
        self._board.write(Activity(doing=Doing.LEAVING))
        if settlement is not None:
            self._settle(settlement)
        # The waiting connection goes first: what it may still move is put back by leave.
        self._store.close()
        with contextlib.suppress(_Drained):
            insist(lambda: self._store.leave(self._session), _within(LEAVE_SECONDS))
        self._store.close()

    def _leave_if_drained(self) -> None:
        """With nothing in hand there is nothing to wait for Redis for."""
        if self._draining:
            raise _Drained

    # Orders, heard by a thread of their own

    def _hear(self) -> None:
        with contextlib.suppress(ValueError):  # a supervisor without sense is gone, too
            for line in sys.stdin.buffer:
                order = Order.read(line)
                match order.word:
                    case Word.STOP:
                        if order.token == self._token:
                            self._runner.control.stop(StopReason(order.reason))
                    case Word.DRAIN:
                        self._draining = True
                    case Word.GONE:
                        self._gone = order.reason == self._session
                with contextlib.suppress(BlockingIOError):  # woken often enough
                    os.write(self._wake_write, b"!")
        # The supervisor is gone: nobody renews the lease or would stop us. The end of this
        # process ends the tools: their guards notice.
        os._exit(SUPERVISOR_GONE)

    def _heed_lease(self) -> None:
        """End this process before the lease can end under a module that hears no order.

        Guards do so for tools. Here it is for code in Python, and for the case that the
        supervisor, which would do it, is itself stopped.
        """
        margin_ms = int(self._settings.lease * 1000 * CODE_PART)
        never = threading.Event()
        while True:
            now = self._board.read() or Activity()
            until = self._board.may_go_on_until(patient=now.patient) + margin_ms
            if self._token == now.token != 0 and until < boot_ms():
                logger.error(
                    "%s did not stop, and its lease is about to end: this worker process"
                    " ends",
                    now.job_id,
                )
                os._exit(LEASE_OVER)
            never.wait(self._settings.lease / 12)


def _within(seconds: float) -> Callable[[], None]:
    ends = time.monotonic() + seconds

    def give_up() -> None:
        if time.monotonic() > ends:
            raise _Drained

    return give_up


def main() -> NoReturn:
    """Live as a worker process."""
    die_with_parent()
    hide_memory()
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


if __name__ == "__main__":
    main()
