"""The beat: renew every lease, show what the workers do, hear what is to be done.

Two threads of the supervisor. One round trip a tick, for all workers together; a nudge on
the supervisor's list of orders brings the next tick forward.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from sisyphus.errors import StoreError, StoreRefused, StoreUnavailable
from sisyphus.settings import Settings
from sisyphus.store.replies import Activity as Wish
from sisyphus.store.replies import Renewal, Verdict
from sisyphus.store.store import Store
from sisyphus.worker.board import STRICT_PART, Activity, Doing, boot_ms
from sisyphus.worker.child import Child
from sisyphus.worker.contract import Order, Word
from sisyphus.worker.heartbeat import heartbeat, progress
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
        self._upkeep = Upkeep(store)
        self._tick_seconds = settings.lease / 8
        self._look = threading.Event()
        self._over = threading.Event()
        self._shown: dict[str, tuple[str | None, float]] = {}
        self._wishes: dict[str, Wish] = {}
        self._online_since = datetime.now(UTC)
        self._away_since: float | None = None
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

    def look_now(self) -> None:
        """Bring the next tick forward."""
        self._look.set()

    def bury(self, session: str, cause: str) -> None:
        """Give back what a dead worker process held, as soon as Redis answers."""
        self._upkeep.bury(session, cause)
        self.look_now()

    def stop(self) -> None:
        """End the beat, after telling what is still to be told, and take down the sign."""
        self._over.set()
        self._look.set()
        os.write(self._hang_up, b"!")
        self._ticking.join()
        self._listening.join()
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
            self._look.wait(self._tick_seconds)

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
            renewal = self._store.renew(
                [child.held(now) for child, now in alive], self._to_show(seen)
            )
        except (StoreUnavailable, StoreRefused) as error:
            self._shown.clear()
            self._redis_is_away(error)
            return
        self._redis_is_back()
        until = sent_ms + int(self._settings.lease * 1000 * STRICT_PART)
        for (child, now), (verdict, wish) in zip(alive, renewal.orders, strict=True):
            if verdict is not Verdict.GONE:
                child.board.allow_until(until, until)
            self._pass_on(child, now, verdict, wish)
        self._clear_up(renewal)

    def _be_patient(self, now_ms: int) -> None:
        """Let patient tools go on while we live and try, up to the worker's patience."""
        if time.monotonic() - self._renewed > self._settings.patience:
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
                logger.warning("lost %s: it is stopped here", now.job_id)
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
        except (StoreUnavailable, StoreRefused) as error:
            self._redis_is_away(error)

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

    # Redis away and back: said once each

    def _redis_is_away(self, error: Exception) -> None:
        if self._away_since is None:
            self._away_since = time.monotonic()
            logger.warning("%s; running encoders go on", error)

    def _redis_is_back(self) -> None:
        self._renewed = time.monotonic()
        if self._away_since is not None:
            away = time.monotonic() - self._away_since
            self._away_since = None
            logger.info("Redis is back after %.0f s", away)
