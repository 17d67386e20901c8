"""What a worker adds to the time that a bare ffmpeg command takes."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.fleet import KEYS, ROOT, Machine, Site, document
from bench.processes import cpu_with_children
from bench.report import Result, Spread

CLIP = ROOT / "samples" / "big_buck_bunny_5s.mp4"
PRESET = "slower"
CRF = "20"


@dataclass(frozen=True, slots=True)
class Run:
    """One encode."""

    wall: float
    cpu: float


def film_job(job_id: str, output: Path, preset: str = PRESET) -> str:
    """Write an ordinary ffmpeg job: the clip's picture, encoded by libx264."""
    options = {"codec": "libx264", "preset": preset, "crf": CRF}
    return document(
        "ffmpeg",
        job_id,
        sources=[str(CLIP)],
        source_maps=[{"source": 0, "specifier": "v", "stream": 0}],
        output_maps=[{"specifier": "v", "stream": 0, "options": options}],
        output_file=str(output),
    )


def measure(rounds: int) -> Result:
    """Encode the same clip by a command and by a worker, in turns."""
    result = Result(
        "encode",
        f"An encode under a worker and by hand: {CLIP.name}, libx264 {PRESET}",
        ("", "wall s: median (min to max)", "CPU s", "over the bare command"),
    )
    if shutil.which("ffmpeg") is None:
        result.notes.append("not measured: there is no ffmpeg on PATH")
        return result
    runs: dict[str, list[Run]] = {"bare": [], "worker": []}
    with Site.open() as site:
        machine = site.machine("bench", 1)
        site.run([film_job("", site.folder / "warm.mkv", preset="ultrafast")], 1)
        for number in range(rounds):
            # The order changes, so that a drift of the machine falls on both alike.
            for who in sorted(runs, reverse=bool(number % 2)):
                output = site.folder / f"{who}-{number}.mkv"
                runs[who].append(
                    _bare(output) if who == "bare" else _worker(site, machine, output)
                )
                output.unlink()
    walls = {name: Spread.of([r.wall for r in found]) for name, found in runs.items()}
    cpus = {name: Spread.of([r.cpu for r in found]) for name, found in runs.items()}
    ratios = {
        "ratio_of_medians": walls["worker"].median / walls["bare"].median,
        "ratio_of_minima": walls["worker"].least / walls["bare"].least,
        "ratio_of_cpu": cpus["worker"].median / cpus["bare"].median,
        "median_of_ratios": median(
            w.wall / b.wall for w, b in zip(runs["worker"], runs["bare"], strict=True)
        ),
    }
    percent = {name: f"{(ratio - 1) * 100:+.2f} %" for name, ratio in ratios.items()}
    for name in runs:
        over = f"{percent['ratio_of_medians']} wall, {percent['ratio_of_cpu']} CPU"
        shown = over if name == "worker" else ""
        result.rows.append((name, walls[name].text(2), cpus[name].text(2), shown))
    result.notes.append(
        f"{rounds} rounds each, in turns. Minima {percent['ratio_of_minima']}, pairs"
        f" {percent['median_of_ratios']}. The worker also probes the clip, reads progress,"
        " keeps the log, checks the result, syncs it to disk and records it."
    )
    result.figures = ratios | {
        name: {"wall": [r.wall for r in found], "cpu": [r.cpu for r in found]}
        for name, found in runs.items()
    }
    return result


def _bare(output: Path) -> Run:
    argv = ["ffmpeg", "-nostdin", "-hide_banner", "-y", "-i", str(CLIP)]
    argv += ["-map", "0:v:0", "-codec:v:0", "libx264", "-preset:v:0", PRESET]
    argv += ["-crf:v:0", CRF, str(output)]
    began = time.monotonic()
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"ffmpeg ended with {process.returncode}")
    return Run(wall, used.ru_utime + used.ru_stime)


def _worker(site: Site, machine: Machine, output: Path) -> Run:
    """From the push to the recorded end, on the server's clock; CPU of the whole tree."""
    pids = [machine.supervisor, *machine.workers]
    cpu = cpu_with_children(pids)
    with site.redis.pipeline(transaction=True) as pipe:
        pipe.time()
        pipe.lpush(KEYS.waiting(), film_job(output.stem, output))
        seconds, us = pipe.execute()[0]
    site.until(lambda: "ended_ms" in site.record(output.stem), "it ended", pause=0.1)
    record = site.record(output.stem)
    if record["state"] != "completed":
        raise RuntimeError(f"the job is {record['state']}: {record.get('error')}")
    wall = int(record["ended_ms"]) / 1000 - (seconds + us / 1e6)
    return Run(wall, cpu_with_children(pids) - cpu)
