"""What a run is told as: one table that people can read."""

from __future__ import annotations

from collections import Counter

from chaos.checker import Verdict
from chaos.faults import FAULTS, left_out
from chaos.world import World

WIDTH = 52


def table(world: World, verdict: Verdict, rest_seconds: float, missed: int) -> str:
    """Write down the figures."""
    plan, ledger = world.plan, world.ledger
    fleet = f"{plan.machines} machines of {plan.workers} workers"
    lines = [
        f"chaos for {plan.seconds:g} s, seed {plan.seed}: {fleet}, lease {plan.lease:g} s,"
        f" appendfsync {plan.appendfsync}{', a replica' if plan.replica else ''}",
        "",
        _row("faults injected", len(world.hits)),
    ]
    kinds = Counter(hit.kind for hit in world.hits)
    lines += [
        _row(f"  {each.what}", kinds[kind])
        for kind, each in FAULTS.items()
        if kinds[kind]
    ]
    if missed:
        lines.append(_row("  (could not be had in their moment)", missed))
    for kind in left_out(world):
        lines.append(_row(f"  left out here: {FAULTS[kind].what}", "-"))
    lines += [
        _row("pushes without an answer, repeated", ledger.pushes_repeated),
        "",
        _row("jobs accepted", len(ledger.jobs)),
    ]
    lines += [
        _row(f"  {state}", number) for state, number in verdict.states.most_common()
    ]
    lines += [
        _row(f"    {code}", number) for code, number in verdict.errors.most_common()
    ]
    extra = (
        f"{verdict.extra}, {len(verdict.unexplained)} without a fault that explains it"
    )
    slowest, whose = max(verdict.recoveries, default=(0.0, "-"))
    lines += [
        _row("good jobs given up after three crashes", verdict.given_up),
        _row("lost", len(verdict.lost)),
        *(
            [_row("gone with the server's last seconds", verdict.not_on_disk)]
            if plan.appendfsync != "always"
            else []
        ),
        _row(
            "documents that are no jobs, and kept as rejected",
            f"{len(ledger.nonsense)}, {verdict.rejected}",
        ),
        "",
        _row("executions", verdict.executions),
        _row("executions beyond one", extra),
        _row("worst overlap of two attempts", f"{verdict.worst_overlap_ms:.0f} ms"),
        _row(
            "  after a whole machine was frozen",
            f"{verdict.worst_thaw_ms:.0f} ms at work",
        ),
        _row("  of patient tasks", f"{verdict.worst_patient_ms:.0f} ms, as promised"),
        _row("outputs under their final names, all whole", verdict.outputs),
        _row("orphans left", len(verdict.orphans)),
        _row("stale outcomes refused", verdict.refused),
        _row(
            "a dead machine's job ran again",
            f"{len(verdict.recoveries)} times, slowest after {slowest:.1f} s ({whose})",
        ),
        _row("at rest after the last fault", f"{rest_seconds:.1f} s"),
        "",
    ]
    lines += [f"BROKEN: {each}" for each in verdict.broken] or ["all promises kept"]
    return "\n".join(lines)


def _row(name: str, value: object) -> str:
    return f"{name:<{WIDTH}} {value}"
