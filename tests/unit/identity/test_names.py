"""User names: one stored form, and some that nobody gets, for the audit and the log mean somebody else by them."""

import pytest

from weir.identity import names


@pytest.mark.parametrize("name", ["system", "System", "anonymous", "NOBODY", "weir"])
def test_a_name_that_means_somebody_else_is_no_new_users(name: str) -> None:
    with pytest.raises(ValueError, match="is reserved"):
        names.for_new(name)

    # But a user who has it from before is still found by it
    assert names.username(name) == name.lower()


@pytest.mark.parametrize("name", ["admin", "Ann", "systems", "weir.operator", "no.body"])
def test_any_other_name_is_taken_in_its_stored_form(name: str) -> None:
    assert names.for_new(name) == names.username(name) == name.lower()
