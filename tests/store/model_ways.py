"""The ways into and out of the queue, as the model sees them."""

from __future__ import annotations

from sisyphus.store.replies import Lease
from store.model import Job, Paper, Picture, Session

Reply = tuple[object, ...]


class Model(Picture):
    """The whole picture: documents come, wait, are handed out and called off."""

    # Documents

    def push(self, paper: Paper, priority: int) -> None:
        self.papers[paper.raw] = paper
        self.lists[priority].append(paper.raw)

    def stage(self) -> None:
        """A waiter took the next document of the plain list, and died."""
        if self.lists[0]:
            self.staged.append(self.lists[0].pop(0))

    def copies(self, job_id: str) -> int:
        places = [self.staged, *self.lists.values(), *self.aside.values()]
        return sum(self.papers[raw].job_id == job_id for raws in places for raw in raws)

    def states(self) -> dict[str, str]:
        return {job_id: job.state for job_id, job in self.jobs.items()}

    def submit(self, paper: Paper, priority: int, due_ms: int) -> Reply:
        self.papers[paper.raw] = paper
        job = self.jobs.get(paper.job_id)
        if job is not None:
            if job.swallow:
                return ("held", job.state)
            if job.state not in ("failed", "cancelled"):
                return ("known" if job.sha == paper.sha else "conflict", job.state)
        job = self.jobs.setdefault(paper.job_id, Job())
        self.start_afresh(job)
        self.ended.pop(paper.job_id, None)
        job.checkpoint, job.sha, job.title = "", paper.sha, paper.title
        job.priority, job.submitted_ms = str(priority), self.now_ms
        if due_ms > self.now_ms:
            job.state, job.doc = "delayed", paper.raw
            self.delayed[paper.job_id] = due_ms
        else:
            job.state, job.doc = "queued", None
            self.put(paper.raw, priority)
        self.event(job.state, paper.job_id)
        return ("ok", job.state)

    def reject(self, raw: bytes, priority: int, reason: str) -> None:
        self.rejected.append((priority, reason, raw))
        self.event("rejected")

    # Take

    def take(self, session: str) -> Reply:
        s = self.sessions.get(session)
        if s is None:
            return ("gone",)
        if s.job:
            return self.handed(s)
        if s.paused or self.queue_paused:
            self.unstage()
            s.idle = False
            return ("paused",)
        while True:
            raw, priority = self.next_for(s)
            if raw is None:
                s.idle = True
                return ("empty", self.next_due())
            if self.admit(raw, priority, session):
                s.idle = False
                return self.handed(s)

    def handed(self, s: Session) -> Reply:
        job = self.jobs[s.job]
        counts = (job.attempts, job.failures, job.crashes)
        return ("job", s.job, s.token, job.doc, *counts, job.checkpoint)

    def next_due(self) -> int:
        """Milliseconds until a delayed job may start; -1 when none is delayed."""
        waits = [max(0, due - self.now_ms) for due in self.delayed.values()]
        if self.backoff:
            waits.append(max(0, min(self.backoff.values()) - self.tick()))
        return min(waits, default=-1)

    def next_for(self, s: Session) -> tuple[bytes | None, int]:
        if self.staged:
            return self.staged.pop(0), 0
        for needs, raws in self.aside.items():
            if s.has(tuple(needs.split())):
                raw = raws.pop(0)
                if not raws:
                    del self.aside[needs]
                return raw, 0
        for priority in (9, 8, 7, 6, 5, 4, 3, 2, 1, 0):
            if self.lists[priority]:
                return self.lists[priority].pop(0), priority
        return None, 0

    def admit(self, raw: bytes, priority: int, session: str) -> bool:
        """Judge one document; true when it was handed out."""
        paper = self.papers[raw]
        if paper.reason:
            self.reject(raw, priority, paper.reason)
            return False
        job_id, job = paper.job_id, self.jobs.get(paper.job_id)
        if job is not None and job.swallow and self.swallows(job, paper):
            self.event("swallowed", job_id)
            return False
        if job is not None and job.state in ("failed", "cancelled"):
            self.start_afresh(job)
            self.ended.pop(job_id)
            if job.sha and job.sha != paper.sha:
                job.checkpoint, job.submitted_ms = "", 0
        elif job is not None and job.sha and job.sha != paper.sha:
            self.reject(raw, priority, "conflict")
            return False
        elif job is not None and job.state != "queued":
            job.duplicates += 1
            self.event("duplicate", job_id)
            return False
        job = self.jobs.setdefault(job_id, Job())
        job.sha, job.title = paper.sha, paper.title
        job.priority = job.priority or str(priority)
        s = self.sessions[session]
        if paper.due_ms > self.now_ms:
            job.state, job.doc = "delayed", raw
            self.delayed[job_id] = paper.due_ms
            self.event("delayed", job_id)
            return False
        if not s.has(paper.needs) and self.others_suit(s, paper.needs):
            job.state, job.needs, job.doc = "queued", " ".join(paper.needs), None
            self.aside.setdefault(job.needs, []).append(raw)
            self.event("aside", job_id)
            self.wake(paper.needs)
            return False
        self.fence = max(self.fence + 1, self.now_us)
        job.state, job.token, job.session = "running", self.fence, session
        job.worker_id, job.started_ms, job.doc = s.worker_id, self.now_ms, raw
        job.attempts += 1
        job.needs = ""
        s.job, s.token = job_id, self.fence
        self.event("running", job_id)
        return True

    def swallows(self, job: Job, paper: Paper) -> bool:
        """Drop a document whose job was called off while it lay in a list."""
        pending = job.swallow_sha.split()
        if pending and paper.sha not in pending:
            return False
        if pending:
            pending.remove(paper.sha)
        job.swallow -= 1
        job.swallow_sha = " ".join(pending)
        if job.state == "cancelled" and job.sha in ("", paper.sha):
            job.sha, job.doc = paper.sha, paper.raw
        return True

    def others_suit(self, s: Session, needs: tuple[str, ...]) -> bool:
        """Whether some live worker has all of it, or at least all its modules."""
        modules = tuple(need for need in needs if need.startswith("module:"))
        everyone = self.sessions.values()
        return any(other.has(needs) for other in everyone) or any(
            other.has(modules) for other in everyone
        )

    # Time

    def promote(self, limit: int = 64) -> int:
        count = 0
        for times, now in ((self.backoff, self.tick()), (self.delayed, self.now_ms)):
            due = [job_id for job_id, at in times.items() if at <= now]
            due = sorted(due, key=lambda j: (times[j], j))[:limit]
            front = times is self.backoff  # these have waited their turn before
            for job_id in reversed(due) if front else due:
                del times[job_id]
                self.put_back(job_id, front=front)
                self.event("queued", job_id)
                count += 1
        return count

    def trim(self, limit: int) -> int:
        born = self.now_ms - self.limits.age_ms
        old = [j for j in self.oldest() if self.ended[j] <= born][:limit]
        over = len(self.ended) - self.limits.keep
        if over > len(old):
            old = self.oldest()[: min(over, limit)]
        return self.drop(old)

    # People

    def cancel(self, job_id: str, *, spare: bool) -> Reply:
        job = self.jobs.get(job_id)
        if job is not None and job.ended:
            return ("ended", job.state)
        if job is not None and job.state == "running":
            if spare:
                return ("running",)
            job.cancel = self.now_ms
            self.orders.append("look")
            self.event("cancel_asked", job_id)
            return ("asked",)
        seen = job is not None
        job = self.jobs.setdefault(job_id, Job())
        if job.state == "delayed":
            self.delayed.pop(job_id, None)
            self.backoff.pop(job_id, None)
        else:
            job.swallow_sha = f"{job.swallow_sha} {job.sha}".strip()
            job.swallow += 1
        self.finish(job_id, "cancelled")
        return ("cancelled" if seen else "unseen",)

    def requeue(self, job_id: str, *, afresh: bool) -> Reply:
        job = self.jobs.get(job_id)
        if job is None:
            return ("unknown",)
        if not job.ended:
            return ("wrong", job.state)
        if job.swallow and not job.sha:
            return ("unseen",)
        self.start_afresh(job)
        del self.ended[job_id]
        if afresh:
            job.checkpoint = ""
        if job.doc is not None:
            self.put_back(job_id, front=False)
        else:
            pending = job.swallow_sha.split()
            pending.remove(job.sha)
            job.swallow_sha = " ".join(pending)
            job.swallow -= 1
            job.state = "queued"
        self.event("queued", job_id)
        return ("ok",)

    def remove(self, job_id: str) -> Reply:
        job = self.jobs.get(job_id)
        if job is None:
            return ("unknown",)
        if not job.ended:
            return ("wrong", job.state)
        if job.swallow and job.sha:
            return ("held",)
        del self.ended[job_id], self.jobs[job_id]
        self.forgotten.add(job_id)
        self.event("removed", job_id)
        return ("ok",)

    def steer(self, worker_id: str, activity: str) -> bool:
        if not worker_id:
            self.queue_paused = activity != "work"
            self.event(f"queue_{activity}")
            return True
        s = self.sessions.get(self.workers.get(worker_id, ""))
        if activity == "pause":
            self.paused_workers.add(worker_id)
        elif activity == "work":
            self.paused_workers.discard(worker_id)
        if s is None:
            return False
        if activity == "pause":
            s.paused, s.idle = True, False
        elif activity == "work":
            s.paused = False
        else:
            s.drain = True
        self.orders.append("look")
        self.event(f"worker_{activity}")
        return True

    def restore(self, index: int, paper: Paper) -> bool:
        """Put a rejected document back; ``index`` counts from the oldest."""
        if not 0 <= index < len(self.rejected):
            return False
        priority, _, _ = self.rejected.pop(index)
        self.papers[paper.raw] = paper
        self.put(paper.raw, priority)
        return True

    def drop_rejected(self, index: int) -> bool:
        if not 0 <= index < len(self.rejected):
            return False
        del self.rejected[index]
        return True

    def is_at_rest(self) -> bool:
        """Nothing waits, is on its way, in a hand, or in time."""
        waiting = any(self.lists.values()) or self.staged or self.aside
        in_hand = any(s.job for s in self.sessions.values())
        return not (waiting or in_hand or self.delayed or self.backoff)


def lease_of(model: Model, session: str) -> Lease | None:
    """What a session has in its hand."""
    s = model.sessions.get(session)
    return Lease(session, s.job, s.token) if s is not None and s.job else None
