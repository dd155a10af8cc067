"""Names of packages that are told apart, and paths that can be written to any disk."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weir.packages import names

NAMES = st.from_regex(re.compile(names.NAME), fullmatch=True)


@pytest.mark.parametrize(
    ("given", "stored"),
    [("BERT", "bert"), ("bert_base.v2", "bert-base-v2"), ("a-_.b", "a-b"), ("7b", "7b")],
)
def test_names_are_stored_in_one_form(given: str, stored: str) -> None:
    assert names.normalized(given) == stored


@given(NAMES)
def test_a_stored_name_stays_as_it_is_and_is_a_name(name: str) -> None:
    stored = names.normalized(name)
    assert names.normalized(stored) == stored
    assert re.fullmatch(names.NAME, stored)
    assert names.skeleton(stored) == names.skeleton(name)


@pytest.mark.parametrize(
    ("one", "other"),
    [("llama", "1lama"), ("llama", "iiama"), ("gpt-neo", "gptne0"), ("a.b", "ab"), ("BERT", "bert"), ("o0l1", "00ii")],
)
def test_names_that_look_alike_have_the_same_skeleton(one: str, other: str) -> None:
    assert names.skeleton(one) == names.skeleton(other)


def test_names_that_do_not_look_alike_have_others() -> None:
    assert len({names.skeleton(name) for name in ("bert", "bart", "bent", "bert2", "vert")}) == 5


@pytest.mark.parametrize("name", ["", "-a", "a-", ".a", "a b", "é", "a/b", "..", "a" * 129, "a\n", "\u217clama"])
def test_what_is_no_name(name: str) -> None:
    assert not re.fullmatch(names.NAME, name)


@pytest.mark.parametrize(
    "path",
    [
        *("model.safetensors", "weights/part-00001-of-00002.bin", "größe/モデル.onnx", "a/b/c/d", ".gitattributes"),
        *("with space.txt", "~1", "-rf", "console.log", "x" * 255),
    ],
)
def test_what_may_be_a_path(path: str) -> None:
    assert names.path_problem(path) is None
    assert names.from_url(names.in_url(path)) == path


@pytest.mark.parametrize(
    "path",
    [
        *("", "/etc/passwd", "a//b", "a/", "./a", "a/../b", "..", "a/..", "..\\a", "C:/a", "a\x00b", "a\nb"),
        *(
            "a\u202eb",
            "a\u200bb",
            "e\u0301",
            "\ud800",
            "\ue000",
            "a ",
            " a",
            "a./b",
            "a /b",
            "nul",
            "a/COM1.txt",
            "Aux",
        ),
        *("what?", "a*b", 'a"b', "a<b", "a|b", "x" * 513, "ä" * 257, "x" * 256),
    ],
)
def test_what_may_be_none(path: str) -> None:
    assert names.path_problem(path)


@given(st.text())
def test_a_path_in_a_url_is_one_segment_and_comes_back(path: str) -> None:
    assert "/" not in names.in_url(path)
    assert names.from_url(names.in_url(path)) == path
