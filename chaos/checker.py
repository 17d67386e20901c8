"""Were the promises kept? Three witnesses tell: the producer, the jobs' files, Redis."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from chaos.machine import still_running
from chaos.producer import Accepted
from chaos.witness import Run, is_whole, read_runs
from chaos.world import Hit, World
from sisyphus.lifecycle import ENDED

ORPHAN_US = 1_000_000
"""How long a tool may outlive its machine's supervisor."""
UNWRITTEN_US = 3_000_000
"""What a server that writes every second may not have written when it dies."""
THAW_US = 1_000_000
"""How long two attempts may overlap when a machine was frozen and went on: nobody can
act before the tool does, when all of them wake at once."""
CRASH_LIMIT = 3
KILLS = ("kill_worker", "kill_supervisor", "lose_power", "deploy", "deploy_all")
"""What ends a worker process while it is at work; a drain kills code that hears nothing."""
KILLED_LATER = 3
"""Leases for which it may have been frozen before it was killed."""
_ENDED = {state.value for state in ENDED}
_REFUSED = re.compile(r"lost \S+: how it ended here does not count")


@dataclass
class Verdict:
    """The figures of a run, and the promises that it broke."""

    states: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    not_on_disk: int = 0
    """Accepted in the last seconds before the server died, which everysec does not keep."""
    executions: int = 0
    extra: int = 0
    unexplained: list[str] = field(default_factory=list)
    worst_overlap_ms: float = 0.0
    worst_thaw_ms: float = 0.0
    worst_patient_ms: float = 0.0
    orphans: list[str] = field(default_factory=list)
    refused: int = 0
    recoveries: list[tuple[float, str]] = field(default_factory=list)
    """Seconds from a machine's death to the next start of the job it had, and the job."""
    rejected: int = 0
    outputs: int = 0
    leftovers: int = 0
    given_up: int = 0
    """Good jobs that failed because they met too many crashes."""
    broken: list[str] = field(default_factory=list)


def check(world: World) -> Verdict:
    """Look at everything, once all is at rest."""
    verdict = Verdict()
    runs = read_runs(world.folder / "witness")
    records = _records(world)
    for job_id, job in world.ledger.jobs.items():
        _check_end(world, job, records.get(job_id, {}), runs.get(job_id, []), verdict)
    for job_id, of_job in runs.items():
        accepted = world.ledger.jobs.get(job_id)
        _check_runs(world, accepted, of_job, verdict)
    _check_cancels(world, records, runs, verdict)
    _check_rejected(world, verdict)
    _check_machines(world, verdict)
    if world.idle_at_rest < (wanted := world.plan.machines * world.plan.workers):
        verdict.broken.append(
            f"only {world.idle_at_rest} of {wanted} workers take jobs when all is over"
        )
    for what, found in (
        ("lost", verdict.lost),
        ("left behind", verdict.orphans),
        ("run again without a fault", verdict.unexplained),
    ):
        verdict.broken += [f"{what}: {each}" for each in found]
    return verdict


def _records(world: World) -> dict[str, dict[str, str]]:
    with world.admin() as admin, admin.pipeline(transaction=False) as pipe:
        for job_id in world.ledger.jobs:
            pipe.hgetall(f"{{queue}}:job:{job_id}")
        return dict(zip(world.ledger.jobs, pipe.execute(), strict=True))


# Ends


def _check_end(
    world: World, job: Accepted, record: dict[str, str], runs: list[Run], v: Verdict
) -> None:
    state = record.get("state", "unknown")
    v.states[state] += 1
    if state not in _ENDED:
        if _not_on_disk(world, job.pushed_us):
            v.not_on_disk += 1
        else:
            v.lost.append(f"{job.job_id} is {state}")
        return
    done = any(run.tasks and max(run.done, default=-1) == job.tasks - 1 for run in runs)
    if state == "completed" and not done:
        v.broken.append(f"{job.job_id} is completed, and nobody has done it")
    if state == "failed":
        _check_failure(world, job, json.loads(record["error"]), runs, v)
    if job.output is not None:
        _check_output(job, state, v)


def _not_on_disk(world: World, accepted_us: int) -> bool:
    if world.plan.appendfsync == "always":
        return False
    return any(
        hit.kind in ("power_cut", "kill_server")
        and 0 <= hit.began_us - accepted_us <= UNWRITTEN_US
        for hit in world.hits
    )


def _check_failure(
    world: World, job: Accepted, error: dict[str, Any], runs: list[Run], v: Verdict
) -> None:
    code = error["code"]
    v.errors[code] += 1
    if "poison" in job.ways:
        if code != "crash" and not _hits(world, runs[-1], runs[-1].last_us):
            v.broken.append(f"{job.job_id} is poison, and failed with {error}")
    elif "fail" not in job.ways:
        if code == "crash":
            v.given_up += 1
            if sum(_was_killed(world, run) for run in runs) < CRASH_LIMIT:
                v.broken.append(
                    f"{job.job_id} was given up without three deaths: {error}"
                )
        explained = any(_hits(world, run, run.last_us) for run in runs)
        if not explained:
            v.broken.append(f"{job.job_id} failed without a fault: {error}")


def _was_killed(world: World, run: Run) -> bool:
    owner = next(
        (m.name for m in world.machines if run.supervisor in m.supervisors), ""
    )
    return any(
        hit.kind in KILLS
        and hit.machine in ("", owner)
        and run.first_us <= hit.began_us + 1_000_000
        and hit.began_us <= run.last_us + int(KILLED_LATER * world.plan.lease * 1e6)
        for hit in world.hits
    )


