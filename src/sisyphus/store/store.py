"""Every transition of a job: one method each, one Lua script each, of the same name.

Nothing else changes a job. All of them may be repeated with the same arguments: a repeated
call changes nothing more and is answered as the first was.

Raises, everywhere:
    StoreUnavailable: no answer; the call may or may not have been done. Repeat it.
    StoreRefused: Redis will not do it; its message says why.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sisyphus.errors import InvalidJob, Problem, Stopped, WrongState
from sisyphus.lifecycle import JobState
from sisyphus.store.calls import Calls, json_of, text
from sisyphus.store.refusals import refusal
from sisyphus.store.replies import (
    Activity,
    Empty,
    Gone,
    Held,
    Lease,
    Paused,
    Renewal,
    Settlement,
    Taken,
    TakeReply,
    Verdict,
    WorkerFacts,
)
from sisyphus.store.scripts import Argument, script

HEARTBEAT_EXPIRES_SECONDS = 10
"""Two beats (spec of the 2021 worker)."""


class Store(Calls):
    """The transitions, over one connection. Thread-safe; a blocked wait has its own."""

    # A session's life

    def register(self, session: str, facts: WorkerFacts) -> tuple[str, str, str] | None:
        """Begin a session.

        Returns:
            Nothing, or (session, machine, host) of the live session that has the worker's
            id already.
        """
        told = {
            "host": facts.host,
            "machine": facts.machine,
            "node": facts.node,
            "pid": facts.pid,
            "version": facts.version,
            "modules": ",".join(facts.modules),
            "labels": ",".join(facts.labels),
        }
        reply = self._call(
            "register",
            session=session,
            worker_id=facts.worker_id,
            lease_ms=self._lease_ms,
            provides=provides(facts.modules, facts.labels),
            facts=json_of(told),
        )
        if reply[0] == "ok":
            return None
        return reply[1], reply[2], reply[3]

    def renew(
        self, held: Sequence[Held], shown: Mapping[str, str | None] | None = None
    ) -> Renewal:
        """Prolong the leases of these sessions and hear what is to be done.

        ``shown`` (key -> JSON, or nothing to drop it) are heartbeats and progress for
        onlookers; they travel in the same round trip and may fail without harm.
        """
        rows = [[h.session, h.job_id, str(h.token) if h.job_id else ""] for h in held]
        run = script("renew")
        command = run.call(self.keys.queue, lease_ms=self._lease_ms, held=json_of(rows))
        answer, *more = self._wire.call_all([(run, command)], *_writes(shown or {}))
        words = [text(part) for part in answer[3:]]
        orders = zip(map(Verdict, words[::2]), map(Activity, words[1::2]), strict=True)
        bad = next((x for x in more if isinstance(x, Exception)), None)
        why = refusal(bad).message if bad else ""
        return Renewal(bool(answer[1]), bool(answer[2]), tuple(orders), bool(more), why)

    def show(
        self, shown: Mapping[str, str | None], seconds: int = HEARTBEAT_EXPIRES_SECONDS
    ) -> None:
        """Write or drop heartbeats and progress; what Redis refuses is left out."""
        if shown:
            self._wire.run(*_writes(shown, seconds))

    def leave(self, session: str) -> None:
        """End a session in order; what it holds goes to the front, uncharged."""
        self._call("leave", session=session, keep=self._keep)

    def recover(self, session: str = "", cause: str = "lease ran out") -> int:
        """Put back the job of a dead session (or of those whose lease ran out).

        Returns:
            How many sessions were ended; at most four per call when none is named.
        """
        reply = self._call(
            "recover",
            session=session,
            cause=cause,
            crash_limit=self._settings.crash_limit,
            keep=self._keep,
        )
        return int(reply[1])

    def orders(self, node: str, seconds: float, wake_fd: int) -> str | None:
        """Wait for a nudge; a lost one is only heard a little later.

        Returns:
            ``look`` (tick now), ``wake`` (an idle worker should look at the lists), or
            nothing.
        """
        command = ("BLPOP", self.keys.orders(node), seconds)
        answer = self._waiting.wait(command, seconds, wake_fd)
        return text(answer[1]) if isinstance(answer, list) else None

    # The way of a job

    def submit(
        self, job_id: str, raw: bytes | str, priority: int, due_ms: int, title: str
    ) -> JobState:
        """Put a checked document in its place; the same document again is no error.

        Raises:
            InvalidJob: it is too large to be taken.
            WrongState: the id belongs to another document, or to a cancelled one that
                still waits in the list.
        """
        size = len(raw if isinstance(raw, bytes) else raw.encode())
        if size > (limit := self._settings.max_document_bytes):
            expected = f"must have {limit} bytes at most (max_document_bytes)"
            raise InvalidJob.of(Problem("document", f"{size} bytes", expected))
        reply = self._call(
            "submit",
            job_id=job_id,
            raw=raw,
            priority=priority,
            due_ms=due_ms,
            title=title,
        )
        if reply[0] == "held":
            raise WrongState(
                f"job {job_id!r} is cancelled, but its document still waits in the list:"
                " requeue the job instead, or give this one an id of its own"
            )
        if reply[0] == "conflict":
            raise WrongState(
                f"job id {job_id!r} belongs to another document, whose job is"
                f" {reply[1]}: give this one an id of its own"
            )
        return JobState(reply[1])

    def take(
        self, session: str, settlement: Settlement | None = None
    ) -> tuple[bool, TakeReply]:
        """Tell how the last job ended and get the next one, in one round trip.

        Returns:
            Whether the settlement was accepted (true when there was none), and the job or
            why there is none.
        """
        run = script("take")
        command = run.call(
            self.keys.queue,
            session=session,
            max_bytes=self._settings.max_document_bytes,
        )
        accepted = True
        calls = [(run, command)]
        if settlement is not None:
            calls.insert(0, (settlement.script, settlement.command))
        while True:
            answers = self._wire.call_all(calls)
            if len(calls) == 2:
                accepted = text(answers[0][0]) == "ok"
                del calls[0]
            reply = answers[-1]
            match text(reply[0]):
                case "job":
                    return accepted, _taken(session, reply)
                case "empty":
                    due_ms = int(reply[1])
                    return accepted, Empty(due_ms / 1000 if due_ms >= 0 else None)
                case "paused":
                    return accepted, Paused()
                case "gone":
                    return accepted, Gone()
                case _:  # 'more': one call's bound is reached
                    continue

    def wait(self, seconds: float, wake_fd: int) -> None:
        """Sleep until a document arrives, ``seconds`` pass or ``wake_fd`` is readable.

        The document is moved to the staged list, which belongs to nobody: whoever takes
        next gets it, so a death at any point loses nothing.
        """
        queue, staged = self.keys.waiting(), self.keys.staged
        command = ("BLMOVE", queue, staged, "RIGHT", "LEFT", seconds)
        answer = self._waiting.wait(command, seconds, wake_fd)
        if isinstance(answer, Exception):
            raise refusal(answer) from answer

    def settle(self, settlement: Settlement) -> bool:
        """Tell how an attempt ended; false when the job was no longer ours."""
        answer = self._wire.call(settlement.script, settlement.command)
        return bool(text(answer[0]) == "ok")

    def complete(self, lease: Lease, result: Any) -> Settlement:
        """All tasks are done."""
        return self._settlement("complete", lease, result=json_of(result))

    def retry(self, lease: Lease, error: Any, entry: Any, delay: float) -> Settlement:
        """It failed and will be tried again after ``delay`` seconds."""
        return self._settlement(
            "retry",
            lease,
            error=json_of(error),
            entry=json_of(entry),
            delay_ms=int(delay * 1000),
        )

    def fail(self, lease: Lease, error: Any, entry: Any) -> Settlement:
        """It failed for good."""
        return self._settlement(
            "fail", lease, error=json_of(error), entry=json_of(entry)
        )

    def stop(self, lease: Lease, entry: Any) -> Settlement:
        """It was cancelled, and has stopped."""
        return self._settlement("stop", lease, entry=json_of(entry))

    def release(self, lease: Lease, entry: Any) -> Settlement:
        """Hand it back unharmed, to the front of its list."""
        return self._settlement("release", lease, entry=json_of(entry))

    def checkpoint(self, lease: Lease, checkpoint: str) -> None:
        """Record the tasks that are done.

        Raises:
            Stopped: the job is no longer ours, or is to be cancelled.
        """
        self._ours(self._call_leased("checkpoint", lease, checkpoint=checkpoint))

    def confirm(self, lease: Lease) -> None:
        """Ask whether the job is still ours.

        Raises:
            Stopped: the job is no longer ours, or is to be cancelled.
        """
        self._ours(self._call_leased("confirm", lease))

    def log(self, lease: Lease, lines: Sequence[tuple[int, str, str, str]]) -> bool:
        """Add lines (time ms, task, level, text) to the job's log; false when lost."""
        # The script must be able to read them: names that are no UTF-8 stand there as
        # jobs write them.
        rows = [
            (*rest, said.encode(errors="backslashreplace").decode())
            for *rest, said in lines
        ]
        reply = self._call_leased(
            "log", lease, cap=self._settings.log_lines, lines=json_of(rows)
        )
        return bool(reply[0] == "ok")

    def promote(self, limit: int = 64) -> int:
        """Put delayed jobs whose time has come in their lists; returns how many."""
        return int(self._call("promote", limit=limit)[1])

    # What a person asks for

    def cancel(self, job_id: str, *, spare_running: bool = False) -> str:
        """Call a job off, in any state; or in any but running.

        Returns:
            ``cancelled``, ``unseen`` (cancelled before a worker saw it), ``asked`` (it
            runs and is being stopped), ``running`` (it is spared), or the state in which
            it had ended.
        """
        spare = int(spare_running)
        reply = self._call("cancel", job_id=job_id, keep=self._keep, spare=spare)
        return str(reply[1] if reply[0] == "ended" else reply[0])

    def requeue(self, job_id: str, *, afresh: bool = False) -> None:
        """Run an ended job again; with ``afresh`` from its first task.

        Raises:
            WrongState: it has not ended, or is not known any more.
        """
        reply = self._call("requeue", job_id=job_id, afresh=int(afresh))
        self._refuse(job_id, reply, "run again")

    def remove(self, job_id: str) -> None:
        """Drop an ended job and all that is kept of it.

        Raises:
            WrongState: it has not ended, or is not known.
        """
        self._refuse(job_id, self._call("remove", job_id=job_id), "removed")

    def trim(self, limit: int = 200) -> int:
        """Keep the history within its bounds; returns how many jobs were dropped."""
        age_ms = int(self._settings.history_days * 86_400_000)
        reply = self._call("trim", keep=self._keep, age_ms=age_ms, limit=limit)
        return int(reply[1])

    def steer(self, worker_id: str, activity: Activity) -> bool:
        """Pause, resume or drain one worker, or the whole queue for ``""``.

        Returns:
            Whether such a worker is alive.
        """
        reply = self._call("steer", worker_id=worker_id, activity=activity.value)
        return bool(reply[0] == "ok")

    def restore(self, entry: str, raw: bytes) -> bool:
        """Put a rejected document back in the list, mended or as it was."""
        return bool(self._call("restore", entry=entry, raw=raw)[0] == "ok")

    def drop_rejected(self, entry: str) -> bool:
        """Delete a rejected document for good."""
        answer = self._wire.run(("XDEL", self.keys.rejected, entry))[0]
        return bool(answer == 1)

    def put_data(self, module: str, name: str, document: Mapping[str, Any]) -> None:
        """Store a document for a module under a name."""
        self._plain("HSET", self.keys.data(module), name, json_of(document))

    def get_data(self, module: str, name: str) -> dict[str, Any] | None:
        """Read a stored document of a module."""
        found = self._plain("HGET", self.keys.data(module), name)
        return None if found is None else json.loads(found)

    def remove_data(self, module: str, name: str) -> bool:
        """Delete a stored document; false when there was none."""
        return bool(self._plain("HDEL", self.keys.data(module), name))

    # What the answers mean

    @staticmethod
    def _ours(reply: list[Any]) -> None:
        if reply[0] != "ok":
            raise Stopped(reply[0])

    @staticmethod
    def _refuse(job_id: str, reply: list[Any], wish: str) -> None:
        match reply[0]:
            case "unknown":
                raise WrongState(f"job {job_id!r} is not known (any more)")
            case "wrong":
                raise WrongState(
                    f"job {job_id!r} is {reply[1]}: only an ended job can be {wish}"
                )
            case "unseen":
                raise WrongState(
                    f"job {job_id!r} was cancelled before a worker saw a document of it:"
                    " there is none to run (remove the job to take the cancel back)"
                )
            case "held":
                raise WrongState(
                    f"job {job_id!r} is cancelled, but its document still waits in the"
                    " list; its record goes when that has surfaced"
                )


def provides(modules: Iterable[str], labels: Iterable[str]) -> str:
    """Write down what a worker has, as the take script reads it."""
    words = [f"module:{name}" for name in modules] + [f"label:{x}" for x in labels]
    return "|" + "|".join(sorted(words)) + "|"


def _writes(
    shown: Mapping[str, str | None], seconds: int = HEARTBEAT_EXPIRES_SECONDS
) -> list[tuple[Argument, ...]]:
    return [
        ("DEL", name) if value is None else ("SET", name, value, "EX", seconds)
        for name, value in shown.items()
    ]


def _taken(session: str, reply: list[Any]) -> Taken:
    _, job_id, token, raw, attempt, failures, crashes, checkpoint = reply
    lease = Lease(session, job_id.decode(), int(token))
    return Taken(
        lease, raw, int(attempt), int(failures), int(crashes), text(checkpoint)
    )
