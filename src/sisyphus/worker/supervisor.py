"""The supervisor: starts workers, watches them, restarts them, and ends in order.

It runs no module, so nothing that a job does can stop it. The main thread watches
processes and clocks; the beat (beat.py) talks to Redis.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import time
import uuid
from contextlib import suppress

from sisyphus.errors import ConfigError, StoreRefused, StoreUnavailable
from sisyphus.limits import Limits, enter_group
from sisyphus.logs import redacted
from sisyphus.machine import hide_memory, machine_id
from sisyphus.settings import Settings
from sisyphus.store.health import (
    Severity,
    durability,
    other_database,
    rights_missing,
    warnings,
)
from sisyphus.store.reads import Reads
from sisyphus.store.store import Store
from sisyphus.worker.beat import Beat
from sisyphus.worker.board import CODE_PART, Activity, Doing, boot_ms
from sisyphus.worker.child import Child
from sisyphus.worker.contract import (
    ID_TAKEN,
    LEASE_OVER,
    LEFT_IN_ORDER,
    SESSION_GONE,
    WRONG_SETTINGS,
)
from sisyphus.worker.identity import claim
from sisyphus.worker.orphans import adopt_orphans, wait_for_orphans

logger = logging.getLogger(__name__)

WATCH_SECONDS = 1.0
STOP_MARGIN_SECONDS = 5.0
"""On top of the grace: how long a process may take to come back from a stopped job."""


class Supervisor:
    """One for each ``sisyphus worker``."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store = Store(settings)
        node, machine = uuid.uuid4().hex, machine_id(settings.hostname)
        self._children = [
            Child(identity, settings, machine, node)
            for identity in claim(settings, settings.concurrency)
        ]
        self._beat = Beat(settings, self._store, self._children, node)
        self._watch_seconds = min(WATCH_SECONDS, settings.lease / 12)
        self._signals = 0
        self._waits_for_redis = False
        self._hand_back_at: float | None = None
        self._wake_read, self._wake_write = os.pipe()
        for fd in (self._wake_read, self._wake_write):
            os.set_blocking(fd, False)

    def run(self) -> int:
        """Supervise until told to stop; returns the exit code.

        Raises:
            StoreRefused: Redis answers, but does not let us in.
        """
        hide_memory()
        self._check_store()
        adopt_orphans()
        if self._settings.tool_memory:
            enter_group()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        self._start_missing()
        self._say_hello()
        self._beat.start()
        while any(child.process or not child.finished for child in self._children):
            self._sleep()
            self._reap()
            self._start_missing()
            self._watch()
            self._drain()
        self._beat.stop()
        self._store.close()
        logger.info("all workers have left")
        if any(child.settings_are_wrong for child in self._children):
            return ConfigError.exit_status
        taken = any(child.times_id_was_taken for child in self._children)
        return ConfigError.exit_status if taken and not self._signals else 0

    def _check_store(self) -> None:
        """Say at once what is wrong with the server: nobody reads logs after a loss."""
        try:
            self._store.promote(0)
            with Reads(self._settings) as reads:
                self._say_of_server(reads)
        except StoreUnavailable as error:
            self._beat.wait_for_redis(str(error))
        except StoreRefused as error:
            if not error.passes:
                raise
            self._beat.wait_for_redis(str(error))

    def _say_of_server(self, reads: Reads) -> None:
        try:
            server = reads.server()
        except StoreRefused as error:  # this user may not ask: that stops no work
            logger.warning("the server's settings cannot be checked: %s", error)
        else:
            for warning in warnings(server):
                logger.warning("%s", warning)
            kept = durability(server)
            if kept.severity is Severity.OK:
                logger.info("%s", kept)
        if missing := reads.denied():
            logger.error("%s", rights_missing(missing))
        if others := reads.elsewhere():
            logger.warning("%s", other_database(self._settings, others))

    def _say_hello(self) -> None:
        names = ", ".join(child.worker_id for child in self._children)
        logger.info(
            "%d worker(s) on %s for the queue %r at %s: %s",
            len(self._children),
            self._settings.hostname,
            self._settings.queue,
            redacted(self._settings.redis_url),
            names,
        )
        if limits := Limits.of(self._settings).told():
            logger.info("tools are limited: %s", ", ".join(limits))
        if allowed := self._settings.allowed_options:
            logger.warning(
                "jobs may use what is refused elsewhere: %s", ", ".join(allowed)
            )

    # Processes

    def _sleep(self) -> None:
        watched = [c.pidfd for c in self._children if c.pidfd >= 0]
        select.select([self._wake_read, *watched], [], [], self._watch_seconds)
        with suppress(BlockingIOError):
            os.read(self._wake_read, 4096)

    def _start_missing(self) -> None:
        for child in self._children:
            if child.process is None and not child.finished:
                if self._signals:
                    child.finished = True
                elif time.monotonic() >= child.start_at:
                    child.start()

    def _reap(self) -> None:
        for child in self._children:
            if (code := child.ended()) is None:
                continue
            # Its tools' guards have seen it die and are clearing up: only when they are
            # gone may the job be given back.
            wait_for_orphans({c.process.pid for c in self._children if c.process})
            match code:
                case _ if code == LEFT_IN_ORDER:
                    logger.debug("worker %s has left", child.worker_id)
                case _ if code == ID_TAKEN:
                    self._id_taken(child)
                case _ if code == WRONG_SETTINGS:
                    # It has said which; another start would not make it right.
                    child.finished = child.settings_are_wrong = True
                case _ if code == SESSION_GONE:
                    self._beat.has_begun_anew(child.session)
                case _:
                    cause = child.cause(code)
                    logger.error("worker %s: %s", child.worker_id, cause)
                    lease_over = code == LEASE_OVER or child.killed_for_its_lease
                    spared = child.lease() if lease_over else None
                    self._beat.bury(child.session, cause, spared)

    def _id_taken(self, child: Child) -> None:
        """Another machine has this id: perhaps this one before it rebooted."""
        child.times_id_was_taken += 1
        child.start_at = time.monotonic() + self._settings.lease
        if child.times_id_was_taken > 2:
            child.finished = True

    # Clocks

    def _watch(self) -> None:
        """Stop jobs that are late, that hang, or that may no longer be ours."""
        for child in self._children:
            now = child.board.read() if child.process else None
            if now is None or now.doing is not Doing.BUSY:
                continue
            if reason := self._reason_to_stop(child, now):
                child.stop(now.token, reason)
            if reason == "lost" and self._lease_is_about_to_end(child, now):
                child.killed_for_its_lease = True  # it should have ended by itself
                child.kill()
            token, since = child.stopping
            limit = self._settings.grace + STOP_MARGIN_SECONDS
            if token == now.token and time.monotonic() - since > limit:
                logger.error(
                    "worker %s did not come back from %s within %.0f s: killed",
                    child.worker_id,
                    now.job_id,
                    limit,
                )
                child.kill()

    @staticmethod
    def _reason_to_stop(child: Child, now: Activity) -> str | None:
        moment = boot_ms()
        if 0 < now.deadline_ms < moment:
            return "timeout"
        if now.stall_ms and now.moved_ms + now.stall_ms < moment:
            return "stalled"
        if child.board.may_go_on_until(patient=now.patient) < moment:
            return "lost"
        return None

    def _lease_is_about_to_end(self, child: Child, now: Activity) -> bool:
        margin_ms = int(self._settings.lease * 1000 * CODE_PART)
        return child.board.may_go_on_until(patient=now.patient) + margin_ms < boot_ms()

    # The end

    def _on_signal(self, number: int, frame: object) -> None:
        self._signals += 1

    def _drain(self) -> None:
        """Once told: finish the jobs or hand them back. Twice: hand back now. Then kill."""
        if not self._signals:
            return
        if self._hand_back_at is None:
            self._begin_drain()
        if self._signals >= 2 and self._hand_back_at:
            logger.info("stopping now: running jobs are handed back")
            self._hand_back_at = 0.0
        self._say_what_is_waited_for()
        for child in self._children:
            child.drain()
            now = child.board.read()
            late = time.monotonic() >= (self._hand_back_at or 0.0)
            if late and now is not None and now.doing is Doing.BUSY:
                child.stop(now.token, "drain")
            if self._signals >= 3:
                child.kill()

    def _begin_drain(self) -> None:
        seconds = self._settings.drain_timeout
        if self._settings.on_drain == "release":
            seconds = 0.0
        if seconds is None:
            self._hand_back_at = float("inf")
            logger.info("draining: running jobs are finished; again to hand them back")
        else:
            self._hand_back_at = time.monotonic() + seconds
            logger.info("draining: running jobs are handed back after %g s", seconds)

    def _say_what_is_waited_for(self) -> None:
        boards = [c.board.read() for c in self._children if c.process]
        untold = [x for x in boards if x is not None and x.doing is Doing.SETTLING]
        if untold and self._beat.redis_is_away and not self._waits_for_redis:
            self._waits_for_redis = True
            logger.warning(
                "waiting for Redis, to tell it how %d job(s) ended; a third signal leaves"
                " at once, and they run again",
                len(untold),
            )