def _check_output(job: Accepted, state: str, v: Verdict) -> None:
    assert job.output is not None
    if job.output.exists():
        v.outputs += 1
        if not is_whole(job.output):
            v.broken.append(f"{job.output} is not whole")
    elif state == "completed":
        v.broken.append(f"{job.job_id} is completed, and {job.output} is not there")


# Executions


def _check_runs(
    world: World, job: Accepted | None, runs: list[Run], v: Verdict
) -> None:
    v.executions += len(runs)
    v.extra += max(0, len(runs) - 1)
    for before, after in pairwise(runs):
        again = before.job_id in world.ledger.pushed_again
        itself = job is not None and {"poison", "fail"} & set(job.ways)
        if not (again or itself or _hits(world, before, after.first_us)):
            v.unexplained.append(f"{before.job_id} under {after.token}")
        _check_overlap(world, before, after, job is None or job.strict, v)
        _note_recovery(world, before, after, v)
    for run in runs:
        _check_orphan(world, run, v)


def _check_overlap(
    world: World, before: Run, after: Run, strict: bool, v: Verdict
) -> None:
    overlap = before.last_us - after.first_us
    if overlap <= 0:
        return
    if not strict:
        v.worst_patient_ms = max(v.worst_patient_ms, overlap / 1000)
        return
    thawed = any(
        hit.kind == "freeze_machine" for hit in _hits(world, before, after.last_us)
    )
    # Nothing happened while it was frozen: the overlap is what it did after that.
    late = [sign for sign in before.signs if sign > after.first_us]
    if thawed:
        overlap = (late[-1] - late[0]) if late else 0
        v.worst_thaw_ms = max(v.worst_thaw_ms, overlap / 1000)
    else:
        v.worst_overlap_ms = max(v.worst_overlap_ms, overlap / 1000)
    if overlap > (THAW_US if thawed else 0):
        v.broken.append(
            f"{before.job_id} ran twice at once for {overlap / 1000:.0f} ms"
        )


def _note_recovery(world: World, before: Run, after: Run, v: Verdict) -> None:
    for machine in world.machines:
        died = machine.deaths.get(before.supervisor)
        if died is not None and before.last_us <= died + ORPHAN_US < after.first_us:
            v.recoveries.append(((after.first_us - died) / 1e6, before.job_id))


def _check_orphan(world: World, run: Run, v: Verdict) -> None:
    for machine in world.machines:
        died = machine.deaths.get(run.supervisor)
        if died is not None and run.last_us > died + ORPHAN_US:
            outlived = (run.last_us - died) / 1e6
            v.orphans.append(
                f"{run.job_id} went on for {outlived:.1f} s without worker"
            )


def _hits(world: World, run: Run, until_us: int) -> list[Hit]:
    """Find the faults that met a run or what followed from it."""
    owner = next(
        (m.name for m in world.machines if run.supervisor in m.supervisors), ""
    )
    aftermath_us = int(world.plan.lease * 1.2e6)
    return [
        hit
        for hit in world.hits
        if hit.machine in ("", owner)
        and hit.kind not in ("cancel", "pause", "script_flush")
        and hit.began_us <= until_us
        and hit.ended_us + aftermath_us >= run.first_us
    ]


# People, nonsense, machines


def _check_cancels(
    world: World,
    records: dict[str, dict[str, str]],
    runs: dict[str, list[Run]],
    v: Verdict,
) -> None:
    for job_id, (said, moment) in world.ledger.cancels.items():
        if job_id in world.ledger.pushed_again:
            continue
        state = records[job_id].get("state")
        later = [run for run in runs.get(job_id, []) if run.first_us > moment]
        if said == "asked":
            # The start that it was asked in may be written down a moment later.
            later = later[1:]
        elif state != "cancelled":
            v.broken.append(f"{job_id} was cancelled, and is {state}")
        if later:
            v.broken.append(f"{job_id} ran after it was cancelled ({said})")


def _check_rejected(world: World, v: Verdict) -> None:
    with world.server.client() as client:
        client.connection_pool.connection_kwargs["decode_responses"] = False
        client.connection_pool.disconnect()
        entries: Any = client.xrange("{queue}:rejected")
    raws = [_raw(row) for _, row in entries]
    v.rejected = len(raws)
    missing = {
        raw
        for raw, accepted_us in world.ledger.nonsense.items()
        if raw not in raws and not _not_on_disk(world, accepted_us)
    }
    strange = set(raws) - world.ledger.nonsense_tried
    v.broken += [f"neither run nor kept: {raw!r}" for raw in missing]
    v.broken += [f"rejected, though it is a job: {raw!r}" for raw in strange]


def _raw(row: dict[bytes, bytes]) -> bytes:
    return row[b"raw"]


def _check_machines(world: World, v: Verdict) -> None:
    left = still_running(str(world.folder))
    v.orphans += [f"process {pid} is still there" for pid in left]
    for machine in world.machines:
        said = machine.said()
        v.refused += len(_REFUSED.findall(said))
        v.broken += [f"{machine.name} {how}" for how in machine.odd_ends]
        if "Traceback" in said:
            v.broken.append(f"{machine.name} printed a traceback, see {machine.log}")
    v.leftovers = sum(
        path.name.startswith(".") for path in (world.folder / "outputs").iterdir()
    )
