"""Sample events, one or more for each trigger, taken by the function behind it. Their shape: ``test_samples.py``."""

import json
from fnmatch import fnmatchcase
from typing import Any

import pytest
from moto.backends import get_backend

from tests.contract import analysis_events, model_events, package_events, prompt_events, stack, usage_events
from tests.contract.account import SESSION, Account, Touched, client
from tests.contract.samples import API, EVENTS, send
from weir.identity import passwords

RUN_ID = str(EVENTS["run-insert"]["run_id"])
NEEDS_NO_PERMISSION = {"sts:GetCallerIdentity"}
"""https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html"""

A_RUN = (
    *("runs-dry-run", "runs-source", "runs-start", "run-control-plan", "run-control-create", "run-control-active"),
    *("runs-list", "runs-show", "run-insert", "run-verify", "run-control-metrics", "run-control-analyze"),
    *("run-control-delete", "run-control-deleted", "run-control-close", "runs-report", "runs-report-html"),
)
A_BROKEN_RUN = (
    *("run-control-plan", "run-control-create", "run-control-branch_failed", "runs-stop", "run-events-aborted"),
    *("sweeper-dry-run", "sweeper-scheduled"),
)
A_STREAM = (
    *("streams-limits", "streams-create", "streams-settle", "streams-list", "streams-describe", "streams-shards"),
    *("streams-put-records", "streams-read-records", "streams-metrics", "streams-change", "streams-delete"),
)
IDENTITY = (
    *("first-admin-create", "first-admin-update", "first-admin-delete"),
    *("auth-register", "auth-login", "authorizer-token", "auth-me", "auth-refresh"),
    *("api-keys-create", "api-keys-list", "authorizer-key", "api-keys-rotate", "api-keys-revoke"),
    *("users-create", "users-list", "users-show", "users-change", "users-delete", "users-audit"),
    *("oauth-providers", "oauth-authorize", "oauth-callback", "oauth-token"),
    *("rotate-signing-key-create", "rotate-signing-key-set", "rotate-signing-key-test", "rotate-signing-key-finish"),
    *("auth-logout", "auth-password"),
)
OTHERS = ("health-live", "health-aws", "health-llm", "health-all", "streams-delete-force")


def test_every_event_is_sent_by_a_test() -> None:
    assert set(EVENTS) == {
        *A_RUN,
        *A_BROKEN_RUN,
        *A_STREAM,
        *IDENTITY,
        *package_events.STATUSES,
        *package_events.STEPS,
        *analysis_events.STATUSES,
        *analysis_events.STEPS,
        "analyses-of-runs",
        *prompt_events.STATUSES,
        *model_events.STATUSES,
        *usage_events.STATUSES,
        *usage_events.TASKS,
        *OTHERS,
    }


@pytest.fixture(scope="module")
def answers(aws: Account) -> dict[str, Any]:
    """What the functions answer when the events come one after the other, on an account with nothing in it."""
    told: dict[str, Any] = {}
    known: dict[str, str] = {}
    for name in (*A_RUN, *A_STREAM, *OTHERS):
        told[name] = send(aws, name, known)
        if name == "runs-start":
            known[RUN_ID] = json.loads(told[name]["body"])["run_id"]
    return told


@pytest.fixture(scope="module")
def broken(aws: Account, answers: dict[str, Any]) -> dict[str, Any]:
    """The same of another run, which breaks, is stopped, and whose execution ends as ABORTED."""
    key = EVENTS["runs-start"]["headers"]["Idempotency-Key"]
    started = json.loads(send(aws, "runs-start", {key: f"another-{key}"})["body"])["run_id"]
    return {name: send(aws, name, {RUN_ID: started}) for name in A_BROKEN_RUN} | {"run_id": started}


@pytest.fixture(scope="module")
def identity(aws: Account) -> dict[str, Any]:
    """What comes of the events about users, with the two users there whom they are about."""
    asked = json.loads(EVENTS["auth-login"]["body"])
    ann = EVENTS["auth-me"]["requestContext"]["authorizer"]["sub"]
    dora = EVENTS["users-list"]["requestContext"]["authorizer"]["sub"]
    aws.user("admin", user_id=dora)
    aws.user("operator", user_id=ann, username=asked["username"], password_hash=passwords.hashed(asked["password"]))
    known = {
        EVENTS["auth-me"]["requestContext"]["authorizer"]["credential_id"]: SESSION,
        EVENTS["rotate-signing-key-create"]["SecretId"]: pending(aws),
    }
    told: dict[str, Any] = {}
    for name in IDENTITY:
        told[name] = send(aws, name, known)
        if name in {"auth-login", "api-keys-create", "users-create"}:
            learn(known, name, json.loads(told[name]["body"]))
    return told


