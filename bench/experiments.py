"""Six accidents that befall every queue, on real workers with a real ffmpeg.

What is done in each is told in docs/reliability.md. The tests in tests/experiments run
the same functions and hold them to what is promised there.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from statistics import median
from typing import Any, Literal

from bench.encoders import Encoder
from bench.fleet import Machine
from bench.processes import descendants
from bench.report import Result
from bench.scene import Outcome, Scene

SHORT, LONG = 3, 60
"""Seconds that an encode takes: one that is waited for, one that must be stopped."""
LIMIT = 5
"""Seconds: the limit in X-3."""
BETWEEN_SIGNALS = 1.0
FILM = "film.mp4"
_OTHER = "other.mp4"


def worker_killed(whom: Literal["worker process", "supervisor"]) -> Outcome:
    """X-1: ``kill -9`` of one process while it encodes; the encoder is not touched.

    A killed supervisor is started again, as a service manager would do.
    """
    with Scene.open(SHORT) as scene:
        (machine,) = scene.machines("one")
        scene.push(FILM)
        encoder = scene.encoding(FILM)
        pid = machine.workers[0] if whom == "worker process" else machine.supervisor
        blow = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        gone = scene.until_gone(encoder) - blow
        if whom == "supervisor":
            machine.process.wait()
            scene.site.start("one", 1)
        again = scene.until_again(FILM, encoder) - blow
        scene.until_ended(FILM)
        return scene.outcome(FILM, gone=gone, again=again)


def cancelled() -> Outcome:
    """X-2: a person cancels the job by the command line while it encodes."""
    with Scene.open(LONG) as scene:
        scene.machines("one")
        scene.push(FILM)
        encoder = scene.encoding(FILM)
        url = scene.site.server.url
        blow = time.monotonic()
        scene.command("jobs", "cancel", FILM, "--redis-url", url).wait()
        gone = scene.until_gone(encoder) - blow
        scene.until_ended(FILM)
        return scene.outcome(FILM, gone=gone)


def timed_out(whose: Literal["task", "job"]) -> Outcome:
    """X-3: the task's or the job's ``timeout`` passes while it encodes."""
    with Scene.open(LONG) as scene:
        scene.machines("one")
        if whose == "task":
            scene.push(FILM, {"timeout": LIMIT})
        else:
            scene.push(FILM, timeout=LIMIT)
        gone = scene.until_gone(scene.encoding(FILM))
        scene.until_ended(FILM)
        return scene.outcome(FILM, gone=gone - scene.began(FILM) - LIMIT)


def hung() -> Outcome:
    """X-3: the tool is stopped by SIGSTOP, and ``stall_timeout`` passes."""
    with Scene.open(LONG) as scene:
        scene.machines("one")
        scene.push(FILM, {"stall_timeout": LIMIT})
        encoder = scene.encoding(FILM)
        blow = time.monotonic()
        os.kill(encoder.pid, signal.SIGSTOP)
        gone = scene.until_gone(encoder) - blow - LIMIT
        scene.until_ended(FILM)
        return scene.outcome(FILM, gone=gone)


def deployed(on_drain: Literal["finish", "release"], signals: int = 1) -> Outcome:
    """X-4: SIGTERM to a machine that encodes, while another one is idle."""
    with Scene.open(SHORT + signals - 1) as scene:
        machines = scene.machines("one", "two", SISYPHUS_ON_DRAIN=on_drain)
        scene.push(FILM)
        encoder = scene.encoding(FILM)
        busy = _of(encoder, machines)
        blow = time.monotonic()
        busy.process.terminate()
        gone = again = None
        if signals == 2:
            time.sleep(BETWEEN_SIGNALS)
            blow = time.monotonic()
            busy.process.terminate()
        if on_drain == "release" or signals == 2:
            gone = scene.until_gone(encoder) - blow
            again = scene.until_again(FILM, encoder) - blow
        busy.process.wait(40)
        scene.until_ended(FILM)
        return scene.outcome(FILM, gone=gone, again=again)


def power_lost() -> Outcome:
    """X-5: all processes of a machine are gone at once; another one is idle."""
    with Scene.open(SHORT) as scene:
        machines = scene.machines("one", "two")
        scene.push(FILM)
        encoder = scene.encoding(FILM)
        busy = _of(encoder, machines)
        blow = time.monotonic()
        busy.lose_power()
        again = scene.until_again(FILM, encoder) - blow
        taken = scene.taken(FILM) - blow
        scene.until_ended(FILM)
        return scene.outcome(FILM, again=again, taken=taken)


def fair_start(workers: Literal[1, 2]) -> Outcome:
    """X-6: two jobs wait; one machine starts and takes them, or one, another joins."""
    with Scene.open(LONG) as scene:
        scene.push(FILM)
        scene.push(_OTHER)
        blow = time.monotonic()
        scene.site.start("one", workers)
        if workers == 1:
            scene.encoding(FILM)
            blow = time.monotonic()
            scene.site.start("two", 1)
        scene.site.until(lambda: len(scene.watch.running()) == 2, "both run", 30)
        again = max(each.seen for each in scene.watch.running()) - blow
        found = scene.outcome(FILM, again=again)
        found.most = max(found.most, scene.watch.most[_OTHER])
        return found


def without_queue() -> Outcome:
    """X-7: no queue at all: ``kill -9`` of a ``sisyphus run`` that encodes."""
    with Scene.open(LONG) as scene:
        file = scene.site.folder / "job.json"
        file.write_text(scene.document(FILM, {}))
        run = scene.command("run", str(file))
        try:
            encoder = scene.encoding(FILM)
            blow = time.monotonic()
        finally:
            run.kill()
            run.wait()
        gone = scene.until_gone(encoder) - blow
        return scene.outcome(FILM, gone=gone)


EXPERIMENTS: Mapping[str, Callable[[], Outcome]] = {
    "X-1 worker process killed": partial(worker_killed, "worker process"),
    "X-1 supervisor killed": partial(worker_killed, "supervisor"),
    "X-2 cancel": cancelled,
    "X-3 timeout of the task": partial(timed_out, "task"),
    "X-3 timeout of the job": partial(timed_out, "job"),
    "X-3 tool hangs": hung,
    "X-4 deploy, jobs finish": partial(deployed, "finish"),
    "X-4 deploy, jobs handed back": partial(deployed, "release"),
    "X-4b second SIGTERM": partial(deployed, "finish", 2),
    "X-5 power loss": power_lost,
    "X-6 second machine joins": partial(fair_start, 1),
    "X-6 -c 2": partial(fair_start, 2),
    "X-7 no queue, parent killed": without_queue,
}


def _of(encoder: Encoder, machines: Sequence[Machine]) -> Machine:
    """Find the machine that an encoder runs on."""
    return next(m for m in machines if encoder.pid in descendants(m.supervisor))


def measure(rounds: int) -> Result:
    """Run all experiments in turns."""
    if shutil.which("ffmpeg") is None:
        result = tabulate({})
        result.notes.append("not measured: there is no ffmpeg on PATH")
        return result
    runs: dict[str, list[Outcome]] = {name: [] for name in EXPERIMENTS}
    for _ in range(rounds):
        for name, experiment in EXPERIMENTS.items():
            try:
                found = experiment()
            except TimeoutError as error:  # what should happen never did: that counts
                found = Outcome(state=str(error).split("\n", 1)[0])
            runs[name].append(found)
    return tabulate(runs)


def tabulate(runs: Mapping[str, Sequence[Outcome]]) -> Result:
    """Sum up the rounds of each experiment in a row."""
    result = Result(
        "experiments",
        "Six accidents during an encode; seconds: median, worst",
        ("", "gone", "again", "most", "ended", "rounds"),
    )
    for name, found in runs.items():
        if not found:
            continue
        ends = Counter(f"{run.state} {run.code}".strip() or "-" for run in found)
        result.rows.append(
            (
                name,
                _times([run.gone for run in found]),
                _times([run.again for run in found]),
                str(max(run.most for run in found)),
                ", ".join(ends),
                str(len(found)),
            )
        )
    worst = max((run.longest_pause for f in runs.values() for run in f), default=0.0)
    facts: dict[str, Any] = {
        name: [asdict(run) for run in found] for name, found in runs.items()
    }
    result.figures = facts
    result.notes += [
        "Gone: the encoder, since the blow; X-2: since `sisyphus jobs cancel` was typed;"
        f" X-3: since the limit of {LIMIT} s had passed.",
        "Again: another runs, since the blow; X-6: since the start of the last machine.",
        f"Most: encoders of one film at once. Looked at 50 times a second, at worst"
        f" after {worst:.2f} s.",
    ]
    return result


def _times(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{median(known):.2f}, {max(known):.2f}" if known else "-"
