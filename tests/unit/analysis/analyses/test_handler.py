"""The routes: who may, in which form, and what is refused; on moto, as Lambda calls them."""

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.analysis.analyses.world import World
from tests.unit.streams.handler_calls import Context
from weir.analysis.analyses import wiring
from weir.runs import wiring as runs_wiring
from weir.runtime import pagination, settings

ROOT = Path(__file__).parents[4]
HOUR = {"from": "2026-11-21T10:00:00Z", "to": "2026-11-21T11:00:00Z"}
ASKED = {"streams": ["orders"], "range": HOUR, "workflows": ["performance"]}
NEEDED = {"WEIR_ANALYSES_TABLE": "analyses", "WEIR_ANALYSES_BUCKET": "analyses", "WEIR_RUNS_TABLE": "runs"}


@pytest.fixture(scope="module")
def module() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in NEEDED.items():
            patch.setenv(name, value)
        settings.forget()
        spec = importlib.util.spec_from_file_location("analyses_handler", ROOT / "functions/analyses/handler.py")
        assert spec is not None
        assert spec.loader is not None
        loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
        yield loaded
    settings.forget()


@pytest.fixture
def api(module: ModuleType, world: World, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(wiring, "deps", lambda: world)
    monkeypatch.setattr(pagination.secrets, "secret", lambda _: "s")
    monkeypatch.setenv("WEIR_CURSOR_SECRET_ARN", "cursor")
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)
    settings.forget()
    world.streams.add("orders")

    def call(event: str, *, body: Any = None, analysis_id: str = "", sub: str = "u-ann", **more: Any) -> dict[str, Any]:
        sent = json.loads((ROOT / "events" / f"{event}.json").read_text())
        sent["requestContext"]["authorizer"] |= {"sub": sub, "roles": more.pop("roles", "operator")}
        sent["requestContext"]["authorizer"] |= {"scopes": scopes} if (scopes := more.pop("scopes", "")) else {}
        sent["headers"].pop("Idempotency-Key", None)
        sent["headers"] |= more.pop("headers", {})
        sent["multiValueHeaders"] = {name: [value] for name, value in sent["headers"].items()}
        if body is not None:
            sent["body"] = json.dumps(body)
        if analysis_id:
            sent["path"] = f"/analyses/{analysis_id}"
        sent["queryStringParameters"] = more.pop("query", None)
        answer: dict[str, Any] = module.handler(sent, Context())
        return answer

    return call


def started(api: Any, world: World, *, run: bool = True, **who: Any) -> str:
    answer = api("analyses-start", body=ASKED, **who)
    assert answer["statusCode"] == 202, answer["body"]
    told = json.loads(answer["body"])
    assert answer["multiValueHeaders"]["Location"] == [f"/v1/analyses/{told['analysis_id']}"]
    if run:
        world.run(told["analysis_id"])
    return str(told["analysis_id"])


def test_an_analysis_is_started_watched_and_read(api: Any, world: World) -> None:
    # Given one that is under way
    analysis_id = started(api, world, run=False)
    answer = api("analyses-show", analysis_id=analysis_id)
    under_way = json.loads(answer["body"])
    assert (answer["statusCode"], under_way["analysis"]["status"], under_way["streams"]) == (200, "RUNNING", [])

    # When it is done
    world.run(analysis_id)
    told = json.loads(api("analyses-show", analysis_id=analysis_id)["body"])

    # Then JSON has the form that is described, and CSV and HTML are served as what they are
    assert set(told) >= set(under_way)
    assert told["analysis"]["status"] == "DONE"
    assert told["streams"][0]["findings"]
    for event, kind in (("analyses-csv", "text/csv; charset=utf-8"), ("analyses-html", "text/html; charset=utf-8")):
        answer = api(event, analysis_id=analysis_id)
        assert (answer["statusCode"], answer["multiValueHeaders"]["Content-Type"]) == (200, [kind])
        assert answer["multiValueHeaders"]["Vary"] == ["Accept"]


def test_what_is_answered_is_what_the_description_says(module: ModuleType, api: Any, world: World) -> None:
    analysis_id = started(api, world)
    module.Results.model_validate_json(api("analyses-show", analysis_id=analysis_id)["body"])


