"""Pydantic's errors as ours: the field that is meant is named, as in the body, and what is wrong with it."""

from typing import Annotated, Any, Literal, Self

import pytest
from pydantic import BaseModel, Field, ValidationError, model_validator

from weir.runtime.errors import FieldError
from weir.runtime.field_errors import field_errors
from weir.runtime.fields import UNTAGGED, wrong


class Few(BaseModel, extra="forbid"):
    kind: Literal["few"]
    most: int = Field(default=9, ge=1)
    least: int = 1

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.least > self.most:
            raise wrong("least", "{least} must not pass {most}")
        if self.least == self.most == 7:
            raise ValueError("not seven")
        return self


class Named(BaseModel):
    kind: Literal["named"]
    few: str = Field(pattern="^[a-z]+$")


Rule = Annotated[Few | Named, Field(discriminator="kind"), UNTAGGED]


class Asked(BaseModel):
    rules: tuple[Rule, ...] = ()
    one: Rule | None = None
    few: Few | None = None

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("name something")
        return self


def told(body: Any) -> list[FieldError]:
    with pytest.raises(ValidationError) as caught:
        Asked.model_validate(body)
    return field_errors([{**one, "loc": ("body", *one["loc"])} for one in caught.value.errors()])


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        ({"few": {"kind": "few", "most": 1, "least": 2}}, "few.least", "{least} must not pass {most}"),
        ({"rules": [{"kind": "few", "most": 1, "least": 2}]}, "rules.0.least", "{least} must not pass {most}"),
        ({"few": {"kind": "few", "most": 7, "least": 7}}, "few", "not seven"),
        ({"rules": [{"kind": "few", "most": 7, "least": 7}]}, "rules.0", "not seven"),
        ({"rules": [{"kind": "few"}, {"kind": "few", "most": 0}]}, "rules.1.most", "greater than or equal to 1"),
        ({"rules": [{"kind": "few", "few": 1}]}, "rules.0.few", "Extra inputs"),
        ({"rules": [{"kind": "named"}]}, "rules.0.few", "Field required"),
        ({"one": {"kind": "named", "few": "A"}}, "one.few", "should match pattern"),
        ({"one": {"kind": "other"}}, "one.kind", "'few', 'named'"),
        ({"one": {}}, "one.kind", "discriminator"),
        ({"one": 7}, "one", "dictionary"),
        ({"rules": 7}, "rules", "tuple"),
        ({}, "body", "name something"),
        ([], "body", "dictionary"),
    ],
)
def test_the_field_that_is_meant_is_named(body: Any, field: str, message: str) -> None:
    (error,) = told(body)
    assert error.field == field
    assert message in error.message


def test_of_several_each_is_told() -> None:
    body = {"rules": [{"kind": "few", "most": 0, "x": 1}, {"kind": "named", "few": 1}], "one": {"kind": "few", "y": 1}}
    assert [one.field for one in told(body)] == ["rules.0.most", "rules.0.x", "rules.1.few", "one.y"]


def test_no_value_is_told() -> None:
    errors = told({"one": {"kind": "named", "few": "S3CR3T"}, "rules": [{"kind": "few", "most": "S3CR3T"}]})
    assert len(errors) == 2
    assert "S3CR3T" not in str(errors)
