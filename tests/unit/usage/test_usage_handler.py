"""The routes of usage, event by event, on a table in memory: who sees what, pages, CSV, and who sets which caps."""

import importlib.util
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.usage.history import Past
from weir.identity.roles import scopes_of
from weir.runtime import aws, secrets, settings
from weir.usage import wiring
from weir.usage.caps import defaults_of
from weir.usage.models import Caller, Subject
from weir.usage.table import cap_id

ROOT = Path(__file__).parents[3]
SAMPLE = json.loads((ROOT / "events" / "users-show.json").read_text())
CAPS, ONE, STATUS = "/usage/caps", "/usage/caps/{cap_id}", "/usage/caps/status"
RECORDS, SUMMARIES, AUDIT = "/usage/records", "/usage/summaries", "/usage/audit"
NEW = {"subject": {"kind": "user", "id": "ann"}, "window": "day", "measure": "cost", "limit": "25.00"}
ANNS = cap_id(Subject("user", "ann"), "day", "cost")
DORAS = cap_id(Subject("user", "dora"), "day", "cost")
Json = dict[str, Any]


class Context:
    """As much of the Lambda context as is read."""

    function_name = "usage"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:usage"
    aws_request_id = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"


class Api:
    """The function, as API Gateway calls it, over a past that is in the table."""

    def __init__(self, past: Past, patch: pytest.MonkeyPatch) -> None:
        self.past = past
        patch.setattr(aws, "client", lambda service, **_: past.client)
        patch.setattr(secrets, "secret", lambda arn: "a secret of cursors")
        for name in ("USAGE_TABLE", "CURSOR_SECRET_ARN", "IDEMPOTENCY_TABLE"):
            patch.setenv(f"WEIR_{name}", "usage")
        settings.forget()
        for cached in (wiring.deps, wiring.meter, wiring.summaries, wiring.rolling):
            cached.cache_clear()
        made = replace(
            wiring.deps(),
            table=past.table,
            counters=past.counters,
            caps=past.store,
            clock=past.clock,
            defaults=defaults(),
        )
        patch.setattr(wiring, "deps", lambda: made)
        spec = importlib.util.spec_from_file_location("unit_usage", ROOT / "functions" / "usage" / "handler.py")
        assert spec is not None
        assert spec.loader is not None
        self.module: ModuleType = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, spec.name, self.module)
        spec.loader.exec_module(self.module)
        patch.setattr(self.module, "SYSTEM", past.clock)

    def __call__(
        self,
        method: str,
        resource: str,
        body: Any = None,
        *,
        who: str = "ann",
        key: str = "",
        headers: dict[str, str] | None = None,
        query: dict[str, str] | None = None,
        **parameters: str,
    ) -> tuple[int, Any, dict[str, str]]:
        """Status, body and headers. Dora is an admin, and comes with a token unless a key is named."""
        path = resource.format(**parameters)
        event = json.loads(json.dumps(SAMPLE)) | {
            "resource": resource,
            "path": path,
            "httpMethod": method,
            "pathParameters": parameters or None,
            "body": None if body is None else json.dumps(body),
            "queryStringParameters": query,
            "multiValueQueryStringParameters": {name: [value] for name, value in (query or {}).items()} or None,
        }
        event["headers"] |= {"Content-Type": "application/json", **(headers or {})}
        event["multiValueHeaders"] = {name: [value] for name, value in event["headers"].items()}
        event["requestContext"] |= {"path": f"/v1{path}", "resourcePath": resource, "httpMethod": method}
        role = "admin" if who in {"dora", "eve"} else "member"
        event["requestContext"]["authorizer"] |= {
            "sub": who,
            "username": who,
            "roles": role,
            "groups": "red",
            "scopes": " ".join(scopes_of([role])),
            **({"credential": "key", "credential_id": key} if key else {}),
        }
        answer = self.module.handler(event, Context())
        told = {name: values[0] for name, values in answer["multiValueHeaders"].items()}
        is_json = "json" in told.get("Content-Type", "")
        return answer["statusCode"], json.loads(answer["body"]) if is_json else answer.get("body"), told

    def pages(self, resource: str, **asked: Any) -> list[Json]:
        """All items of a list, page by page."""
        found: list[Json] = []
        query = asked.pop("query", {})
        while True:
            status, page, _ = self("GET", resource, query=query, **asked)
            assert status == 200, page
            found += page["items"]
            if page["cursor"] is None:
                return found
            query = {**query, "cursor": page["cursor"]}


