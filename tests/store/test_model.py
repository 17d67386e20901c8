"""Whatever happens, in whatever order: Redis holds what the model says, nothing is lost.

``MODEL_EXAMPLES`` makes the walk longer; ``make model`` prints what was walked.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from store.model_walk import a_world, walk

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "100"))
STEPS = 15
ENOUGH = 300
"""From so many examples on every legal pair has to have come up."""


@pytest.mark.timeout(120 + 3 * EXAMPLES)
def test_whatever_happens_redis_holds_what_it_must(
    redis_url: str, tmp_path: Path
) -> None:
    with a_world(redis_url, tmp_path) as world:
        tally = walk(world, EXAMPLES, STEPS)

    sys.stdout.write(f"\n{tally.table()}\n")
    if EXAMPLES >= ENOUGH:
        assert not (seldom := tally.never_walked(at_least=1)), seldom
