"""Ways that random steps seldom find, and the rest that every example comes to."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from sisyphus.lifecycle import ENDED
from sisyphus.store.replies import Lease
from store.model_papers import BAD, paper_of
from store.model_rules import KINDS, PLAIN, Life, hows, picks

ALL_KINDS = (
    (*KINDS[3][0], "nobody_has_it"),
    (*KINDS[3][1], "nobody_has_it"),
)
ENDS = ("complete", "fail", "stop")


class Directed(Life):
    """Whole stories; and at the end of each example a worker that does all that is left."""

    def lose(self, lease: Lease, how: str) -> None:
        """Give a running job up, in any way."""
        match how:
            case "crash":
                self.recover(lease.session)
            case "cut off":
                while lease.session in self.model.sessions:
                    self.pass_time(2000)
                    others = [b for b in self.beliefs() if b.session != lease.session]
                    self.renew(*others)
                    self.recover()
            case "leave":
                self.leave(lease.session)
            case _:
                self.settle(lease, how)

    def has_ended(self, job_id: str) -> bool:
        job = self.model.jobs.get(job_id)
        return job.ended if job is not None else job_id in self.model.forgotten

    @rule(
        ways=st.sampled_from(
            (
                ("complete", "fail", "stop"),
                ("retry", "release", "leave"),
                ("crash", "cut off"),
            )
        ),
        late=hows,
        hears=st.booleans(),
    )
    def running_jobs_are_cancelled(
        self, ways: tuple[str, ...], late: str, hears: bool
    ) -> None:
        for how in ways:
            lease = self.running()
            self.write(lease, "log")
            assert self.cancel(lease.job_id, spare=True) == "running"
            assert self.cancel(lease.job_id) == "asked"
            assert not self.requeue(lease.job_id)
            assert not self.remove(lease.job_id)
            if hears:
                self.renew(*self.beliefs())
                self.write(lease, "confirm")
                self.write(lease, "checkpoint")
            self.lose(lease, how)
            assert self.has_ended(lease.job_id)
            self.write(lease, late)
            self.take(self.begin_worker("w9"))

    @rule(how=st.sampled_from(("swallowed", "requeued", "removed", "submitted")))
    def a_document_is_called_off_before_it_surfaced(self, how: str) -> None:
        if self.model.queue_paused:
            self.steer("", "work")
        paper = self.fresh()
        self.push(paper, 9)
        assert self.cancel(paper.job_id) == "unseen"
        match how:
            case "requeued":
                assert not self.requeue(paper.job_id)
            case "removed":
                assert self.remove(paper.job_id)
            case "submitted":
                self.submit(paper, 0, 0)
        self.take(self.begin_worker("w9", ALL_KINDS))
        if how == "swallowed":
            self.requeue(paper.job_id)

    @rule(
        again=st.sampled_from(("requeue", "remove", "other", "cancel")),
        priority=st.sampled_from((0, 8)),
    )
    def a_waiting_job_is_called_off(self, again: str, priority: int) -> None:
        """Its document lies in the list; another one of the same id may overtake it."""
        paper = self.fresh()
        self.submit(paper, priority, 0)
        assert self.cancel(paper.job_id) == "cancelled"
        match again:
            case "requeue":
                assert self.requeue(paper.job_id)
                self.push(paper, 0)
            case "remove":
                assert not self.remove(paper.job_id)
                self.submit(paper, 0, 0)
            case "other":
                self.running()
                self.push(paper_of(paper.job_id, version=3), 9)
                session = self.begin_worker("w9", ALL_KINDS)
                lease = self.take_this(session, paper.job_id)
                self.settle(lease, "release")
                self.cancel(paper.job_id)
        if again != "cancel":
            self.steer("w9", "work")
            self.take(self.begin_worker("w9", ALL_KINDS))
        self.cancel(paper.job_id)

    @rule(
        losses=st.lists(
            st.sampled_from(("crash", "crash", "cut off", "cut off and back")),
            min_size=3,
            max_size=5,
        ),
        late=hows,
    )
    def a_job_takes_its_workers_down(self, losses: list[str], late: str) -> None:
        first = lease = self.running()
        job_id = lease.job_id
        for loss in losses:
            self.lose(lease, "crash" if loss == "crash" else "cut off")
            if lease != first:
                self.write(first, "log")
            if loss == "cut off and back":
                for _ in range(2):
                    self.settle(lease, late)
            if self.has_ended(job_id):
                break
            self.come_due()
            session, old = self.begin_worker("w9", ALL_KINDS), lease
            lease = self.take_this(session, job_id)
            self.write(first, "confirm")
            self.write(old, "confirm")
            self.write(lease, "confirm")

    @rule(then=st.sampled_from(("requeue", "afresh", "remove", "trim")), late=hows)
    def ended_jobs_are_judged(self, then: str, late: str) -> None:
        for end in ENDS:
            lease = self.bring_to_an_end(end)
            self.cancel(lease.job_id)
            match then:
                case "remove":
                    self.remove(lease.job_id)
                case "trim":
                    self.pass_time(31 * 86_400_000)
                    self.trim(1)
                    self.trim()
                case _:
                    self.requeue(lease.job_id, afresh=then == "afresh")
            self.write(lease, late)
            self.go_on(lease, late)

    @rule(
        how=st.sampled_from(("same", "newline", "other")),
        way=st.sampled_from(("push", "submit", "submit later")),
        late=hows,
    )
    def ended_jobs_come_again(self, how: str, way: str, late: str) -> None:
        for end in ENDS:
            lease = self.bring_to_an_end(end)
            paper = self.variant(lease.job_id, how)
            if way == "push":
                self.push(paper, 9)
            else:
                later = self.model.now_ms + 5000 if way == "submit later" else 0
                self.submit(paper, 2, later)
            self.go_on(lease, late)

    @rule(limit=st.sampled_from((1, 3)))
    def more_jobs_end_than_are_kept(self, limit: int) -> None:
        for _ in range(6):  # the records of these stay while their documents wait
            paper = self.fresh()
            self.submit(paper, 0, 0)
            self.pass_time(1)
            self.cancel(paper.job_id)
        for end in ENDS:
            self.bring_to_an_end(end)
        for days in (0, 31):
            self.pass_time(1 + days * 86_400_000)
            self.trim(limit)

    def bring_to_an_end(self, end: str) -> Lease:
        lease = self.running()
        self.write(lease, "checkpoint")
        self.write(lease, "log")
        if end == "stop":
            self.cancel(lease.job_id)
        self.settle(lease, end)
        return lease

    def go_on(self, before: Lease, late: str) -> None:
        taken = self.take(self.begin_worker("w9", ALL_KINDS))
        self.write(before, late)
        if taken is not None:
            self.write(taken, "checkpoint")

    @rule(label=st.booleans(), first=st.booleans(), then=st.booleans())
    def a_job_waits_for_a_worker_that_suits(
        self, label: bool, first: bool, then: bool
    ) -> None:
        """It is set aside by a worker that lacks something, while another has it."""
        if self.model.queue_paused:
            self.steer("", "work")
        needs = ("ffmpeg", "fast") if label else ("handbrake", "")
        suited = self.begin_worker("w9", KINDS[3]) if first else ""
        papers = [self.fresh(needs) for _ in range(2)]
        for paper in papers:
            self.push(paper, 9)
        lacking = self.begin_worker("w7", PLAIN)
        for _ in range(2):
            self.take(lacking)
        if then:
            self.cancel(papers[0].job_id)
        suited = suited or self.begin_worker("w9", KINDS[3])
        for _ in range(2):
            lease = self.take(suited)
            if lease is not None:
                self.settle(lease, "retry" if label else "complete")
        self.renew(*self.beliefs())

    @rule(how=st.sampled_from(("push", "submit", "retry")), called_off=st.booleans())
    def a_job_waits_for_its_time(self, how: str, called_off: bool) -> None:
        if how == "retry":
            lease = self.running()
            job_id = lease.job_id
            self.settle(lease, "retry")
        else:
            due_ms = self.whole_seconds() + 20_000
            paper = self.fresh(due_ms=due_ms if how == "push" else 0)
            job_id = paper.job_id
            if how == "push":
                if self.model.queue_paused:
                    self.steer("", "work")
                self.push(paper, 9)
                lease_or_none = self.take(self.begin_worker("w9", ALL_KINDS))
                assert lease_or_none is None or lease_or_none.job_id != job_id
            else:
                self.submit(paper, 4, due_ms)
        self.promote()
        self.renew(*self.beliefs())
        if called_off:
            self.cancel(job_id)
        self.pass_time(19_000)
        self.promote(1)
        self.renew(*self.beliefs())
        self.pass_time(1000)
        self.promote(1)

    @precondition(lambda self: len(self.model.sessions) < 12)
    @rule(pick=picks)
    def a_machine_with_many_workers_is_gone(self, pick: int) -> None:
        """Four sessions are ended by each call, the longest silent first."""
        many = [self.begin_worker(f"x{number}", KINDS[pick % 4]) for number in range(6)]
        for session in many[:2]:
            self.take(session)
        for _ in range(7):
            self.pass_time(2000)
            self.renew(*(b for b in self.beliefs() if b.session not in many))
        while any(session in self.model.sessions for session in many):
            self.recover()

    @rule(who=st.sampled_from(("", "w9")), stage=st.booleans())
    def a_paused_worker_puts_back_what_was_staged(self, who: str, stage: bool) -> None:
        session = self.begin_worker("w9", PLAIN)
        for _ in range(3):
            self.push(self.fresh(), 0)
        if stage:
            self.stage()
            self.stage()
        self.steer(who, "pause")
        if not self.model.sessions[session].job:
            assert self.take(session) is None
        self.renew(*self.beliefs())
        self.register(session, "w6", PLAIN)  # a pause of w9 is none of w6
        self.take(session)
        session = self.begin_worker("w9", PLAIN)
        assert self.take(session) is None
        self.steer(who, "work")
        self.take(session)

    @rule(how=st.sampled_from(("leave", "crash", "release")))
    def what_a_worker_had_goes_before_what_waits(self, how: str) -> None:
        lease = self.running()
        self.push(self.fresh(), 9)
        for _ in range(3):
            self.push(self.fresh(), 0)
        self.stage()
        self.stage()
        self.lose(lease, how)

    @rule(
        pick=picks,
        priority=st.sampled_from((0, 5, 9)),
        how=st.sampled_from(("as it was", "mended", "dropped")),
    )
    def a_rejected_document_is_judged_twice(
        self, pick: int, priority: int, how: str
    ) -> None:
        self.running()
        bad = self.of(BAD, pick)
        self.client.lpush(self.store.keys.waiting(priority), bad.raw)
        self.model.push(bad, priority)
        before, session = len(self.model.rejected), self.begin_worker("w9", ALL_KINDS)
        for _ in range(200):
            if len(self.model.rejected) > before:
                break
            lease = self.take(session)
            if lease is not None:
                self.settle(lease, "complete")
        self.judge(before, how)
        self.take(self.begin_worker("w9", ALL_KINDS))

    @rule(late=hows, again=st.booleans())
    def a_doubt_outlives_a_new_start(self, late: str, again: bool) -> None:
        """The crash that a late worker would take back is not counted any more."""
        lease = self.running()
        self.lose(lease, "cut off")
        self.cancel(lease.job_id)
        if again:
            self.requeue(lease.job_id)
        for _ in range(2):
            self.settle(lease, late)

    # The end of each example

    def teardown(self) -> None:
        if self.sound:
            self.meet_what_has_ended()
            self.come_to_rest()

    def meet_what_has_ended(self) -> None:
        """Do in some examples what random steps do too seldom to rely on."""
        match self.numbers % 6:
            case 0:
                self.ended_jobs_are_judged("requeue", "complete")
            case 1:
                self.ended_jobs_are_judged("remove", "fail")
            case 2:
                self.ended_jobs_are_judged("trim", "retry")
            case 3:
                self.ended_jobs_come_again("same", "push", "release")
            case 4:
                self.ended_jobs_come_again("other", "submit", "complete")
            case _:
                self.running_jobs_are_cancelled(
                    ("retry", "release"), "stop", hears=False
                )
                self.a_job_waits_for_its_time("push", called_off=True)

    def come_to_rest(self) -> None:
        """All faults are over: one worker does all that is left."""
        self.steer("", "work")
        for worker_id in sorted(self.model.paused_workers):
            self.steer(worker_id, "work")
        for session in self.sessions():
            self.recover(session)
        last = self.begin_worker("last", ALL_KINDS)
        lease = self.take(last)
        while lease is not None or not self.model.is_at_rest():
            if lease is None:
                self.come_due()
                lease = self.take(last)
            else:
                lease = self.take(last, self.settlement(lease, "complete"))
        self.leave(last)

        jobs = self.model.jobs
        known = {job_id: job.state for job_id, job in jobs.items()}
        forgotten = self.accepted - set(known)
        assert forgotten <= self.model.forgotten, f"lost: {forgotten}"
        assert set(known.values()) <= ENDED, f"not ended: {known}"
        assert not self.seen.sessions
        assert not any(self.seen.lists.values())
        assert not self.seen.aside_lists