def defaults() -> Any:
    return defaults_of("day requests 1000, day cost 10")


@pytest.fixture
def api() -> Iterator[Api]:
    with pytest.MonkeyPatch.context() as patch:
        yield Api(Past(40, days=3), patch)
    settings.forget()
    for cached in (wiring.deps, wiring.meter, wiring.summaries, wiring.rolling):
        cached.cache_clear()


# Records


def test_people_see_their_own_records_and_admins_everybodys(api: Api) -> None:
    of_ann = [one.record_id for one in api.past.plain if one.caller.user == "ann"]
    assert sorted(one["record_id"] for one in api.pages(RECORDS, query={"limit": "7"})) == sorted(of_ann)
    everybodys = api.pages(RECORDS, who="dora", query={"user": "all", "limit": "7"})
    assert sorted(one["record_id"] for one in everybodys) == sorted(one.record_id for one in api.past.plain)
    of_bob = api.pages(RECORDS, who="dora", query={"user": "bob"})
    assert {one["user"] for one in of_bob} == {"bob"}
    assert api.pages(RECORDS, who="dora") == []


@pytest.mark.parametrize("resource", [RECORDS, SUMMARIES])
@pytest.mark.parametrize("user", ["all", "bob"])
def test_nobody_sees_what_others_have_used(api: Api, resource: str, user: str) -> None:
    status, problem, _ = api("GET", resource, query={"user": user})
    assert (status, problem["status"]) == (403, 403)


def test_a_cursor_of_one_list_is_none_of_another(api: Api) -> None:
    _, page, _ = api("GET", RECORDS, query={"limit": "1"})
    assert api("GET", RECORDS, query={"limit": "1", "status": "200", "cursor": page["cursor"]})[0] == 400
    assert api("GET", RECORDS, query={"limit": "1", "cursor": page["cursor"]}, who="bob")[0] == 400


def test_records_are_filtered(api: Api) -> None:
    told = api.pages(RECORDS, who="dora", query={"user": "all", "model": "gpt", "status": "500"})
    expected = [one.record_id for one in api.past.plain if (one.model, one.status) == ("gpt", 500)]
    assert sorted(one["record_id"] for one in told) == sorted(expected)
    since = "2026-11-20T00:00:00+02:00"
    told = api.pages(RECORDS, query={"from": since, "to": "2026-11-21T00:00:00Z"})
    assert all("2026-11-19T22:00" <= one["admitted_at"] < "2026-11-21" for one in told)


def test_no_day_is_looked_through_of_which_there_can_be_no_record(api: Api) -> None:
    for query in ({"from": "2000-01-01T00:00:00Z"}, {"to": "2900-01-01T00:00:00Z", "from": "2026-11-01T00:00:00Z"}):
        api.past.client.called.clear()
        told = api.pages(RECORDS, who="dora", query={**query, "user": "all"})
        assert len(told) == len(api.past.plain)
        assert len(api.past.client.called) < 500
    assert api.pages(RECORDS, query={"from": "2900-01-01T00:00:00Z", "to": "2901-01-01T00:00:00Z"}) == []
    assert api.pages(RECORDS, query={"from": "2001-01-01T00:00:00Z", "to": "2002-01-01T00:00:00Z"}) == []


