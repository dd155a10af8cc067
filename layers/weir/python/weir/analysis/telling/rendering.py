"""Templates of prompts: Jinja2 in its sandbox, of which a template may use what only reads, and no more than a budget.

A stranger's template is code. The sandbox keeps it from Python's inside; what could be made to run or to grow without
end is not in the language here: calls, macros, imports, blocks, assignments and arithmetic are refused when a template
is stored; filters take short constants alone; loops, filters, searches and comparisons are counted, each by how much it
goes through; and a text, or a piece of one, that passes its most is an error.
https://jinja.palletsprojects.com/en/stable/sandbox/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from contextvars import ContextVar
from functools import lru_cache, wraps
from typing import Any, TypeVar

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, nodes
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment

from weir.runtime.errors import FieldError, Invalid

__all__ = ["MOST_RENDERED", "check", "render"]

MOST_RENDERED = 100_000
"""Characters of what comes of it."""

MOST_STEPS = 20_000
"""Turns of all its loops together, and items and pieces of texts that filters and searches go through."""

_PIECE = 250
"""Characters of a text that are a step."""

_DEEPEST_LOOP = 3
_MOST_ARGUMENT = 100
_FILTERS = frozenset(
    {
        "abs", "capitalize", "count", "default", "d", "dictsort", "e", "escape", "first", "float", "int", "items",
        "join", "last", "length", "lower", "max", "min", "reverse", "round", "sort", "string", "sum", "title", "tojson",
        "trim", "truncate", "unique", "upper",
    }
)  # fmt: skip
_GLANCES = frozenset({"count", "d", "default", "first", "last", "length"})
"""Filters that go through nothing."""

_TESTS = frozenset(
    {
        "defined", "undefined", "none", "number", "string", "mapping", "sequence", "true", "false", "in", "eq", "ne",
        "lt", "le", "gt", "ge", "even", "odd",
    }
)  # fmt: skip
_ALLOWED = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.For, nodes.If, nodes.CondExpr),
    *(nodes.Name, nodes.Getattr, nodes.Getitem, nodes.Const, nodes.Tuple, nodes.List, nodes.Keyword),
    *(nodes.Filter, nodes.Test, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Neg),
)


T = TypeVar("T")


class _TooMuch(Exception):
    """The budget of a rendering is used up."""


class _Budget:
    """Steps that are left."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def spend(self, steps: int) -> None:
        """Take steps. _TooMuch where there are none."""
        self._left -= steps
        if self._left < 0:
            raise _TooMuch

    def walk(self, items: Iterator[Any]) -> Iterator[Any]:
        """The items, a step each."""
        for item in items:
            self.spend(1)
            yield item


def _counting(made: type[T]) -> type[T]:
    """A class all of whose comparisons take steps from its ``_budget``."""

    def counted(compare: Callable[[Any, object], Any]) -> Callable[[Any, object], Any]:
        def compared(self: Any, other: object) -> Any:
            self._budget.spend(1 + _steps(self))
            return compare(self, other)

        return compared

    for name in ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"):
        setattr(made, name, counted(getattr(made, name)))
    return made


@_counting
class _List(list[Any]):
    """A list of which every walk, search and comparison is counted."""

    def __init__(self, items: list[Any], budget: _Budget) -> None:
        super().__init__(items)
        self._budget = budget

    def __iter__(self) -> Iterator[Any]:
        return self._budget.walk(super().__iter__())

    def __contains__(self, item: object) -> bool:
        self._budget.spend(len(self))
        return super().__contains__(item)


@_counting
class _Dict(dict[str, Any]):
    """A mapping, likewise."""

    def __init__(self, items: dict[str, Any], budget: _Budget) -> None:
        super().__init__(items)
        self._budget = budget

    def __iter__(self) -> Iterator[str]:
        return self._budget.walk(super().__iter__())


@_counting
class _Text(str):
    """A text of which every search and comparison is counted."""

    _budget: _Budget

    def __contains__(self, item: object) -> bool:
        self._budget.spend(1 + len(self) // _PIECE)
        return super().__contains__(item)  # type: ignore[operator]  # a TypeError of no text is told as any


_SPENDING: ContextVar[_Budget | None] = ContextVar("_SPENDING", default=None)
"""The budget of the rendering that is under way: filters are the environment's, which all renderings share."""

_COUNTED = "counted"


def _walked(items: Iterable[Any]) -> Iterable[Any]:
    """What a loop goes through, a step each: texts, what filters made, and lists of the template are no `_List`."""
    budget = _SPENDING.get()
    return items if budget is None or isinstance(items, _List | _Dict) else budget.walk(iter(items))


@lru_cache(maxsize=1)
def _environment() -> ImmutableSandboxedEnvironment:
    made = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True
    )
    made.globals.clear()
    made.filters = {_COUNTED: _walked, **{name: _bounded(name, made.filters[name]) for name in _FILTERS}}
    made.tests = {name: made.tests[name] for name in _TESTS}
    return made


