"""What it costs to have workers that have nothing to do."""

from __future__ import annotations

import time

from bench.commands import commands
from bench.fleet import Site, document
from bench.processes import cpu_seconds, wake_ups
from bench.report import Result

WORKERS = 2
SETTLE_SECONDS = 3.0


def measure(seconds: float) -> Result:
    """Watch a supervisor, two idle workers and the server for a while."""
    with Site.open() as site:
        machine = site.machine("bench", WORKERS)
        site.run((document("noop") for _ in range(50)), WORKERS)
        time.sleep(SETTLE_SECONDS)
        groups = {
            "supervisor": [machine.supervisor],
            f"{WORKERS} workers": machine.workers,
            "server": [site.server.pid],
        }
        began, calls = time.monotonic(), commands(site)
        before = {name: _reading(pids) for name, pids in groups.items()}
        time.sleep(seconds)
        after = {name: _reading(pids) for name, pids in groups.items()}
        passed = time.monotonic() - began
        calls_after = commands(site)
    sent = (calls_after.sent - calls.sent) / passed
    inner = (calls_after.others - calls.others - 1) / passed  # one INFO is ours
    result = Result(
        "idle",
        f"Idle cost of a supervisor with {WORKERS} workers, over {passed:.0f} s",
        ("", "wake-ups/s", "CPU s/minute"),
    )
    result.figures["commands_sent_per_second"] = sent
    result.figures["commands_in_scripts_per_second"] = inner
    total = [0.0, 0.0]
    for name in groups:
        woken = (after[name][0] - before[name][0]) / passed
        cpu = (after[name][1] - before[name][1]) / passed * 60
        total = [total[0] + woken, total[1] + cpu]
        result.rows.append((name, f"{woken:.1f}", f"{cpu:.3f}"))
        result.figures[name] = {"wake_ups_per_second": woken, "cpu_per_minute": cpu}
    result.rows.append(("all", f"{total[0]:.1f}", f"{total[1]:.3f}"))
    result.figures["all"] = {
        "wake_ups_per_second": total[0],
        "cpu_per_minute": total[1],
    }
    result.notes.append(
        f"{sent:.1f} commands a second were sent, {inner:.1f} more ran inside scripts;"
        " wake-ups are voluntary context switches."
    )
    return result


def _reading(pids: list[int]) -> tuple[int, float]:
    return sum(map(wake_ups, pids)), cpu_seconds(pids)