def test_records_as_csv_tell_where_the_next_page_is(api: Api) -> None:
    status, text, headers = api("GET", RECORDS, query={"limit": "3"}, headers={"Accept": "text/csv"})
    assert (status, headers["Content-Type"]) == (200, "text/csv")
    assert len(text.splitlines()) == 4
    assert headers["Link"].startswith("</v1/usage/records?limit=3&cursor=")
    _, all_of_it, headers = api("GET", RECORDS, headers={"Accept": "text/csv;q=1"})
    assert len(all_of_it.splitlines()) == 1 + len([one for one in api.past.plain if one.caller.user == "ann"])
    assert "Link" not in headers


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "201"},
        {"limit": "0"},
        {"from": "2026-11-21T00:00:00Z", "to": "2026-11-21T00:00:00Z"},
        {"from": "yesterday"},
        {"from": "2026-11-21T00:00:00"},
        {"status": "99"},
        {"user": "a b"},
        {"to": "0001-01-05T00:00:00Z"},
        {"from": "9999-12-31T00:00:00Z", "to": "9999-12-31T23:00:00Z"},
    ],
)
def test_what_can_not_be_asked_of_records_is_told(api: Api, query: dict[str, str]) -> None:
    status, problem, _ = api("GET", RECORDS, query=query)
    assert status == 422
    assert problem["errors"]


# Summaries


def test_summaries_are_told_page_by_page_as_the_records_say(api: Api) -> None:
    query = {"period": "day", "by": "model,group", "user": "all", "limit": "4"}
    items = api.pages(SUMMARIES, who="dora", query=query)
    for item in items:
        some = [
            one
            for one in api.past.plain
            if one.model == item["model"]
            and item["group"] in (one.caller.groups or ("",))
            and item["begins_at"] <= one.admitted_at.isoformat().replace("+00:00", "Z") < item["ends_at"]
        ]
        assert item["requests"] == len(some)
        assert item["tokens"] == sum(
            one.input + one.output + one.cache_read + one.cache_write_5m + one.cache_write_1h for one in some
        )
        assert (item["user"], item["key"], item["period"]) == (None, None, "day")
    places = [(one["begins_at"], one["model"], one["group"]) for one in items]
    assert places == sorted(set(places))
    without = api.pages(SUMMARIES, who="dora", query={**query, "by": "model"})
    assert sum(one["requests"] for one in without) == len(api.past.plain)


def test_the_running_period_is_told_as_one_that_is_not_complete(api: Api) -> None:
    today = api.pages(SUMMARIES, query={"period": "week"})[-1]
    assert (today["begins_at"], today["complete"]) == ("2026-11-16T00:00:00Z", False)
    assert api.pages(SUMMARIES, query={"period": "week"})[-2]["complete"] is True


@pytest.mark.parametrize(
    "query",
    [
        {"period": "year"},
        {"by": "cost"},
        {"by": "model,"},
        {"period": "hour", "from": "2026-01-01T00:00:00Z"},
        {"to": "0001-01-05T00:00:00Z"},
        {"from": "9999-12-31T00:00:00Z", "to": "9999-12-31T23:00:00Z"},
    ],
)
def test_what_can_not_be_summed_up_is_told(api: Api, query: dict[str, str]) -> None:
    assert api("GET", SUMMARIES, query=query)[0] == 422


# Caps


