"""Break everything for a while and see whether the promises hold: ``python -m chaos``."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from chaos.checker import check
from chaos.driver import run
from chaos.report import table
from chaos.sabotage import SABOTAGES, sabotaged
from chaos.world import Plan, open_world


def main() -> int:
    """Run once; 1 if a promise was broken."""
    words = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    words.add_argument("--seconds", type=float, default=60)
    words.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    words.add_argument(
        "--appendfsync", choices=["always", "everysec"], default="always"
    )
    words.add_argument("--replica", action="store_true", help="fail over to a replica")
    words.add_argument(
        "--peace", type=float, default=90, help="seconds to come to rest afterwards"
    )
    words.add_argument("--lease", type=float, default=3.0)
    words.add_argument("--machines", type=int, default=3)
    words.add_argument("--workers", type=int, default=2)
    words.add_argument(
        "--sabotage", choices=SABOTAGES, help="run a build with a defect"
    )
    words.add_argument(
        "--source", type=Path, help="run workers from this source folder instead"
    )
    words.add_argument("--keep", action="store_true", help="keep the logs in any case")
    given = words.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="sisyphus-chaos-"))
    plan = Plan(
        seconds=given.seconds,
        seed=given.seed,
        folder=folder,
        appendfsync=given.appendfsync,
        machines=given.machines,
        workers=given.workers,
        replica=given.replica,
        peace=given.peace,
        lease=given.lease,
        build=sabotaged(given.sabotage, folder) if given.sabotage else given.source,
    )
    with open_world(plan) as world:
        rest_seconds, missed = run(world)
        verdict = check(world)
        print(table(world, verdict, rest_seconds, missed))
        kept = verdict.broken or given.keep
        if kept:  # their disk goes with the run
            shutil.copytree(folder / "outputs", folder / "outputs-kept")
    if kept:
        print(f"seed {plan.seed}; logs and witnesses are kept in {folder}")
    else:
        shutil.rmtree(folder)
    return 1 if verdict.broken else 0


if __name__ == "__main__":
    sys.exit(main())