@pytest.fixture(scope="module")
def packages(aws: Account) -> dict[str, Any]:
    """What comes of the events about packages: one version is quarantined, another is published, a third imported."""
    return {"quarantined": package_events.quarantined(aws)} | package_events.published(aws)


@pytest.fixture(scope="module")
def analyses(aws: Account) -> dict[str, Any]:
    """What comes of the events about analyses: one over HTTP, two of a schedule, one that breaks."""
    return analysis_events.lived(aws)


@pytest.fixture(scope="module")
def of_a_run(aws: Account, answers: dict[str, Any]) -> dict[str, Any]:
    """What is told of the run, once it is closed."""
    return analysis_events.of_a_run(aws, {RUN_ID: json.loads(answers["runs-start"]["body"])["run_id"]})


@pytest.fixture(scope="module")
def prompts(aws: Account) -> dict[str, Any]:
    """What comes of the events about prompts."""
    return prompt_events.lived(aws)


@pytest.fixture(scope="module")
def models(aws: Account) -> dict[str, Any]:
    """What comes of the events about prices, providers and routes."""
    return model_events.lived(aws)


@pytest.fixture(scope="module")
def usage(aws: Account) -> dict[str, Any]:
    """What comes of the events about usage and caps."""
    return usage_events.lived(aws)


def learn(known: dict[str, str], name: str, body: dict[str, Any]) -> None:
    """What later samples have by way of example, as it came to be."""
    if name == "auth-login":
        known[EVENTS["authorizer-token"]["headers"]["Authorization"]] = f"Bearer {body['access_token']}"
        known[json.loads(EVENTS["auth-refresh"]["body"])["refresh_token"]] = body["refresh_token"]
    elif name == "api-keys-create":
        known[EVENTS["authorizer-key"]["headers"]["Authorization"]] = f"Bearer {body['secret']}"
        known[EVENTS["api-keys-rotate"]["pathParameters"]["key_id"]] = body["key_id"]
    else:
        known[EVENTS["users-show"]["pathParameters"]["user_id"]] = body["user_id"]


def pending(aws: Account) -> str:
    """Begin a rotation of the signing secret, as Secrets Manager does: a version that has no value yet; its ARN."""
    arn = aws.secret_arn("SigningSecret")
    version = EVENTS["rotate-signing-key-create"]["ClientRequestToken"]
    secret = get_backend("secretsmanager")[stack.ACCOUNT][stack.REGION].secrets[arn]
    secret.versions[version] = {"version_id": version, "createdate": 0, "version_stages": ["AWSPENDING"]}
    return arn


def test_a_run_is_proved_event_by_event(answers: dict[str, Any]) -> None:
    assert [answers[name]["statusCode"] for name in A_RUN if name in API] == [200, 201, 202, 200, 200, 200, 200]
    assert answers["run-control-active"] == {"ready": True}
    assert answers["run-insert"] == {"done": True, "wait": 0}
    assert answers["run-verify"]["done"] is True
    assert answers["run-control-analyze"] == {"accepted": 1000, "seen": 1000, "lost": 0}
    assert answers["run-control-deleted"] == {"gone": True}
    # All that is short of a pass: the account is in a region whose prices are not in the list.
    assert answers["run-control-close"]["verdict"] == "DEGRADED"
    (reason,) = answers["run-control-close"]["reasons"]
    assert "prices" in reason
    assert json.loads(answers["runs-report"]["body"])["verdict"] == "DEGRADED"
    assert answers["runs-report-html"]["body"].startswith("<!doctype html>")