def test_a_cap_is_set_listed_changed_and_deleted(api: Api) -> None:
    status, made, headers = api("POST", CAPS, {**NEW, "mode": "clamp"}, who="dora")
    assert (status, made["cap_id"], made["limit"], made["mode"]) == (201, ANNS, "25.00", "clamp")
    assert headers["Location"] == f"/v1/usage/caps/{ANNS}"
    assert api.pages(CAPS, who="dora", query={"limit": "1"}) == [made]
    assert api("POST", CAPS, NEW, who="dora")[0] == 409

    change = {"limit": "50", "enforced_from": "2026-12-01T01:00:00+01:00"}
    status, changed, after = api("PUT", ONE, change, who="dora", headers={"If-Match": headers["ETag"]}, cap_id=ANNS)
    assert (status, changed["limit"], changed["mode"]) == (200, "50.00", "strict")
    assert changed["enforced_from"] == "2026-12-01T00:00:00Z"
    assert changed["created_by"] == "dora"
    for method, body in (("PUT", change), ("DELETE", None)):
        assert api(method, ONE, body, who="dora", headers={"If-Match": headers["ETag"]}, cap_id=ANNS)[0] == 412
    assert api("DELETE", ONE, who="dora", headers={"If-Match": after["ETag"]}, cap_id=ANNS)[0] == 204
    assert api("DELETE", ONE, who="dora", cap_id=ANNS)[0] == 404
    assert api("PUT", ONE, change, who="dora", cap_id=ANNS)[0] == 404


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"limit": 5}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"limit": "1e3"}, "limit"),
        ({"limit": 1.5}, "limit"),
        ({"limit": True}, "limit"),
        ({"measure": "tokens"}, "limit"),
        ({"measure": "tokens", "limit": -1}, "limit"),
        ({"measure": "calls"}, "measure"),
        ({"window": "week"}, "window"),
        ({"subject": {"kind": "user"}}, "subject"),
        ({"subject": {"kind": "everyone", "id": "x"}}, "subject"),
        ({"subject": {"kind": "user", "id": "a#b"}}, "subject"),
        ({"shards": 4}, "shards"),
        ({"subject": {"kind": "everyone"}, "shards": 65}, "shards"),
        ({"enforced_from": "2026-12-01T00:00:00"}, "enforced_from"),
        ({"price": 1}, "price"),
    ],
)
def test_what_is_no_cap_is_refused_by_field_and_nothing_is_set(api: Api, changes: Json, field: str) -> None:
    status, problem, _ = api("POST", CAPS, {**NEW, **changes}, who="dora")
    assert status == 422
    assert any(one["field"].startswith(field) for one in problem["errors"]), problem
    assert api.pages(CAPS, who="dora") == []


def test_a_limit_of_another_measure_is_refused_in_a_change(api: Api) -> None:
    api("POST", CAPS, NEW, who="dora")
    status, problem, _ = api("PUT", ONE, {"limit": 5}, who="dora", cap_id=ANNS)
    assert (status, problem["errors"][0]["field"]) == (422, "limit")


@pytest.mark.parametrize(
    ("method", "resource", "body"), [("POST", CAPS, NEW), ("PUT", ONE, {"limit": "1"}), ("DELETE", ONE, None)]
)
def test_nobody_but_admins_sets_caps(api: Api, method: str, resource: str, body: Any) -> None:
    api("POST", CAPS, NEW, who="dora")
    parameters = {"cap_id": ANNS} if resource == ONE else {}
    assert api(method, resource, body, **parameters)[0] == 403
    assert api.pages(CAPS, who="dora")[0]["limit"] == "25.00"


