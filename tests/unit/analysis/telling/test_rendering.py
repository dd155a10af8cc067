"""Prompts are templates of strangers: they read what they are given, reach no further and come to an end."""

from typing import Any

import pytest

from weir.analysis.telling import rendering
from weir.analysis.telling.rendering import check, render
from weir.runtime.errors import Invalid

LOOP = "{% for a in x %}"


def made(template: str, **values: Any) -> str:
    check(template, tuple(values))
    return render(template, tuple(values), values)


def test_a_template_reads_values_loops_and_chooses() -> None:
    item = "{{ loop.index }}. {{ f.name | upper }}{% if f.bad %}!{% endif %}; "
    template = "{% for f in facts %}" + item + "{% else %}none{% endfor %}"

    assert made(template, facts=[{"name": "a", "bad": True}, {"name": "b", "bad": False}]) == "1. A!; 2. B; "
    assert made(template, facts=[]) == "none"


def test_values_are_data_and_never_templates() -> None:
    assert made("{{ name }}", name="{{ 7 * 7 }}{% for x in y %}") == "{{ 7 * 7 }}{% for x in y %}"


@pytest.mark.parametrize(
    "template",
    [
        "{{ x * 9 }}",
        "{{ x ** 9 }}",
        "{{ x ~ x }}",
        "{{ x + x }}",
        "{{ x[1:2] }}",
        "{{ range(9) }}",
        "{{ x.append(1) }}",
        "{% set y = 1 %}",
        "{% include 'y' %}",
        "{% extends 'y' %}",
        "{% import 'y' as y %}",
        "{% macro y() %}{% endmacro %}",
        "{% block y %}{% endblock %}",
        "{% for y in x recursive %}{% endfor %}",
        "{% for a in x %}" * 4 + "{% endfor %}" * 4,
        "{{ x | attr('y') }}",
        "{{ x | center(999999999) }}",
        "{{ x | tojson(indent=999999999) }}",
        "{{ x | round(999999999) }}",
        "{{ x | join(x) }}",
        "{{ x | replace('', x) }}",
        "{{ x is callable }}",
        "{{ y }}",
        "{% for",
        "{{ " + "(" * 3000 + "x" + ")" * 3000 + " }}",
    ],
)
def test_what_could_reach_further_grow_or_run_on_is_refused_when_it_is_stored(template: str) -> None:
    with pytest.raises(Invalid) as refused:
        check(template, ("x",))

    assert refused.value.errors[0].field == "template"


@pytest.mark.parametrize(
    "template",
    [
        "{{ x.__class__ }}",
        "{{ x['__class__'] }}",
        "{{ (x | first).__init__.__globals__ }}",
        "{{ x.nothing }}",
        "{{ x | round }}",
        "{% for a in x %}{% for b in x %}{% endfor %}{% endfor %}",
        "{% for a in x %}{% if 1000 in x %}{% endif %}{% endfor %}",
        "{% for a in x %}{% if x == y %}{% endif %}{% endfor %}",
        "{% for a in x %}{% for b in y %}{{ long }}{% endfor %}{% endfor %}",
        "{{ x" + (" | join('" + "-" * 90 + "')") * 9 + " }}",
        "{% for a in long %}{% for b in long %}{% endfor %}{% endfor %}",
        "{% for a in x | reverse %}{% for b in x | reverse %}{% endfor %}{% endfor %}",
        "{% for a in x | sort %}{% for b in [" + "1," * 300 + "] %}{% endfor %}{% endfor %}",
        "{% for a in map | items %}{% for b in map | dictsort %}{% endfor %}{% endfor %}",
        "{% for a in x %}" + "{% if long | title | length == 3 %}{% endif %}" * 50 + "{% endfor %}",
        "{% for a in x %}" + "{% if x | string == '3' %}{% endif %}" * 50 + "{% endfor %}",
        "{% for a in x %}" + "{% if 'b' in long %}{% endif %}" * 50 + "{% endfor %}",
        *(
            "{% for a in x %}" + f"{{% if x {sign} y %}}{{% endif %}}" * 10 + "{% endfor %}"
            for sign in ("!=", "<", ">=")
        ),
        "{% for a in x %}" + "{% if long > long %}{% endif %}" * 50 + "{% endfor %}",
        "{% for t in [long | lower] %}{% for a in x %}"
        + "{% if 'b' in t %}{% endif %}" * 50
        + "{% endfor %}{% endfor %}",
    ],
)
def test_what_reaches_further_or_runs_on_when_it_is_rendered_is_an_error_of_the_values(template: str) -> None:
    many = list(range(300))
    values = {"x": many, "y": many, "long": "-" * 1000, "map": {str(n): n for n in many}}
    check(template, tuple(values))

    with pytest.raises(Invalid) as refused:
        render(template, tuple(values), values)

    assert refused.value.errors[0].field == "values"


@pytest.mark.parametrize(("values", "told"), [({}, "must give x"), ({"x": 1, "y": 2}, "knows no y")])
def test_values_are_those_that_are_declared(values: dict[str, Any], told: str) -> None:
    with pytest.raises(Invalid, match=told):
        render("{{ x }}", ("x",), values)


def test_what_goes_through_nothing_costs_next_to_nothing() -> None:
    inner = "{{ x | length }}{{ x | first | default('-') }}{% if 'a' in name %}{{ name | upper }}{% endif %}"

    assert made("{% for a in x %}" + inner + "{% endfor %}", x=list(range(1000)), name="an") == "10000AN" * 1000


def test_the_budget_is_of_one_rendering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "MOST_STEPS", 3)

    assert made("{% for a in x %}{{ a }}{% endfor %}", x=[1, 2, 3]) == "123"
    assert made("{% for a in x %}{{ a }}{% endfor %}", x=[1, 2, 3]) == "123"
    with pytest.raises(Invalid):
        made("{% for a in x %}{{ a }}{% endfor %}", x=[1, 2, 3, 4])