@pytest.mark.parametrize("event", ["analyses-csv", "analyses-html"])
def test_exports_are_there_once_it_is_done(api: Any, world: World, event: str) -> None:
    answer = api(event, analysis_id=started(api, world, run=False))
    assert answer["statusCode"] == 409
    assert json.loads(answer["body"])["type"].endswith("/analysis-running")


def test_what_no_answer_holds_is_elsewhere(
    module: ModuleType, api: Any, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    analysis_id = started(api, world)
    monkeypatch.setattr(module, "MOST_ANSWERED", 10)
    answer = api("analyses-html", analysis_id=analysis_id)
    assert answer["statusCode"] == 303
    (location,) = answer["multiValueHeaders"]["Location"]
    assert f"analyses/{analysis_id}/report.html" in location


def test_lists_are_of_ones_own_and_pages_go_on(api: Any, world: World) -> None:
    mine = [started(api, world, run=False, sub="u-lister") for _ in range(3)]
    started(api, world, run=False, sub="u-other")
    answer = json.loads(api("analyses-list", sub="u-lister", query={"limit": "2"})["body"])
    assert len(answer["items"]) == 2
    query = {"limit": "2", "cursor": answer["cursor"]}
    rest = json.loads(api("analyses-list", sub="u-lister", query=query)["body"])
    assert {one["analysis_id"] for one in answer["items"] + rest["items"]} == set(mine)
    assert rest["cursor"] is None
    # And another's cursor opens nothing
    assert api("analyses-list", sub="u-other", query=query)["statusCode"] == 400
    everybodys = json.loads(api("analyses-list", sub="u-admin", roles="admin", query={"limit": "200"})["body"])
    assert {one["analysis_id"] for one in everybodys["items"]} > set(mine)


def test_deleting_is_the_owners(api: Any, world: World) -> None:
    analysis_id = started(api, world)
    assert api("analyses-delete", analysis_id=analysis_id, sub="u-bob")["statusCode"] == 404
    assert api("analyses-delete", analysis_id=analysis_id)["statusCode"] == 204
    assert api("analyses-show", analysis_id=analysis_id)["statusCode"] == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"streams": []}, "streams"),
        ({"streams": ["orders"], "last": "1y"}, "last"),
        ({"streams": ["orders"], "compare_with": "none"}, "compare_with"),
        (ASKED | {"range": {"from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"}}, "range.from"),
        (ASKED | {"schedule": "nightly"}, "schedule"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_started(api: Any, world: World, body: Any, field: str) -> None:
    answer = api("analyses-start", body=body)
    assert answer["statusCode"] == 422
    assert field in [one["field"] for one in json.loads(answer["body"])["errors"]]
    assert world.executions.started == {}


@pytest.mark.parametrize("analysis_id", ["..", "-x", "a" * 81, "a%2Fb"])
def test_an_id_that_can_be_none_is_none(api: Any, analysis_id: str) -> None:
    assert api("analyses-show", analysis_id=analysis_id)["statusCode"] in {404, 422}


class NoRuns:
    """A runs table without a run, which tells what was looked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def head(self, run_id: str) -> None:
        self.asked.append(run_id)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> NoRuns:
    made = NoRuns()
    monkeypatch.setattr(runs_wiring, "runs_table", lambda: made)
    return made


def test_runs_are_looked_at_before_anything_is_started(api: Any, world: World, runs: NoRuns) -> None:
    answer = api("analyses-start", body=ASKED | {"runs": ["run-1"]})
    assert answer["statusCode"] == 422
    assert [one["field"] for one in json.loads(answer["body"])["errors"]] == ["runs.0"]
    assert runs.asked == ["run-1"]
    assert world.executions.started == {}


def test_who_may_not_read_runs_learns_nothing_of_them_by_an_analysis(api: Any, world: World, runs: NoRuns) -> None:
    # Given a key that may start analyses and no more
    answer = api("analyses-start", body=ASKED | {"runs": ["run-1"]}, scopes="analyses:read analyses:write")
    assert answer["statusCode"] == 403
    assert "runs:read" in json.loads(answer["body"])["detail"]
    assert (runs.asked, world.executions.started) == ([], {})
    # And it does without runs
    assert api("analyses-start", body=ASKED, scopes="analyses:read analyses:write")["statusCode"] == 202