def test_an_admin_does_not_raise_their_own_cap_and_another_may(api: Api) -> None:
    # Given Dora, an admin, who has the default of $10 a day
    own = {**NEW, "subject": {"kind": "user", "id": "dora"}}
    for looser in ({"limit": "10.01"}, {"enforced": False, "limit": "10"}, {"mode": "expected", "limit": "10"}):
        status, problem, _ = api("POST", CAPS, {**own, **looser}, who="dora")
        assert (status, problem["type"].rpartition("/")[2]) == (403, "own-cap")
    # When she sets a tighter one / Then that is hers, and she does not get rid of it
    assert api("POST", CAPS, {**own, "limit": "5"}, who="dora")[0] == 201
    for looser in ({"limit": "6"}, {"limit": "5", "enforced": False}, {"limit": "5", "mode": "clamp"}):
        assert api("PUT", ONE, looser, who="dora", cap_id=DORAS)[0] == 403
    grace = {"limit": "5", "enforced_from": "2026-12-01T00:00:00Z"}
    assert api("PUT", ONE, grace, who="dora", cap_id=DORAS)[0] == 403
    assert api("DELETE", ONE, who="dora", cap_id=DORAS)[0] == 403
    # But she may tighten it, and Eve may loosen it
    assert api("PUT", ONE, {"limit": "4"}, who="dora", cap_id=DORAS)[0] == 200
    assert api("PUT", ONE, {"limit": "40"}, who="eve", cap_id=DORAS)[0] == 200
    # Nor does a key of hers loosen its own
    of_key = {**NEW, "subject": {"kind": "key", "id": "k9"}}
    assert api("POST", CAPS, of_key, who="eve")[0] == 201
    known_as = cap_id(Subject("key", "k9"), "day", "cost")
    assert api("PUT", ONE, {"limit": "99"}, who="dora", key="k9", cap_id=known_as)[0] == 403
    assert api("PUT", ONE, {"limit": "99"}, who="dora", key="k8", cap_id=known_as)[0] == 200


@pytest.mark.parametrize("if_match", ["*", '"{first}", "{second}"'])
def test_a_cap_of_their_own_is_compared_with_what_it_is_when_it_is_changed(api: Api, if_match: str) -> None:
    # Given Dora's cap of $10, which she may set to what it is
    own = {**NEW, "subject": {"kind": "user", "id": "dora"}, "limit": "10"}
    first = int(api("POST", CAPS, own, who="eve")[2]["ETag"].strip('"'))
    # When Eve tightens it just after Dora's limit was held against it
    changes = [{"limit": "5"}]

    def eve_is_faster(operation: str, request: Json) -> None:
        reads = api.past.client.called[-2:] == ["get_item", "get_item"]
        if reads and changes and operation == "get_item":
            assert api("PUT", ONE, changes.pop(), who="eve", cap_id=DORAS)[0] == 200

    api.past.client.called.clear()
    api.past.client.before = eve_is_faster
    told = {"If-Match": if_match.format(first=first, second=first + 1)}
    status, _, _ = api("PUT", ONE, {"limit": "10"}, who="dora", headers=told, cap_id=DORAS)
    # Then Eve's holds
    assert not changes
    assert (status, api.pages(CAPS, who="eve")[0]["limit"]) == (412, "5.00")


def test_people_see_the_caps_that_hold_for_them(api: Api) -> None:
    for subject in ({"kind": "group", "id": "red"}, {"kind": "group", "id": "blue"}, {"kind": "everyone"}):
        assert api("POST", CAPS, {**NEW, "subject": subject}, who="dora")[0] == 201
    told = [(one["subject"]["kind"], one["subject"]["id"], one["measure"], one["default"]) for one in api.pages(CAPS)]
    assert told == [
        ("user", "ann", "requests", True),
        ("user", "ann", "cost", True),
        ("group", "red", "cost", False),
        ("everyone", "everyone", "cost", False),
    ]


def test_a_status_tells_usage_limit_and_reset(api: Api) -> None:
    world = api.past
    for _ in range(3):
        world.settle(world.admit())
    world.admit()
    _, told, _ = api("GET", STATUS)
    requests, cost = told["items"]
    assert (requests["usage"], requests["reserved"], requests["limit"], requests["percentage"]) == (4, 1, 1000, "0.4")
    assert (requests["resets_at"], requests["exceeded"]) == ("2026-11-22T00:00:00Z", False)
    assert cost["limit"] == "10.00"
    assert cost["usage"].startswith("0.00")
    assert len(world.records()) == len(api.past.plain) + 3


