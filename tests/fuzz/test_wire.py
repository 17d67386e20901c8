"""Between supervisor and worker: whatever stands there, the supervisor goes on."""

from __future__ import annotations

import math
import mmap
import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fuzz.many import mutated, tried
from sisyphus.worker.board import SIZE, Activity, Board, Doing
from sisyphus.worker.contract import Order, Word

WHOLE = 24
"""Where the facts begin: what is before them is the supervisor's, or the sequence."""

REAL_NUMBERS = st.floats(allow_nan=False)
ACTIVITIES = st.builds(
    Activity,
    doing=st.sampled_from(Doing),
    patient=st.booleans(),
    token=st.integers(0, 2**64 - 1),
    job_id=st.text(max_size=300),
    job_title=st.text(max_size=600),
    module=st.text(max_size=20),
    task=st.integers(0, 999),
    tasks=st.integers(0, 1000),
    moved_ms=st.integers(0, 2**62),
    percent=REAL_NUMBERS,
    fps=REAL_NUMBERS,
    speed=REAL_NUMBERS,
    eta=REAL_NUMBERS,
)


@pytest.fixture
def board() -> Board:
    return Board.create()


def scribble(board: Board, place: int, data: bytes) -> None:
    memory = mmap.mmap(board.fd, SIZE)
    memory[place : place + len(data)] = data
    memory.close()


@example(bytes([77]))
@tried(300)
@given(st.one_of(st.binary(max_size=200), st.binary(min_size=90, max_size=200)))
def test_a_board_with_anything_on_it_can_be_read(board: Board, data: bytes) -> None:
    board.write(Activity(doing=Doing.BUSY, token=5, job_id="a"))
    scribble(board, WHOLE, data)

    now = board.read()

    assert now is None or isinstance(now.doing, Doing)


@tried(200)
@given(ACTIVITIES)
def test_a_board_says_what_was_written(board: Board, activity: Activity) -> None:
    board.write(activity)
    now = board.read()

    assert now is not None
    assert (now.doing, now.token, now.patient) == (
        activity.doing,
        activity.token,
        activity.patient,
    )
    assert (now.task, now.tasks, now.moved_ms) == (
        activity.task,
        activity.tasks,
        activity.moved_ms,
    )
    assert activity.job_id.startswith(now.job_id)
    assert activity.job_title.startswith(now.job_title)
    assert now.module == activity.module
    assert (now.percent, now.fps) == (activity.percent, activity.fps)
    assert not math.isnan(now.eta)


def test_a_board_half_written_is_not_believed(board: Board) -> None:
    board.write(Activity(doing=Doing.BUSY, token=5, job_id="a"))
    scribble(board, 16, (7).to_bytes(8, "little"))

    assert board.read() is None


ORDERS = st.builds(
    Order,
    st.sampled_from(Word),
    st.integers(0, 2**64 - 1),
    st.sampled_from(["", "cancel", "lost", "a reason of words"]),
)


@tried(200)
@given(ORDERS)
def test_an_order_is_read_as_it_was_given(order: Order) -> None:
    assert Order.read(order.line()) == order


@example(b"\n")
@example(b"stop\n")
@example(b"stop " + b"9" * 5000 + b" lost\n")
@tried(200)
@given(st.one_of(mutated(ORDERS.map(Order.line)), st.binary(max_size=30)))
def test_what_is_no_order_is_refused_with_one_error(line: bytes) -> None:
    try:
        order = Order.read(line)
    except ValueError:
        return

    assert isinstance(order.word, Word)


@pytest.fixture(autouse=True)
def close(board: Board) -> object:
    yield
    os.close(os.dup(board.fd))  # it must still be open: nobody else may close it
    board.close()
