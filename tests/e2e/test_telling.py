"""An analysis told by a model over real HTTP, charged, and asked about."""

import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e.conftest import RATES, SINCE, Gateway
from tests.integration.conftest import Api, Json, Stack

MODEL = "weir-analysis"
WAIT_SECONDS = 120.0
pytestmark = pytest.mark.local_only  # the local stack names this model as that of its analyses


@pytest.fixture(scope="module")
def stream(deployed: Stack) -> Iterator[str]:
    """A stream of one shard."""
    kinesis, name = deployed.client("kinesis"), f"e2e-{uuid.uuid4().hex[:12]}"
    kinesis.create_stream(StreamName=name, ShardCount=1)
    yield name
    kinesis.delete_stream(StreamName=name, EnforceConsumerDeletion=True)


@pytest.fixture(scope="module")
def analyst(people: Callable[..., Api]) -> Api:
    return people("operator")


def analyzed(analyst: Api, **spec: Any) -> Json:
    """An analysis, once it has ended."""
    started = analyst("POST", "/analyses", spec)
    assert started.status_code == 202, started.text
    until = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < until:
        found: Json = analyst("GET", f"/analyses/{started.json()['analysis_id']}").json()
        if found["analysis"]["status"] != "RUNNING":
            return found
        time.sleep(0.5)
    raise AssertionError(f"the analysis did not end within {WAIT_SECONDS} s")


def ask(analyst: Api, document: Json, question: str) -> Json:
    answer = analyst("POST", f"/analyses/{document['analysis']['analysis_id']}/questions", {"question": question})
    assert answer.status_code == 200, answer.text
    told: Json = answer.json()
    return told


def once_told(made: Callable[[], Json], told: Callable[[Json], Json]) -> Json:
    """What is made, once a model tells of it."""
    until = time.monotonic() + WAIT_SECONDS
    while told(found := made())["by"] != "model":
        assert time.monotonic() < until, told(found)
        time.sleep(3)
    return found


def test_without_a_route_the_findings_speak_and_it_is_said_why(analyst: Api, stream: str) -> None:
    document = analyzed(analyst, streams=[stream], last="3h")

    assert document["analysis"]["status"] == "DONE", document["analysis"]
    assert document["told"]["by"] == "template"
    assert MODEL in document["told"]["note"]
    assert any(stream in one["text"] for one in document["told"]["sentences"])
    answer = ask(analyst, document, "How high is the write utilization?")
    assert answer["by"] == "template"
    assert {fact["name"].partition(",")[0] for fact in answer["facts"][:2]} == {"write utilization"}


def test_a_model_tells_what_the_facts_bear_and_is_charged_to_the_analyst(
    gateway: Gateway, api: Api, analyst: Api, stream: str
) -> None:
    # Given a route for analyses, to a model that makes a number up
    provider = f"{gateway.run}-an"
    route = {"model": MODEL, "targets": [{"provider": provider, "model": "teller"}], "roles": ["analysis", "operator"]}
    price = {"provider": provider, "model": "teller", "since": SINCE, "rates": RATES}
    assert api("POST", "/models/routes", route).status_code == 201
    made = api("POST", "/models/prices", price)
    assert made.status_code == 201
    try:
        # When a stream is analyzed and asked about, as soon as the route is seen: each process looks by itself
        document = once_told(lambda: analyzed(analyst, streams=[stream], last="3h"), lambda found: found["told"])
        answer = once_told(lambda: ask(analyst, document, "How high is the write utilization?"), lambda found: found)
    finally:
        assert api("DELETE", f"/models/routes/{MODEL}", **{"If-Match": "*"}).status_code == 204
        assert api("DELETE", f"/models/prices/{made.json()['price_id']}", **{"If-Match": "*"}).status_code == 204

    # Then it is told by the model, the number left out, and the answer likewise
    for told in (document["told"], answer):
        assert (told["by"], told["model"], len(told["sentences"])) == ("model", MODEL, 1)
        assert stream in told["sentences"][0]["text"]
        assert "987" not in str(told["sentences"])
        assert told["note"].startswith("1 sentence(s) were left out")
    assert answer["facts"][0]["stream"] == stream

    # And the analyst is charged for each of the calls: two for the text, two for the answer
    records = analyst("GET", f"/usage/records?model={MODEL}").json()["items"]
    charged = [record for record in records if record["status"] == 200]
    assert len(charged) >= 4
    assert {record["target"] for record in charged} == {"teller"}