def test_a_status_of_others_is_for_admins(api: Api) -> None:
    query = {"kind": "user", "id": "ann"}
    assert api("GET", STATUS, query=query, who="bob")[0] == 403
    _, told, _ = api("GET", STATUS, query=query, who="dora")
    assert [one["measure"] for one in told["items"]] == ["requests", "cost"]
    assert api("GET", STATUS, query={"kind": "group", "id": "red"}, who="dora")[1] == {"items": []}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"kind": "user"}, "id"),
        ({"kind": "user", "id": "everyone"}, "id"),
        ({"kind": "group", "id": "everyone"}, "id"),
        ({"kind": "everyone", "id": "ann"}, "id"),
        ({"id": "ann"}, "kind"),
    ],
)
def test_a_status_of_what_is_no_subject_is_refused_by_field(api: Api, query: dict[str, str], field: str) -> None:
    status, problem, _ = api("GET", STATUS, query=query, who="dora")
    assert (status, [one["field"] for one in problem["errors"]]) == (422, [field])


def test_a_split_cap_is_told_as_one(api: Api) -> None:
    cap = {"subject": {"kind": "everyone"}, "window": "hour", "measure": "requests", "limit": 100, "shards": 4}
    assert api("POST", CAPS, cap, who="dora")[0] == 201
    api.past.time.pass_by(31)
    for _ in range(5):
        api.past.settle(api.past.admit(Caller("bob", "bob")))
    told = {one["subject"]["kind"]: one for one in api("GET", STATUS, who="cleo")[1]["items"]}
    assert (told["everyone"]["usage"], told["everyone"]["limit"]) == (5, 100)


def test_a_cap_is_read_with_the_tag_that_a_change_may_name(api: Api) -> None:
    _, made, headers = api("POST", CAPS, NEW, who="dora")
    status, read, tagged = api("GET", ONE, who="eve", cap_id=ANNS)
    assert (status, read, tagged["ETag"]) == (200, made, headers["ETag"])
    assert api("GET", ONE, who="ann", cap_id=ANNS)[0] == 403
    assert api("GET", ONE, who="dora", cap_id="a")[0] == 404
    _, _, after = api("PUT", ONE, {"limit": "30"}, who="dora", headers={"If-Match": headers["ETag"]}, cap_id=ANNS)
    assert api("GET", ONE, who="dora", cap_id=ANNS)[2]["ETag"] == after["ETag"] != headers["ETag"]


# The audit


def test_who_changed_a_cap_is_told_with_what_it_was_and_is(api: Api) -> None:
    # Given a cap that is set, changed by another admin, and removed
    api("POST", CAPS, NEW, who="dora")
    api.past.time.pass_by(1)
    api("PUT", ONE, {"limit": "30", "mode": "clamp"}, who="eve", cap_id=ANNS)
    api.past.time.pass_by(1)
    api("DELETE", ONE, who="dora", cap_id=ANNS)
    # Then each of it is told, the newest first, page by page
    found = api.pages(AUDIT, who="dora", query={"limit": "1"})
    assert [(one["what"], one["who"], one["subject"]) for one in found] == [
        ("cap.removed", "dora", ANNS),
        ("cap.changed", "eve", ANNS),
        ("cap.set", "dora", ANNS),
    ]
    assert found[1]["detail"] == {"limit": "25.00 -> 30.00", "mode": "strict -> clamp"}
    assert found[2]["detail"] | {"subject": "user ann", "window": "day", "limit": "25.00"} == found[2]["detail"]
    assert found[2]["at"] == "2026-11-21T12:00:00Z"
    assert found[2]["source_ip"]
    assert api("GET", AUDIT, who="ann")[0] == 403


def test_what_was_refused_is_not_told_as_a_change(api: Api) -> None:
    api("POST", CAPS, NEW, who="dora")
    for method, resource, body in (("POST", CAPS, NEW), ("PUT", ONE, {"limit": "9"}), ("DELETE", ONE, None)):
        told = {"cap_id": ANNS} if resource == ONE else {}
        assert api(method, resource, body, who="dora", headers={"If-Match": '"1"'}, **told)[0] in {409, 412}
    assert [one["what"] for one in api.pages(AUDIT, who="dora")] == ["cap.set"]
