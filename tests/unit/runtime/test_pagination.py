"""Cursors: opaque, signed, and good for the list that gave them out alone."""

import base64
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weir.runtime import pagination, secrets, settings
from weir.runtime.errors import BadRequest

JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3))


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_CURSOR_SECRET_ARN", "arn:cursor")
    settings.forget()
    monkeypatch.setattr(secrets, "secret", lambda arn: f"key of {arn}")


@given(st.dictionaries(st.text(), JSON, max_size=4), st.text(max_size=20))
def test_a_position_comes_back_as_it_was(position: dict[str, object], kind: str) -> None:
    assert pagination.open_cursor(kind, pagination.seal(kind, position)) == position


def test_a_cursor_of_another_list_is_refused() -> None:
    # Given the cursor of one list / When it is used on another / Then 400
    cursor = pagination.seal("runs:mine", {"at": "x"})
    with pytest.raises(BadRequest, match="Start again"):
        pagination.open_cursor("runs:all", cursor)


def test_an_edited_position_is_refused() -> None:
    # Given a cursor whose payload was exchanged, its signature kept
    _, mac = pagination.seal("runs", {"pk": "RUN#mine"}).split(".")
    forged = base64.urlsafe_b64encode(json.dumps({"pk": "RUN#yours"}).encode()).rstrip(b"=").decode()
    with pytest.raises(BadRequest):
        pagination.open_cursor("runs", f"{forged}.{mac}")


@given(st.data())
def test_any_changed_character_is_refused_or_means_the_same(data: st.DataObject) -> None:
    # Given a cursor with one character replaced
    cursor = pagination.seal("runs", {"at": "2026-11-21", "pk": "RUN#1"})
    index = data.draw(st.integers(0, len(cursor) - 1))
    changed = cursor[:index] + data.draw(st.characters(exclude_characters=cursor[index])) + cursor[index + 1 :]
    # When it is opened / Then nothing but the sealed position ever comes out (base64 leaves some last bits unused)
    with suppress(BadRequest):
        assert pagination.open_cursor("runs", changed) == {"at": "2026-11-21", "pk": "RUN#1"}


@pytest.mark.parametrize("cursor", ["", ".", "a", "a.b", "a.b.c", "é.é", "=.=", "A" * 5000, "e30.", "e30.AAAA"])
def test_what_no_list_gave_out_is_refused(cursor: str) -> None:
    with pytest.raises(BadRequest):
        pagination.open_cursor("runs", cursor)


def test_another_key_makes_old_cursors_void(monkeypatch: pytest.MonkeyPatch) -> None:
    cursor = pagination.seal("runs", {"at": "x"})
    monkeypatch.setattr(secrets, "secret", lambda _: "rotated")
    with pytest.raises(BadRequest):
        pagination.open_cursor("runs", cursor)


@given(st.dictionaries(st.text(), JSON, max_size=4), st.text(max_size=20))
def test_a_hidden_position_comes_back_as_it_was(position: dict[str, object], kind: str) -> None:
    assert pagination.open_hidden(kind, pagination.seal_hidden(kind, position)) == position


def test_a_hidden_position_can_not_be_read_and_is_never_told_the_same_way_twice() -> None:
    # Given a position that names what its bearer must not know of
    cursors = [pagination.seal_hidden("packages", {"after": "secret-model"}) for _ in range(2)]
    # When all that a cursor says is decoded / Then the name is nowhere in it
    said = [base64.urlsafe_b64decode(cursor.split(".")[0] + "==") for cursor in cursors]
    hidden = [base64.urlsafe_b64decode(json.loads(one)["hidden"] + "==") for one in said]
    assert all(b"secret-model" not in one for one in (*said, *hidden))
    # And two cursors of the same position don't tell that it is the same
    assert hidden[0] != hidden[1]


def test_a_hidden_cursor_and_one_that_can_be_read_are_not_taken_for_each_other() -> None:
    with pytest.raises(BadRequest, match="Start again"):
        pagination.open_hidden("packages", pagination.seal("packages", {"after": "x"}))