def test_a_broken_run_is_cleaned_up_event_by_event(broken: dict[str, Any]) -> None:
    # Then its stream is gone at once, and its clean-up was begun
    assert broken["run-control-branch_failed"] == {"failed": "Insert"}
    assert broken["runs-stop"]["statusCode"] == 202
    assert broken["run-events-aborted"] == {"run_id": broken["run_id"], "cleaned_up": True}
    assert broken["sweeper-dry-run"] == broken["sweeper-scheduled"] | {"dry_run": True}
    assert broken["sweeper-scheduled"]["examined"] == 0


def test_a_stream_comes_and_goes_event_by_event(answers: dict[str, Any]) -> None:
    statuses = [answers[name]["statusCode"] for name in A_STREAM if name in API]
    assert statuses == [200, 202, 200, 200, 200, 200, 200, 200, 202, 202]
    assert answers["streams-settle"] == {"batchItemFailures": []}


STATUSES = {
    "auth-register": 403,  # nobody registers unless the operator lets them
    "auth-login": 200,
    "auth-me": 200,
    "auth-refresh": 200,
    "api-keys-create": 201,
    "api-keys-list": 200,
    "api-keys-rotate": 200,
    "api-keys-revoke": 200,
    "users-create": 201,
    "users-list": 200,
    "users-show": 200,
    "users-change": 200,
    "users-delete": 204,
    "users-audit": 200,
    "oauth-providers": 200,
    "oauth-authorize": 400,  # neither an application nor a provider is set up
    "oauth-callback": 404,
    "oauth-token": 400,
    "auth-logout": 200,
    "auth-password": 200,
}


def test_people_and_their_keys_come_and_go_event_by_event(identity: dict[str, Any]) -> None:
    statuses = {name: identity[name]["statusCode"] for name in IDENTITY if name in API}
    assert statuses == STATUSES
    # And who logged in, and the key that was made, are let in
    for name, credential in (("authorizer-token", "token"), ("authorizer-key", "key")):
        said = identity[name]["context"]
        assert (said["username"], said["credential"]) == ("ann", credential)
        assert all(isinstance(value, str) for value in said.values())
    # And the audit tells of the user who is gone
    told = json.loads(identity["users-audit"]["body"])["items"]
    assert {"user.created", "user.deleted"} <= {one["what"] for one in told}


def test_the_first_admin_is_made_once_event_by_event(aws: Account, identity: dict[str, Any]) -> None:
    told = [(one["Status"], one["Data"]["Made"]) for one in aws.told]
    assert told == [("SUCCESS", "true"), ("SUCCESS", "false"), ("SUCCESS", "false")]
    assert {one["LogicalResourceId"] for one in aws.told} == set(stack.resources("Custom::FirstAdmin"))


def test_the_signing_secret_is_rotated_event_by_event(aws: Account, identity: dict[str, Any]) -> None:
    arn, version = aws.secret_arn("SigningSecret"), EVENTS["rotate-signing-key-create"]["ClientRequestToken"]
    stages = client("secretsmanager").describe_secret(SecretId=arn)["VersionIdsToStages"]
    assert "AWSCURRENT" in stages[version]
    assert ["AWSPREVIOUS"] in stages.values()


def test_a_package_is_published_imported_and_deleted_event_by_event(packages: dict[str, Any]) -> None:
    statuses = {name: packages[name]["statusCode"] for name in package_events.STATUSES}
    assert statuses == package_events.STATUSES
    # And what was uploaded was hashed, scanned, served, and signed by the key that was registered
    told = {name: json.loads(packages[name]["body"]) for name in package_events.STATUSES if packages[name]["body"]}
    assert packages["package-scan-object"] == packages["package-scan-again"] == {"batchItemFailures": []}
    assert told["packages-version"]["state"] == "AVAILABLE"
    assert told["package-files-download"]["sha256"] == told["packages-register"]["files"][0]["sha256"]
    assert told["package-trust-sign"]["trusted"] == [told["package-trust-add-key"]["key_id"]]
    assert told["package-trust-validate"]["verdict"] == "passed"
    # And the import is done but for its scan, which the sweep asks for; the other one is undone
    assert [packages[name]["done"] for name in ("package-import-plan", "package-import-copy")] == [True, True]
    assert told["package-trust-import-status"]["state"] == "DONE"
    assert packages["package-import-finish"]["name"] == "acme-tiny-bert"
    assert packages["package-import-undo"] == {"aborted": 0}
    assert packages["package-sweeper-dry-run"] == packages["package-sweeper-scheduled"] | {"dry_run": True}
    assert packages["package-sweeper-scheduled"]["counts"]["queued"] == 1


