"""The fault matrix: every AWS call of a run, of the clean-up behind it and of the sweep, made to fail in every way.

However a call fails, the run's stream is gone at the end, the verdict is true by an oracle that never asks the code
under test, the step and the cause are named, and no other stream is touched.
"""

import pytest

from tests.faults.claims import lies, needs_the_sweeper, uncounted, unnamed
from tests.faults.matrix import Case, cases, share
from tests.faults.outcome import play
from tests.faults.verdicts import expected


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        of = metafunc.config.getoption("--one-of")
        metafunc.parametrize("case", share(cases(), of) if of > 1 else cases(), ids=str)


def test_a_share_of_the_cases_has_every_call_and_every_way_to_fail() -> None:
    every = cases()
    some = share(every, 3)
    for told in (
        lambda case: (case.spec, case.fault.place, case.fault.operation),
        lambda case: (case.fault.kind, case.fault.lasting),
    ):
        assert set(map(told, some)) == set(map(told, every))
    assert len(every) / 3 <= len(some) <= len(every) / 2
    assert set(some) <= set(every)


def test_a_fault(case: Case) -> None:
    # Given a run in which one AWS call fails, once or from then on; When it and all that follows has come to rest
    outcome = play(case)

    # Then the fault was met
    assert outcome.struck

    # And the stream is gone, the run closed, and nothing else was touched
    assert not outcome.last.stream_exists
    assert outcome.last.closed or (outcome.last.item is None and case.fault.place.state in {"Start", "Plan"})
    assert outcome.disturbed == []

    # And without the sweeper's help, unless what deletes and closes at once is itself what stays broken
    assert outcome.first.settled or needs_the_sweeper(case)

    # And what Weir says is so, and names what broke
    assert lies(outcome) == []
    assert unnamed(case, outcome.last) == []
    assert uncounted(outcome) == []
    rule = expected(case)
    assert outcome.last.verdict == rule.verdict, rule.why