def _bounded(name: str, filter_: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that is counted, and whose answer is no text of more characters than all that is rendered may have.

    Chained, they double.
    """

    @wraps(filter_)
    def checked(*arguments: Any, **named: Any) -> Any:
        budget = _SPENDING.get()
        if budget is not None:
            budget.spend(1 if name in _GLANCES else 1 + sum(map(_steps, arguments)))
        made = filter_(*arguments, **named)
        if isinstance(made, str) and name not in _GLANCES:
            if len(made) > MOST_RENDERED:
                raise _TooMuch
            if budget is not None:
                budget.spend(_steps(made))
        return _counted(made, budget) if budget is not None and type(made) in {str, list, tuple, dict} else made

    return checked


def _steps(value: Any) -> int:
    """What going through a value takes."""
    if isinstance(value, str):
        return len(value) // _PIECE
    return len(value) if isinstance(value, Sized) else 0


def check(template: str, variables: tuple[str, ...]) -> None:
    """Invalid, with the field and the line, where a template can't be one of these ``variables``."""
    try:
        tree = _environment().parse(template)
        for node in _below(tree):
            if not isinstance(node, _ALLOWED):
                raise _wrong("template", f"line {node.lineno}: {type(node).__name__} is nothing that a prompt may use")
            _check_names(node)
        _environment().compile(tree)
    except TemplateSyntaxError as error:
        raise _wrong("template", f"line {error.lineno}: {error.message}") from error
    except TemplateError as error:
        raise _wrong("template", str(error)) from error
    except RecursionError as error:
        raise _wrong("template", "is nested too deeply") from error
    if _loops(tree) > _DEEPEST_LOOP:
        raise _wrong("template", f"must not have loops deeper than {_DEEPEST_LOOP}")
    if unknown := sorted(find_undeclared_variables(tree) - set(variables)):
        raise _wrong("template", f"uses {', '.join(unknown)}, which variables does not name")


def render(template: str, variables: tuple[str, ...], values: Mapping[str, Any]) -> str:
    """The text of a checked template. Invalid where a value is missing or not known, or the text is too long."""
    if missing := sorted(set(variables) - set(values)):
        raise _wrong("values", f"must give {', '.join(missing)}")
    if unknown := sorted(set(values) - set(variables)):
        raise _wrong("values", f"the prompt knows no {', '.join(unknown)}")
    budget, room, pieces = _Budget(MOST_STEPS), _Budget(MOST_RENDERED), []
    spending = _SPENDING.set(budget)
    try:
        compiled = _environment().from_string(_with_counted_loops(template))
        for piece in compiled.generate({name: _counted(value, budget) for name, value in values.items()}):
            room.spend(len(piece))
            pieces.append(piece)
    except _TooMuch as error:
        raise _wrong("values", f"make more than {MOST_RENDERED:,} characters or {MOST_STEPS:,} steps") from error
    except (
        TemplateError,
        TypeError,
        ValueError,
        ArithmeticError,
        LookupError,
        AttributeError,
        RecursionError,
    ) as error:
        raise _wrong("values", f"do not fit the template: {str(error)[:200]}") from error
    finally:
        _SPENDING.reset(spending)
    return "".join(pieces)


def _with_counted_loops(template: str) -> nodes.Template:
    tree = _environment().parse(template)
    for loop in list(tree.find_all(nodes.For)):
        loop.iter = nodes.Filter(loop.iter, _COUNTED, [], [], None, None, lineno=loop.lineno)
    return tree


def _below(node: nodes.Node) -> Iterator[nodes.Node]:
    yield node
    for child in node.iter_child_nodes():
        yield from _below(child)


def _check_names(node: nodes.Node) -> None:
    if isinstance(node, nodes.Filter) and node.name not in _FILTERS:
        raise _wrong(
            "template", f"line {node.lineno}: there is no filter {node.name}; there are {', '.join(sorted(_FILTERS))}"
        )
    if isinstance(node, nodes.Filter | nodes.Test) and not all(_is_short(one) for one in _arguments(node)):
        raise _wrong(
            "template", f"line {node.lineno}: {node.name} takes numbers to {_MOST_ARGUMENT} and short texts alone"
        )
    if isinstance(node, nodes.Test) and node.name not in _TESTS:
        raise _wrong(
            "template", f"line {node.lineno}: there is no test {node.name}; there are {', '.join(sorted(_TESTS))}"
        )
    if isinstance(node, nodes.For) and node.recursive:
        raise _wrong("template", f"line {node.lineno}: a loop must not be recursive")


def _arguments(node: nodes.Filter | nodes.Test) -> list[nodes.Expr]:
    return [*node.args, *(one.value for one in node.kwargs), *filter(None, (node.dyn_args, node.dyn_kwargs))]


def _is_short(argument: nodes.Expr) -> bool:
    """Whether an argument of a filter is a constant that makes nothing large."""
    if isinstance(argument, nodes.Const):
        value = argument.value
        return len(value) <= _MOST_ARGUMENT if isinstance(value, str) else value is None or abs(value) <= _MOST_ARGUMENT
    return False


def _loops(node: nodes.Node) -> int:
    deepest = max((_loops(child) for child in node.iter_child_nodes()), default=0)
    return deepest + isinstance(node, nodes.For)


def _counted(value: Any, budget: _Budget) -> Any:
    if isinstance(value, Mapping):
        return _Dict({str(key): _counted(item, budget) for key, item in value.items()}, budget)
    if isinstance(value, list | tuple):
        return _List([_counted(item, budget) for item in value], budget)
    if isinstance(value, str):
        text = _Text(value)
        text._budget = budget
        return text
    return value


def _wrong(field: str, why: str) -> Invalid:
    return Invalid(f"The prompt can't be used: {why}.", errors=[FieldError(field, why)])
