"""Legal shard counts on the way to a target."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weir.streams.resharding import legal_steps


@pytest.mark.parametrize(
    ("current", "target", "steps"),
    [(1, 3, [2, 3]), (3, 1, [2, 1]), (2, 2, []), (4, 8, [8]), (5, 2, [3, 2]), (1, 100, [2, 4, 8, 16, 32, 64, 100])],
)
def test_known_ways(current: int, target: int, steps: list[int]) -> None:
    assert legal_steps(current, target) == steps


@given(current=st.integers(1, 10_000), target=st.integers(1, 10_000))
def test_every_step_is_legal_and_the_last_is_the_target(current: int, target: int) -> None:
    # Given any two counts, When the way is planned
    steps = legal_steps(current, target)

    # Then each step at most doubles and at least halves, and nothing is done twice
    before = current
    for step in steps:
        assert (before + 1) // 2 <= step <= before * 2
        assert abs(target - step) < abs(target - before)
        before = step
    assert before == target


@pytest.mark.parametrize(("current", "target"), [(0, 1), (1, 0), (-1, 5)])
def test_no_stream_has_less_than_one_shard(current: int, target: int) -> None:
    with pytest.raises(ValueError, match="at least one shard"):
        legal_steps(current, target)
