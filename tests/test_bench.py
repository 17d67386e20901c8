"""The measurements run and give figures; what the figures are is not tested."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.timeout(180)  # five servers and workers, one after the other
def test_the_bench_measures_throughput_and_pickup(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"

    chosen = ["--rounds", "1", "--jobs", "50", "--pushes", "10", "--json", str(file)]
    subprocess.run(
        [sys.executable, "-m", "bench", *chosen, "--only", "throughput,pickup"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )

    figures = json.loads(file.read_text())
    assert figures["machine"]["server"]
    for name in ("workers_1", "workers_2"):
        found = figures["throughput"][name]
        assert found["jobs_per_second"] > 0
        assert found["worker_us"] > 0
        assert found["server_us"] > 0
        assert found["round_trips"] >= 0.5
        assert found["commands_sent"] >= 1
        assert found["commands_in_scripts"] > 0
    for name in ("worker", "bare"):
        found = figures["pickup"][name]
        assert 0 < found["p50_ms"] <= found["p99_ms"] <= found["max_ms"]