def test_a_file_that_is_not_what_was_declared_is_quarantined_event_by_event(packages: dict[str, Any]) -> None:
    told = packages["quarantined"]
    assert (told["state"], told["files"][0]["state"]) == ("QUARANTINED", "QUARANTINED")


def test_streams_are_analyzed_event_by_event(analyses: dict[str, Any]) -> None:
    statuses = {name: analyses[name]["statusCode"] for name in analysis_events.STATUSES}
    assert statuses == analysis_events.STATUSES
    assert analyses["analysis-work-collect"] == {"streams": 1}
    assert analyses["analysis-work-analyze"] == {"done": True}
    assert analyses["analysis-work-tell"] == {"by": "template"}
    assert analyses["analysis-work-close"] == {"status": "DONE", "worse": 0}

    # And the stream that is not there is told, and makes the analysis partial
    results = analysis_events.body(analyses, "analyses-show")
    assert [one["name"] for one in results["streams"]] == ["payments"]
    assert results["partial"] == ["orders: there is no such stream"]
    assert results["analysis"]["complete"] is False
    assert results["calls"]["GetMetricData"] == 1
    assert analyses["analyses-csv"]["body"].startswith("analysis_id,stream,kind")
    assert analyses["analyses-html"]["body"].startswith("<!doctype html>")


def test_a_run_is_analyzed_by_what_it_measured(of_a_run: dict[str, Any], answers: dict[str, Any]) -> None:
    run = json.loads(answers["runs-start"]["body"])
    (stream,) = of_a_run["streams"]
    assert stream["name"] == run["stream_name"]
    (latency,) = [one for one in stream["findings"] if one["id"] == "run-latency"]
    assert any(fact["source"].startswith(f"run {run['run_id']}, ") for fact in latency["evidence"])
    gone = "its description: the stream is gone, and what its run measured is left"
    assert of_a_run["partial"] == [f"{run['stream_name']}: {gone}"]


def test_prompts_come_and_go_event_by_event(prompts: dict[str, Any]) -> None:
    assert {name: prompts[name]["statusCode"] for name in prompt_events.STATUSES} == prompt_events.STATUSES
    rendered = json.loads(prompts["prompts-render"]["body"])
    assert rendered["text"] == "Tell of 20 streams in two sentences."


def test_a_question_is_answered_from_the_facts(analyses: dict[str, Any]) -> None:
    answer = analysis_events.body(analyses, "questions-ask")
    assert answer["by"] == "template"
    assert answer["note"].startswith("No model is configured")


def test_scheduled_analyses_are_compared_with_the_last_and_a_broken_one_is_closed(analyses: dict[str, Any]) -> None:
    assert analyses["nightly-2 analysis-work-close"] == {"status": "DONE", "worse": 0}
    assert analyses["analysis-work-close-failed"] == {"status": "FAILED"}


def test_prices_providers_and_routes_come_and_go_event_by_event(models: dict[str, Any]) -> None:
    assert {name: models[name]["statusCode"] for name in model_events.STATUSES} == model_events.STATUSES
    # And the key of the provider is told by no answer
    assert model_events.body(models, "models-provider-show")["has_key"] is True
    assert "sk-ant" not in json.dumps(models)
    assert model_events.body(models, "models-price-import")["created"] == 2  # calls, and batches
    told = [one["what"] for one in model_events.body(models, "models-audit")["items"]]
    assert sorted(told) == [
        f"{one}.{done}" for one in ("provider", "route") for done in ("added", "changed", "removed")
    ]


def test_usage_is_told_summed_up_and_held_event_by_event(usage: dict[str, Any]) -> None:
    assert {name: usage[name]["statusCode"] for name in usage_events.STATUSES} == usage_events.STATUSES
    # And the call that nobody came to settle was settled, with its record, and counts in the sums
    assert usage["usage-rollup-upkeep"] == {"expired": 1, "alarms": 0}
    assert usage["usage-rollup-rebuild"]["rebuilt"] >= 24
    (lost,) = usage_events.body(usage, "usage-records")["items"]
    assert (lost["error"], lost["estimated"]) == ("expired", True)
    sums = usage_events.body(usage, "usage-summaries")["items"]
    assert sum(one["requests"] for one in sums) == 9
    assert usage["usage-records-csv"]["body"].count("\n") == 10
    (status,) = [one for one in usage_events.body(usage, "usage-cap-status")["items"] if one["measure"] == "requests"]
    assert (status["usage"], status["percentage"]) == (9, "0.9")
    told = [one["what"] for one in usage_events.body(usage, "usage-audit")["items"]]
    assert {"cap.set", "cap.changed", "cap.removed"} <= set(told)


