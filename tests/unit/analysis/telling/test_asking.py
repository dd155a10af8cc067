"""Questions are answered from the facts alone, with the facts that were used, and what else could be asked."""

import json
from typing import Any

import pytest

from tests.unit.analysis.telling.analyses import Says, Silent, document, sentences
from weir.analysis.telling.asking import Answered, answer
from weir.analysis.telling.prompts import QUESTION, Prompt, shipped


def answered(question: str, model: Any = None) -> Answered:
    return answer(document(), question, model, shipped()[QUESTION])


@pytest.mark.parametrize(
    ("question", "facts"),
    [
        ("What does orders cost?", ["cost of a month"]),
        ("How many shards has orders?", ["open shards"]),
        ("Which stream is slow?", ["iterator age"]),
        ("write utilization?", ["write utilization p99"]),
        ("How many shards has clicks-2024?", []),
        ("Who are you?", []),
        ("How many shards has orders-eu?", ["open shards"]),  # of no stream that it names: of any
        ("How many shards has orders? And clicks?", ["open shards"]),
    ],
)
def test_without_a_model_the_facts_that_match_are_the_answer(question: str, facts: list[str]) -> None:
    one = answered(question)

    assert [fact["name"] for fact in one.facts] == facts
    assert one.by == "template"
    assert one.note.startswith("No model is configured")
    if not facts:
        assert [said.text for said in one.sentences] == ["The facts of this analysis do not answer that."]


def test_a_model_answers_with_the_facts_that_it_used() -> None:
    model = Says(sentences(("orders costs $21.90 a month.".replace(" a month", ""), ["f4"])))

    one = answered("What does orders cost?", model)

    assert (one.by, one.to_dict()["answer"]) == ("model", "orders costs $21.90.")
    assert [(fact["id"], fact["value"]) for fact in one.facts] == [("f4", 21.9)]
    assert json.loads(model.asked[0][1])["question"] == "What does orders cost?"
    assert "What does orders cost?" not in model.asked[0][0]


def test_a_number_of_the_question_or_of_nowhere_is_no_answer() -> None:
    model = Says(sentences(("Yes, orders needs 17 shards.", ["f3"])))

    one = answered("Does orders need 17 shards?", model)

    assert one.by == "template"
    assert [fact["name"] for fact in one.facts] == ["open shards"]


def test_a_prompt_that_fails_leaves_the_facts() -> None:
    broken = Prompt(QUESTION, 2, "", ("streams",), "{{ streams.nothing }}")

    one = answer(document(), "What does orders cost?", Says(sentences(("It costs $21.90.", ["f4"]))), broken)

    assert (one.by, [fact["name"] for fact in one.facts]) == ("template", ["cost of a month"])


def test_a_question_names_whole_streams() -> None:
    one = answer(document(orders="s", clicks="s-2"), "How many shards has s-2?", None, shipped()[QUESTION])

    assert [fact["stream"] for fact in one.facts] == []


def test_a_model_that_cannot_be_reached_leaves_the_facts() -> None:
    assert answered("What does orders cost?", Silent()).note.startswith("The model can't be reached.")


def test_related_questions_come_from_the_findings_and_never_the_one_that_was_asked() -> None:
    one = answered("How far behind are the readers of clicks-2024?")

    assert "How many shards does orders need at its peak?" in one.related
    assert one.question not in one.related
    assert 1 <= len(one.related) <= 4
