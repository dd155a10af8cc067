"""POST /analyses/{id}/questions, as Lambda calls it, with the settings that its function has and no more; on moto."""

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.analysis.analyses.world import ANN, World
from tests.unit.streams.handler_calls import Context
from weir.analysis.analyses.contract import AnalysisSpec
from weir.analysis.analyses.models import Failure
from weir.analysis.analyses.starting import start
from weir.runtime import settings

ROOT = Path(__file__).parents[4]
HOUR = {"from": "2026-11-21T10:00:00Z", "to": "2026-11-21T11:00:00Z"}
ASKED = {"streams": ["orders"], "range": HOUR, "workflows": ["performance"]}
NEEDED = {
    "WEIR_ANALYSES_TABLE": "analyses",
    "WEIR_ANALYSES_BUCKET": "analyses",
    "WEIR_USAGE_TABLE": "usage",
    "WEIR_LLM_TABLE": "llm",
}


@pytest.fixture(scope="module")
def module() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in NEEDED.items():
            patch.setenv(name, value)
        settings.forget()
        spec = importlib.util.spec_from_file_location("questions_handler", ROOT / "functions/questions/handler.py")
        assert spec is not None
        assert spec.loader is not None
        loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
        yield loaded
    settings.forget()


class Reading(World):
    """What a question may reach: no state machine, of which its function knows nothing."""

    @property
    def machine(self) -> Any:
        raise AssertionError("a question asked for the state machine")


@pytest.fixture
def ask(module: ModuleType, world: World, monkeypatch: pytest.MonkeyPatch) -> Any:
    reading = Reading.__new__(Reading)
    for name in ("clock", "analyses", "prompts", "bucket"):
        object.__setattr__(reading, name, getattr(world, name))
    monkeypatch.setattr(module, "_deps", lambda: reading)
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)
    settings.forget()
    world.streams.add("orders")

    def call(analysis_id: str, question: Any = "How high is the write utilization?", sub: str = ANN.sub) -> Any:
        sent = json.loads((ROOT / "events/questions-ask.json").read_text())
        sent["requestContext"]["authorizer"] |= {"sub": sub, "roles": "operator"}
        sent["path"] = f"/analyses/{analysis_id}/questions"
        sent["body"] = json.dumps({"question": question})
        answer = module.handler(sent, Context())
        return answer["statusCode"], json.loads(answer["body"])

    return call


def begun(world: World) -> str:
    return start(AnalysisSpec.model_validate(ASKED), ANN, world).analysis_id


def test_a_question_is_answered_from_the_facts(ask: Any, world: World) -> None:
    status, answer = ask(world.analyzed(ASKED))

    assert (status, answer["by"]) == (200, "template")
    assert {fact["stream"] for fact in answer["facts"]} == {"orders"}
    assert answer["related"]


def test_one_that_is_under_way_or_has_failed_has_no_answer_yet(ask: Any, world: World) -> None:
    analysis_id = begun(world)
    status, problem = ask(analysis_id)
    assert (status, problem["type"].rpartition("/")[2]) == (409, "analysis-running")

    world.analyses.fail(analysis_id, Failure("Collect", "Unavailable", "AWS did not answer."))
    assert ask(analysis_id)[0] == 409


def test_anothers_is_none(ask: Any, world: World) -> None:
    assert ask(world.analyzed(ASKED), sub="u-bob")[0] == 404
    assert ask("none-such")[0] == 404


def test_one_whose_results_are_gone_says_so(ask: Any, world: World) -> None:
    analysis_id = world.analyzed(ASKED)
    world.bucket.delete_all(analysis_id)

    status, problem = ask(analysis_id)
    assert (status, problem["type"].rpartition("/")[2]) == (404, "analysis-not-kept")


@pytest.mark.parametrize("question", ["", "a" * 1_001, None, 5])
def test_what_is_no_question_is_refused(ask: Any, world: World, question: Any) -> None:
    assert ask(world.analyzed(ASKED), question)[0] == 422