def test_events_that_ask_for_more_than_this_account_has_are_answered(answers: dict[str, Any]) -> None:
    # Given an account without a model service, and an admin who asks to delete a stream that is not there
    live = answers["health-live"]
    assert (live["statusCode"], json.loads(live["body"])) == (200, {"status": "ok"})

    # Then readiness says what fails in its own words, and the admin learns that there is nothing to delete
    for name in ("health-aws", "health-llm", "health-all"):
        told = json.loads(answers[name]["body"])
        assert {check["status"] for check in told["checks"]} <= {"ok", "failed", "timeout"}
        assert answers[name]["statusCode"] == (503 if told["status"] == "failed" else 200)
    assert answers["streams-delete-force"]["statusCode"] == 404


def test_each_function_may_do_what_it_did(
    aws: Account,
    broken: dict[str, Any],
    identity: dict[str, Any],
    packages: dict[str, Any],
    analyses: dict[str, Any],
    of_a_run: dict[str, Any],
    prompts: dict[str, Any],
    models: dict[str, Any],
    usage: dict[str, Any],
) -> None:
    # Given the AWS calls that the functions made for all the events
    assert set(aws.actions) == set(stack.functions()) - stack.web_functions()
    for function, used in aws.actions.items():
        # Then the function's role allows every one
        allowed = allowed_of(function)
        missing = {
            action
            for action in used - NEEDS_NO_PERMISSION
            if not any(fnmatchcase(action, pattern) for one in allowed for pattern in stack.many(one["Action"]))
        }
        assert not missing, f"{function} calls {sorted(missing)}, which no statement of its role allows"

        # And on the items that it was about
        refused = {one for one in aws.touched.get(function, ()) if not any(allows(each, one) for each in allowed)}
        assert not refused, f"{function} touches {sorted(refused)}, which no statement of its role allows"


def allowed_of(function: str) -> list[dict[str, Any]]:
    """What the role of a function allows."""
    policies = stack.functions()[function]["Policies"]
    return [one for one in stack.statements(policies) if one["Effect"] == "Allow"]


def allows(statement: dict[str, Any], touched: Touched) -> bool:
    """Whether a statement allows what was done with an item."""
    keys = statement.get("Condition", {}).get("ForAllValues:StringLike", {}).get("dynamodb:LeadingKeys", ["*"])
    return (
        touched.action in stack.many(statement["Action"])
        and any(fnmatchcase(touched.arn, arn) for arn in stack.many(stack.resolve(statement["Resource"])))
        and any(fnmatchcase(touched.key, key) for key in stack.many(stack.resolve(keys)))
    )


def test_alarms_and_dashboard_watch_metrics_that_were_published(
    aws: Account, broken: dict[str, Any], packages: dict[str, Any]
) -> None:
    # Given the metrics that the functions published for all the events, and those of ours that the template watches
    watched = {
        (stack.resolve(one["Namespace"]), dimensions(one["Dimensions"]), one["MetricName"])
        for one in (alarm["Properties"] for alarm in stack.resources("AWS::CloudWatch::Alarm").values())
    }
    shown = {
        (metric[0], frozenset(zip(metric[2::2], metric[3::2], strict=True)), metric[1])
        for widget in json.loads(stack.dashboard())["widgets"]
        for metric in widget["properties"].get("metrics", [])
    }
    ours = {one for one in watched | shown if str(one[0]).startswith("Weir/")}

    # Then all were published, but the one that needs points of CloudWatch's, which this account has not
    assert {name for _, _, name in ours - aws.metrics} == {"IteratorAge"}


def dimensions(described: list[dict[str, Any]]) -> frozenset[tuple[str, str]]:
    return frozenset((one["Name"], str(stack.resolve(one["Value"]))) for one in described)
