"""Loss, damage, order, duplicates, refusals: what is told, and how gravely."""

import pytest

from tests.unit.analysis.measurements import evidence, found, measured
from weir.analysis.slo import Slo


def test_a_run_without_loss_says_so() -> None:
    findings = found(measured())
    assert findings["no-loss"].severity == "info"
    assert not [finding for finding in findings.values() if finding.severity == "critical"]


@pytest.mark.parametrize(("allowed", "severity"), [(0, "critical"), (2, "critical"), (3, "warning")])
def test_loss_is_critical_above_what_the_objective_allows(allowed: int, severity: str) -> None:
    finding = found(measured(lost=3, seen=9_997), Slo(max_lost=allowed))["records-lost"]
    assert finding.severity == severity
    assert evidence(finding) == {"accepted": 10_000, "read back": 9_997, "lost": 3, "loss allowed": allowed}


def test_loss_that_could_not_be_told_is_not_no_loss() -> None:
    findings = found(measured(lost=None, seen=None))
    assert findings["loss-unknown"].severity == "warning"
    assert not {"no-loss", "records-lost"} & set(findings)


def test_nothing_accepted_proves_nothing() -> None:
    assert "no-loss" not in found(measured(accepted=0, seen=0))


def test_corruption_is_critical_always() -> None:
    assert found(measured(corrupted=1), Slo(max_lost=100))["records-corrupted"].severity == "critical"


@pytest.mark.parametrize(
    ("slo", "ordered_asked", "severity"),
    [(Slo(), False, "info"), (Slo(ordered=True), False, "critical"), (Slo(), True, "critical")],
)
def test_disorder_matters_where_order_was_asked_for(slo: Slo, ordered_asked: bool, severity: str) -> None:
    m = measured(reordered=4, ordered_asked=ordered_asked)
    assert found(m, slo)["records-reordered"].severity == severity


def test_order_that_was_kept_or_not_known_is_told_only_where_asked_for() -> None:
    ordered = Slo(ordered=True)
    assert "order-kept" in found(measured(), ordered)
    assert "order-unknown" in found(measured(reordered=None), ordered)
    assert not {"order-kept", "order-unknown"} & (set(found(measured())) | set(found(measured(reordered=None))))


@pytest.mark.parametrize(("allowed", "severity"), [(None, "info"), (5, "info"), (4, "critical")])
def test_duplicates_fail_only_where_the_objective_says_so(allowed: int | None, severity: str) -> None:
    finding = found(measured(duplicates=5, uncertain=9), Slo(max_duplicates=allowed))["records-duplicated"]
    assert finding.severity == severity
    assert evidence(finding)["sent again after a lost answer"] == 9
    assert evidence(finding).get("duplicates allowed") == allowed


def test_refused_and_unsent_records_are_told_apart() -> None:
    # Given 10,000 planned, 9,000 accepted, 600 refused
    findings = found(measured(accepted=9000, rejected=600, seen=9000))

    # Then 400 were never sent
    assert evidence(findings["records-rejected"])["rejected"] == 600
    assert evidence(findings["records-not-sent"])["not sent"] == 400


def test_unknown_refusals_are_said_to_be_unknown() -> None:
    findings = found(measured(rejected=None))
    assert "acceptance-unknown" in findings
    assert "records-not-sent" not in findings


def test_somebody_elses_records_are_noticed() -> None:
    assert found(measured(foreign=1))["foreign-records"].title == "1 record in the stream was not written by this run"
