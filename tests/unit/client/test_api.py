"""The API as calls: what is asked again, what is an error, and what an error tells."""

import json

import httpx
import pytest

from client.api import ApiError, Unreachable, UploadFailed
from client.target import Target
from tests.unit.client.answers import FakeApi, ok, problem

STARTED = {"run_id": "r-1"}


def test_a_busy_api_is_asked_again_after_the_time_it_names() -> None:
    # Given an API that is throttled once, unavailable once, and then answers
    fake = FakeApi([problem(429, headers={"Retry-After": "7"}), problem(503), ok(STARTED, 202)])

    # When a run is started
    started = fake.api.start_run({"load": {"records": 1}})

    # Then the answer is the last one, after the named time and then a jittered one
    assert started == STARTED
    assert fake.slept == [7, 0.5]

    # And it was one request to the API: the same key, the same request id, the same body
    assert len({request.headers["Idempotency-Key"] for request in fake.requests}) == 1
    assert len({request.headers["X-Request-Id"] for request in fake.requests}) == 1
    assert json.loads(fake.requests[2].content) == {"load": {"records": 1}}


def test_two_starts_are_two_runs() -> None:
    fake = FakeApi([ok(STARTED, 202)])
    fake.api.start_run({})
    fake.api.start_run({})
    assert fake.requests[0].headers["Idempotency-Key"] != fake.requests[1].headers["Idempotency-Key"]


@pytest.mark.parametrize("after", ["99999", "Fri, 21 Nov 2026 14:05:00 GMT", "\u00b2", ""])
def test_no_wait_is_longer_than_half_a_minute(after: str) -> None:
    answer = problem(503)
    answer.headers = httpx.Headers({"Retry-After": after} if after else {}, encoding="utf-8")
    fake = FakeApi([answer])
    with pytest.raises(ApiError):
        fake.api.run("r-1")
    assert len(fake.requests) == 6
    assert max(fake.slept) <= 30


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422, 500])
def test_a_refusal_is_not_asked_again(status: int) -> None:
    fake = FakeApi([problem(status)])
    with pytest.raises(ApiError) as raised:
        fake.api.start_run({})
    assert raised.value.status == status
    assert len(fake.requests) == 1


def test_a_key_that_is_still_at_work_is_waited_for() -> None:
    fake = FakeApi([problem(409, headers={"Retry-After": "1"}), ok(STARTED, 202)])
    assert fake.api.start_run({}) == STARTED


def test_a_lost_connection_is_tried_again_with_the_same_key() -> None:
    fake = FakeApi([httpx.ReadError("reset"), ok(STARTED, 202)])
    assert fake.api.start_run({}) == STARTED
    assert fake.requests[0].headers["Idempotency-Key"] == fake.requests[1].headers["Idempotency-Key"]


def test_an_api_that_never_answers_is_told_with_what_to_do() -> None:
    fake = FakeApi([httpx.ConnectError("refused")])
    with pytest.raises(Unreachable, match=r"Nothing answers at http://127.0.0.1:1/v1 \(refused\). `make up` starts"):
        fake.api.run("r-1")


def test_a_problem_tells_fields_next_step_and_request_id() -> None:
    # Given a refusal that names a field
    errors = [{"field": "stream.shards", "message": "at least 1"}]
    fake = FakeApi([problem(422, slug="invalid", errors=errors)])

    # When it is met
    with pytest.raises(ApiError) as raised:
        fake.api.start_run({})

    # Then its text holds all that a person needs
    assert str(raised.value) == (
        "Oops: It broke.\n"
        "  stream.shards: at least 1\n"
        "Correct what is named and send it again; nothing was created.\n"
        "[status 422, request req-1]"
    )
    assert raised.value.slug == "invalid"


def test_what_api_gateway_refuses_by_itself_is_told_too() -> None:
    fake = FakeApi([httpx.Response(403, json={"message": "Missing Authentication Token"})])
    with pytest.raises(ApiError, match="Forbidden: Missing Authentication Token"):
        fake.api.run("r-1")


@pytest.mark.parametrize("answer", [httpx.Response(502, text="<html>"), httpx.Response(500, content=b"\xff")])
def test_an_answer_that_is_no_json_is_an_error_like_any_other(answer: httpx.Response) -> None:
    with pytest.raises(ApiError, match="search the logs"):
        FakeApi([answer]).api.run("r-1")


def test_an_address_that_is_not_weirs_is_told() -> None:
    with pytest.raises(ApiError, match="Not Weir's API"):
        FakeApi([httpx.Response(200, text="<html>welcome</html>")]).api.run("r-1")


def test_runs_are_read_page_by_page_up_to_the_most() -> None:
    # Given two pages
    pages = [{"items": [{"n": 1}, {"n": 2}], "cursor": "c2"}, {"items": [{"n": 3}], "cursor": None}]
    fake = FakeApi([ok(page) for page in pages])

    # When more are asked for than there are
    found = list(fake.api.runs(5))

    # Then all come, and the second page was asked for with the first's cursor
    assert [one["n"] for one in found] == [1, 2, 3]
    assert fake.requests[1].url.params["cursor"] == "c2"
    assert fake.requests[1].url.params["limit"] == "5"


def test_a_run_id_can_not_leave_its_place_in_the_path() -> None:
    fake = FakeApi([ok({"run_id": "x"})])
    fake.api.run("../health?check=all")
    assert fake.requests[0].url.raw_path == b"/v1/runs/..%2Fhealth%3Fcheck%3Dall"


def test_health_that_failed_is_an_answer_and_not_an_error() -> None:
    fake = FakeApi([ok({"status": "failed", "checks": []}, 503)])
    assert fake.api.health("aws")["status"] == "failed"
    assert len(fake.requests) == 1


@pytest.mark.parametrize("answer", [problem(503), problem(400), httpx.Response(503, text="down")])
def test_a_health_route_that_fails_is_an_error(answer: httpx.Response) -> None:
    with pytest.raises(ApiError):
        FakeApi([answer]).api.health(None)


def test_lines_are_uploaded_with_their_length_and_begin_anew_when_tried_again() -> None:
    # Given storage that breaks off once and is busy once
    fake = FakeApi([httpx.WriteError("reset"), httpx.Response(503), httpx.Response(200)])
    place = {"url": "http://127.0.0.1:1/b/k?sig=1", "method": "PUT", "headers": {"Content-Type": "application/jsonl"}}

    # When two chunks are uploaded
    fake.api.upload(place, lambda: iter([b"one\n", b"two\n"]), 8)

    # Then each try carried all of them, their length, and the headers that were signed
    assert [request.content for request in fake.requests] == [b"one\ntwo\n"] * 3
    assert fake.requests[0].headers["Content-Length"] == "8"
    assert "Transfer-Encoding" not in fake.requests[0].headers
    assert fake.requests[0].headers["Content-Type"] == "application/jsonl"


def test_an_upload_that_is_refused_says_what_the_storage_said() -> None:
    fake = FakeApi([httpx.Response(403, text="SignatureDoesNotMatch")])
    with pytest.raises(UploadFailed, match="403: SignatureDoesNotMatch"):
        fake.api.upload({"url": "http://x/", "method": "PUT", "headers": {}}, lambda: [b"a"], 1)


def test_a_local_api_is_reached_past_any_proxy() -> None:
    assert Target("http://127.0.0.1:4566/v1").is_local
    assert not Target("https://abc.execute-api.us-east-1.amazonaws.com/v1").is_local
