"""The beat: renew every lease, show what the workers do, hear what is to be done.

Two threads of the supervisor. One round trip a tick, for all workers together; a nudge on
the supervisor's list of orders brings the next tick forward.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime

from sisyphus.errors import StoreError, StoreRefused, StoreUnavailable
from sisyphus.settings import Settings
from sisyphus.store.replies import Activity as Wish
from sisyphus.store.replies import Lease, Renewal, Verdict
from sisyphus.store.store import Store
from sisyphus.worker.board import STRICT_PART, Activity, Doing, boot_ms
from sisyphus.worker.child import Child
from sisyphus.worker.contract import Order, Word
from sisyphus.worker.heartbeat import heartbeat, progress
from sisyphus.worker.outage import Outage
from sisyphus.worker.upkeep import Upkeep

logger = logging.getLogger(__name__)

BEAT_SECONDS = 5.0
"""How often a heartbeat is written at least."""
ORDERS_SECONDS = 30.0


class Beat:
    """Owned by the supervisor."""

    def __init__(
        self, settings: Settings, store: Store, children: Sequence[Child], node: str
    ) -> None:
        self._settings = settings
        self._store = store
        self._children = children
        self._node = node
        self._upkeep = Upkeep(store, settings.lease / 8)
        self._tick_seconds = settings.lease / 8
        self._look = threading.Event()
        self._over = threading.Event()
        self._shown: dict[str, tuple[str | None, float]] = {}
        self._wishes: dict[str, Wish] = {}
        self._online_since = datetime.now(UTC)
        self._away = Outage(logger)
        self._full = Outage(logger)
        self._upkeep_refused = Outage(logger)
        self._impatient = Outage(logger)
        self._forgotten: set[str] = set()
        self._began_anew = deque[str]()
        self._unsaid, self._silent = 0, 0.0
        self._renewed = time.monotonic()
        self._hung_up, self._hang_up = os.pipe()
        self._ticking = threading.Thread(target=self._tick_on, name="beat", daemon=True)
        self._listening = threading.Thread(
            target=self._listen, name="orders", daemon=True
        )

    def start(self) -> None:
        """Begin to beat."""
        self._ticking.start()
        self._listening.start()

    @property
    def redis_is_away(self) -> bool:
        """Whether the last round was not answered."""
        return bool(self._away)

    def wait_for_redis(self, said: str) -> None:
        """Say why Redis cannot be used from the start, before the first round."""
        self._away.goes_on(f"{said}; the workers wait for it")

    def look_now(self) -> None:
        """Bring the next tick forward."""
        self._look.set()

    def bury(self, session: str, cause: str, spared: Lease | None = None) -> None:
        """Give back what a dead worker process held, as soon as Redis answers."""
        self._upkeep.bury(session, cause, spared)
        self.look_now()

    def has_begun_anew(self, session: str) -> None:
        """Hear of a worker process that ended since Redis did not know its session."""
        self._began_anew.append(session)

    def stop(self) -> None:
        """End the beat, after telling what is still to be told, and take down the sign."""
        self._over.set()
        self._look.set()
        os.write(self._hang_up, b"!")
        self._ticking.join()
        self._listening.join()
        if self._away:  # it would only keep a person waiting; leases and signs run out
            return
        keys = self._store.keys
        gone: dict[str, str | None] = {}
        for child in self._children:
            gone[keys.heartbeat(child.worker_id)] = None
            gone[keys.progress(child.worker_id)] = None
        try:
            self._upkeep.bury_all()
            self._store.show(gone)
        except StoreError as error:
            logger.debug("not told: %s", error)

    # The threads

    def _tick_on(self) -> None:
        while not self._over.is_set():
            self._look.clear()
            self.tick()
            # Not all supervisors of a fleet at once, when they were cut off at once.
            early = random.uniform(0.5, 1.0) if self._away else 1.0
            self._look.wait(self._tick_seconds * early)

    def _listen(self) -> None:
        while not self._over.is_set():
            try:
                match self._store.orders(self._node, ORDERS_SECONDS, self._hung_up):
                    case "look":
                        self._look.set()
                    case "wake":
                        for child in self._children:
                            child.order(Order(Word.WAKE))
            except StoreError:
                self._over.wait(self._tick_seconds)

    # One tick

    def tick(self) -> None:
        """Renew, show, hear, clear up."""
        seen = [(child, child.board.read() or Activity()) for child in self._children]
        alive = [
            (child, now)
            for child, now in seen
            if child.process and now.doing not in (Doing.STARTING, Doing.LEAVING)
        ]
        sent_ms = boot_ms()
        self._be_patient(sent_ms)
        try:
            held = [child.held(now) for child, now in alive]
            renewal = self._store.renew(held, self._to_show(seen))
        except (StoreUnavailable, StoreRefused) as error:
            self._shown.clear()
            self._away.goes_on(f"{error}; {self._meanwhile(seen)}")
            return
        self._away.is_over("Redis is back")
        self._impatient.is_over("encoders may go on again")
        silent, self._renewed = time.monotonic() - self._renewed, time.monotonic()
        until = sent_ms + int(self._settings.lease * 1000 * STRICT_PART)
        gone = set[str]()
        for (child, now), its, (verdict, wish) in zip(
            alive, held, renewal.orders, strict=True
        ):
            if verdict is not Verdict.GONE:
                child.board.allow_until(until, until)
            else:
                gone.add(its.session)
                child.order(Order(Word.GONE, 0, its.session))
            self._pass_on(child, now, verdict, wish)
        self._say_forgotten(gone, silent)
        self._heed_refused(renewal)
        self._clear_up(renewal)

    def _be_patient(self, now_ms: int) -> None:
        """Let patient tools go on while we live and try, up to the worker's patience."""
        if time.monotonic() - self._renewed > self._settings.patience:
            if self._settings.patience and self._any_busy():
                self._impatient.goes_on(
                    f"Redis has been away for {self._settings.patience:g} s (patience):"
                    " encoders are stopped, their jobs handed back when it is there"
                )
            return
        until = now_ms + int(self._settings.lease * 1000 * STRICT_PART)
        for child in self._children:
            child.board.be_patient_until(until)

    def _pass_on(
        self, child: Child, now: Activity, verdict: Verdict, wish: Wish
    ) -> None:
        match verdict:
            case Verdict.KEEP:
                pass
            case Verdict.CANCEL:
                child.stop(now.token, "cancel")
            case Verdict.LOST | Verdict.GONE if now.doing is Doing.BUSY:
                logger.warning(
                    "lost %s: it is stopped here, for others may have it", now.job_id
                )
                child.stop(now.token, "lost")
            case _:
                child.order(Order(Word.WAKE))
        if wish is Wish.DRAIN:
            child.drain()
        elif self._wishes.get(child.session, Wish.WORK) is not wish:
            child.order(Order(Word.WAKE))
        self._wishes[child.session] = wish

    def _clear_up(self, renewal: Renewal) -> None:
        try:
            self._upkeep.round(renewal)
        except StoreUnavailable:
            pass  # the next renewal tells
        except StoreRefused as error:
            self._upkeep_refused.goes_on(f"{error}; jobs go on, nobody is cleared up")
        else:
            self._upkeep_refused.is_over("clearing up works again")

    # What onlookers see

    def _to_show(self, seen: Sequence[tuple[Child, Activity]]) -> dict[str, str | None]:
        """Pick the values that have changed or would soon expire."""
        keys, wanted = self._store.keys, dict[str, str | None]()
        for child, now in seen:
            if child.process is None:
                continue
            wanted[keys.heartbeat(child.worker_id)] = heartbeat(
                now, child.worker_id, self._settings.hostname, self._online_since
            )
            wanted[keys.progress(child.worker_id)] = progress(now)
        moment = time.monotonic()
        due: dict[str, str | None] = {}
        for key, value in wanted.items():
            before, written = self._shown.get(key, (None, 0.0))
            old = value is not None and moment - written > BEAT_SECONDS - 0.5
            if value != before or old:
                due[key] = value
                self._shown[key] = (value, moment)
        return due

    # Trouble with Redis: said once, for all workers, when it begins and when it is over

    def _any_busy(self) -> bool:
        boards = (child.board.read() for child in self._children if child.process)
        return any(now is not None and now.doing is Doing.BUSY for now in boards)

    def _meanwhile(self, seen: Sequence[tuple[Child, Activity]]) -> str:
        if not any(child.process and now.doing is Doing.BUSY for child, now in seen):
            return "no job is taken until it is back"
        if not self._settings.patience:
            return "running tools end before their lease does (patience is 0)"
        return f"running encoders go on for up to {self._settings.patience:g} s"

    def _heed_refused(self, renewal: Renewal) -> None:
        """Heartbeats are refused when Redis is full; the scripts are not."""
        if renewal.refused:
            self._full.goes_on(f"{renewal.refused}; jobs are run and settled meanwhile")
        elif renewal.shown:
            self._full.is_over("Redis takes heartbeats and jobs again")

    def _say_forgotten(self, sessions: set[str], silent: float) -> None:
        """Say it when no more come, for those that heard it themselves, too."""
        while self._began_anew:
            sessions.add(self._began_anew.popleft())
        if new := sessions - self._forgotten:
            self._forgotten |= new
            self._silent = max(silent, self._silent)
            self._unsaid += len(new)
        elif self._unsaid:
            why = "it was emptied, or its data are older"
            if self._silent > self._settings.lease:
                why = f"silent for {self._silent:.0f} s, or its data are older"
            logger.warning(
                "Redis does not know %d of %d worker(s) any more (%s): they begin anew",
                self._unsaid,
                len(self._children),
                why,
            )
            self._unsaid, self._silent = 0, 0.0
            self._forgotten = sessions
