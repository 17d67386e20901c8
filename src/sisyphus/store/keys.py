"""Every key that Sisyphus uses: its name, its Redis type, what is in it.

The Lua scripts build the same names in ``_prelude.lua``; a test compares the two. All own
keys carry the list's name as a hash tag, so that one family of queues lies in one cluster
slot (name the list itself in braces to have its priority lists there as well).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Keys:
    """Names of the keys of one family of queues."""

    queue: str = "queue"
    heartbeat_prefix: str = "worker"
    progress_prefix: str = "progress"

    # The wire: what producers and onlookers of any language may rely on.

    def waiting(self, priority: int = 0) -> str:
        """list: raw documents; pushed on the left, taken from the right."""
        return f"{self.queue}:{priority}" if priority else self.queue

    def heartbeat(self, worker_id: str) -> str:
        """string: what a worker is doing, JSON; expires after two beats."""
        return f"{self.heartbeat_prefix}:{worker_id}"

    def progress(self, worker_id: str) -> str:
        """string: how far a worker's task is, JSON; expires after two beats."""
        return f"{self.progress_prefix}:{worker_id}"

    # Our own.

    @property
    def tag(self) -> str:
        """Put in front of every own key."""
        return self.queue if "{" in self.queue else f"{{{self.queue}}}"

    @property
    def meta(self) -> str:
        """hash: fence (last token), fleet clock, paused, jobs set aside."""
        return f"{self.tag}:meta"

    @property
    def staged(self) -> str:
        """list: documents between the blocking wait and the take script."""
        return f"{self.tag}:staged"

    @property
    def sessions(self) -> str:
        """zset: session -> end of its lease on the fleet clock, ms."""
        return f"{self.tag}:sessions"

    @property
    def workers(self) -> str:
        """hash: worker id -> its session."""
        return f"{self.tag}:workers"

    @property
    def paused(self) -> str:
        """set: ids of paused workers; outlives their sessions."""
        return f"{self.tag}:paused"

    @property
    def idle(self) -> str:
        """set: sessions that found nothing and wait."""
        return f"{self.tag}:idle"

    @property
    def kinds(self) -> str:
        """hash: what a session provides -> number of live sessions that do."""
        return f"{self.tag}:kinds"

    def session(self, session: str) -> str:
        """hash: one life of one worker: who it is, the job and token in its hand."""
        return f"{self.tag}:session:{session}"

    def job(self, job_id: str) -> str:
        """hash: the job's record."""
        return f"{self.tag}:job:{job_id}"

    def doc(self, job_id: str) -> str:
        """string: the raw document while it is in no list."""
        return f"{self.tag}:doc:{job_id}"

    def attempts(self, job_id: str) -> str:
        """list: how earlier attempts ended, JSON, newest last, at most 50."""
        return f"{self.tag}:attempts:{job_id}"

    def log(self, job_id: str) -> str:
        """stream: what the job's tasks said, capped."""
        return f"{self.tag}:log:{job_id}"

    @property
    def delayed(self) -> str:
        """zset: job id -> due time on the server's clock, ms."""
        return f"{self.tag}:delayed"

    @property
    def backoff(self) -> str:
        """zset: job id -> due time on the fleet clock, ms."""
        return f"{self.tag}:backoff"

    @property
    def aside(self) -> str:
        """hash: what jobs need that their finder lacked -> number set aside."""
        return f"{self.tag}:aside"

    def aside_list(self, needs: str) -> str:
        """list: raw documents set aside for workers that have what they need."""
        return f"{self.tag}:aside:{needs}"

    @property
    def ended(self) -> str:
        """zset: ended job id -> its end, ms: the history's index."""
        return f"{self.tag}:ended"

    @property
    def rejected(self) -> str:
        """stream: documents that are no job: list, reason, raw bytes."""
        return f"{self.tag}:rejected"

    @property
    def events(self) -> str:
        """stream: state changes, capped at about 10,000."""
        return f"{self.tag}:events"

    def data(self, module: str) -> str:
        """hash: a module's stored documents by name, JSON."""
        return f"{self.tag}:data:{module}"

    def orders(self, node: str) -> str:
        """list: nudges for a supervisor to look now instead of at its next tick."""
        return f"{self.tag}:orders:{node}"
