"""Readiness: all checks at once, each in its own time, whatever hangs."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from weir.health import dependencies
from weir.health.errors import UnknownCheck
from weir.health.readiness import Check, CheckResult, overall, run_checks, select
from weir.runtime import aws
from weir.runtime.clock import SYSTEM
from weir.runtime.settings import Settings


@pytest.fixture
def hang() -> Iterator[Callable[[], None]]:
    """A call that hangs until the test is over."""
    over = threading.Event()

    def call() -> None:
        over.wait(30)

    yield call
    over.set()


def fail() -> None:
    raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "arn:aws:secret"}}, "Op")


def well() -> None:
    return


def run(*checks: Check) -> dict[str, CheckResult]:
    return {result.name: result for result in run_checks(checks, SYSTEM, dependencies.reason)}


def test_checks_answer_within_their_time_whatever_hangs(hang: Callable[[], None]) -> None:
    # Given ten dependencies that hang, and one that is well
    checks = [Check(f"hangs-{number}", "aws", hang, timeout=0.2) for number in range(10)]
    started = time.monotonic()

    # When all are checked, Then the answer comes in the time of one, and tells which hung
    found = run(*checks, Check("well", "aws", well, timeout=0.2))
    assert time.monotonic() - started < 1.5
    assert found["well"].status == "ok"
    assert {result.status for name, result in found.items() if name != "well"} == {"timeout"}
    assert found["hangs-3"].latency_ms == 200
    assert found["hangs-3"].reason == "no answer within 0.2 s"


def test_each_check_has_its_own_time(hang: Callable[[], None]) -> None:
    # Given a check with little time and one with more, both slower than the little
    def slow() -> None:
        time.sleep(0.15)

    found = run(Check("hasty", "aws", slow, timeout=0.05), Check("patient", "aws", slow, timeout=5.0))
    assert (found["hasty"].status, found["patient"].status) == ("timeout", "ok")
    assert found["patient"].latency_ms >= 150


def test_checks_run_at_the_same_time() -> None:
    # Given checks that only finish when all of them have begun
    barrier = threading.Barrier(8, timeout=5)

    def meet() -> None:
        barrier.wait()

    assert {result.status for result in run(*(Check(str(n), "db", meet) for n in range(8))).values()} == {"ok"}


def test_results_come_in_the_order_of_the_checks() -> None:
    def later() -> None:
        time.sleep(0.05)

    assert list(run(Check("a", "aws", later), Check("b", "aws", well))) == ["a", "b"]


def test_a_reason_holds_a_code_and_never_a_message() -> None:
    found = run(
        Check("denied", "aws", fail),
        Check("late", "aws", lambda: raising(ReadTimeoutError(endpoint_url="https://secret.example"))),
        Check("odd", "aws", lambda: raising(ValueError("password=hunter2"))),
        Check("unset", "db", lambda: raising(dependencies.NotConfigured())),
    )
    assert [result.reason for result in found.values()] == [
        "AccessDeniedException",
        "ReadTimeoutError",
        "ValueError",
        "not configured",
    ]


def raising(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    ("states", "status"),
    [
        ([], "ok"),
        ([("ok", True), ("ok", False)], "ok"),
        ([("ok", True), ("failed", False)], "degraded"),
        ([("timeout", True), ("failed", False)], "failed"),
        ([("failed", True)], "failed"),
    ],
)
def test_only_what_is_required_makes_it_fail(states: list[tuple[str, bool]], status: str) -> None:
    results = [CheckResult("n", "aws", state, required, 1.0, None) for state, required in states]  # type: ignore[arg-type]
    assert overall(results) == status


def test_checks_are_chosen_by_name() -> None:
    assert select("all") == {"aws", "db", "llm"}
    assert select("aws") == {"aws"}
    assert select("db, llm") == {"db", "llm"}


@pytest.mark.parametrize("wrong", ["cache", "", "AWS", "aws,nonsense", "all,", "aws;db"])
def test_an_unknown_check_is_refused_and_the_known_ones_are_told(wrong: str) -> None:
    with pytest.raises(UnknownCheck, match="all, aws, db, llm"):
        select(wrong)


def test_no_answer_for_no_checks() -> None:
    assert run_checks([], SYSTEM, dependencies.reason) == []


def test_every_dependency_is_asked_something_cheap_of_the_stacks_own(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given clients that write down what they are asked
    asked: list[tuple[str, str]] = []

    class Client:
        def __init__(self, service: str) -> None:
            self._service = service

        def __getattr__(self, operation: str) -> Callable[..., dict[str, dict[str, str]]]:
            def call(**params: object) -> dict[str, dict[str, str]]:
                asked.append((self._service, operation))
                if operation == "describe_stream_summary":
                    raise ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": ""}}, operation)
                return {"Table": {"TableStatus": "ACTIVE"}}

            return call

    monkeypatch.setattr(aws, "client", lambda service, **_: Client(service))
    conf = Settings(
        runs_table="r",
        idempotency_table="i",
        identity_table="u",
        packages_table="p",
        runs_bucket="b",
        run_machine_arn="m",
        cursor_secret_arn="s",
        settle_queue_url="q",
    )

    # When everything is checked
    found = run(*dependencies.checks(frozenset({"aws", "db", "llm"}), conf, llm_required=False))

    # Then every service was asked, by reads alone, and all is well; Bedrock is not required
    assert {result.status for result in found.values()} == {"ok"}
    assert {service for service, _ in asked} == {
        "sts", "kinesis", "dynamodb", "s3", "stepfunctions", "secretsmanager", "sqs", "cloudwatch", "events",
        "scheduler", "sns", "kms", "lambda", "bedrock",
    }  # fmt: skip
    assert all(operation.startswith(("describe_", "get_", "list_", "head_")) for _, operation in asked)
    assert [name for name, result in found.items() if not result.required] == ["bedrock"]


def test_what_is_not_configured_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a stack that names neither its tables nor its bucket
    class Client:
        def __getattr__(self, operation: str) -> Callable[..., None]:
            return lambda **_: None

    monkeypatch.setattr(aws, "client", lambda service, **_: Client())
    found = run(*dependencies.checks(frozenset({"aws", "db"}), Settings(), llm_required=False))
    unset = {name for name, result in found.items() if result.reason == "not configured"}
    tables = {"runs_table", "idempotency_table", "identity_table", "packages_table"}
    assert unset == {"dynamodb", "s3", "stepfunctions", "secretsmanager", "sqs"} | tables
