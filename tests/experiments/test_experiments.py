"""The six experiments of docs/reliability.md, held to what is promised there.

Each runs ``sisyphus worker`` as a user would, a real server and a real ffmpeg, and looks at
all processes of the machine fifty times a second.
"""

from __future__ import annotations

from typing import Literal

import pytest

from bench import experiments
from bench.scene import Outcome

pytestmark = pytest.mark.tool

ORPHAN_SECONDS = 1.0
"""No tool outlives its worker by more."""
STOP_SECONDS = 12.0
"""A look each second, the polite stop, ten seconds of grace, SIGKILL."""
RECOVERY_SECONDS = 15.0
"""So long a job of a dead machine waits at most, with the default lease."""


def assert_encoded_once_and_whole(found: Outcome) -> None:
    assert found.state == "completed"
    assert found.most == 1
    assert found.grown == 0
    assert found.published == 1
    assert found.whole
    assert found.left == [experiments.FILM]


def assert_nothing_is_left(found: Outcome) -> None:
    assert found.gone is not None
    assert found.gone < STOP_SECONDS
    assert found.most == 1
    assert found.published == 0
    assert found.left == []


@pytest.mark.parametrize("whom", ["worker process", "supervisor"])
def test_x1_a_killed_workers_encoder_is_gone_and_the_job_runs_again(
    whom: Literal["worker process", "supervisor"],
) -> None:
    found = experiments.worker_killed(whom)

    assert found.gone is not None
    assert found.gone < ORPHAN_SECONDS
    assert (found.attempts, found.crashes) == (2, 1)
    assert_encoded_once_and_whole(found)


def test_x2_a_cancelled_jobs_encoder_is_gone_and_leaves_nothing() -> None:
    found = experiments.cancelled()

    assert found.state == "cancelled"
    assert_nothing_is_left(found)


@pytest.mark.parametrize("whose", ["task", "job"])
def test_x3_a_late_jobs_encoder_is_gone_and_leaves_nothing(
    whose: Literal["task", "job"],
) -> None:
    found = experiments.timed_out(whose)

    assert (found.state, found.code) == ("failed", "timeout")
    assert_nothing_is_left(found)


def test_x3_a_hung_encoder_is_gone_and_leaves_nothing() -> None:
    found = experiments.hung()

    assert (found.state, found.code) == ("failed", "stalled")
    assert_nothing_is_left(found)


def test_x4_a_deploy_lets_the_encoder_finish() -> None:
    found = experiments.deployed("finish")

    assert found.attempts == 1
    assert_encoded_once_and_whole(found)


@pytest.mark.parametrize(("on_drain", "signals"), [("release", 1), ("finish", 2)])
def test_x4_a_deploy_that_hands_jobs_back_never_has_two_encoders(
    on_drain: Literal["finish", "release"], signals: int
) -> None:
    found = experiments.deployed(on_drain, signals)

    assert (found.attempts, found.crashes) == (2, 0)
    assert_encoded_once_and_whole(found)


def test_x5_after_power_loss_the_job_is_taken_elsewhere_within_15_seconds() -> None:
    found = experiments.power_lost()

    assert found.taken is not None
    assert found.taken < RECOVERY_SECONDS
    assert (found.attempts, found.crashes) == (2, 1)
    assert_encoded_once_and_whole(found)


@pytest.mark.parametrize("workers", [1, 2])
def test_x6_two_waiting_jobs_are_shared_by_two_workers(workers: Literal[1, 2]) -> None:
    found = experiments.fair_start(workers)

    assert (found.state, found.most) == ("running", 1)


def test_x7_without_a_queue_a_killed_commands_encoder_is_gone() -> None:
    found = experiments.without_queue()

    assert found.gone is not None
    assert found.gone < ORPHAN_SECONDS
    assert found.grown == 0
