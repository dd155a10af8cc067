"""For the models of bodies: what a validator of a whole model says of one of its fields, and unions that go unnamed.

``runtime.field_errors`` tells of them. Apart from it because this loads pydantic.
"""

from typing import Any

from pydantic import ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import InitErrorDetails, PydanticCustomError

from weir.runtime.field_errors import OF_A_FIELD


def wrong(field: str, told: str) -> PydanticCustomError:
    """What a validator of a model raises where it is a certain field that can't be accepted."""
    return PydanticCustomError(OF_A_FIELD, "{told}", {"told": told, "field": field})


def _without_tag(value: Any, validated: ValidatorFunctionWrapHandler) -> Any:
    try:
        return validated(value)
    except ValidationError as error:
        # pydantic's places begin with the tag, where it has found which one it is; a body has no such field
        raise ValidationError.from_exception_data(error.title, [_moved(one) for one in error.errors()]) from None


def _moved(one: Any) -> InitErrorDetails:
    kind, told = one["type"], one.get("ctx", {})
    known: str | PydanticCustomError = PydanticCustomError(kind, "{told}", told) if kind == OF_A_FIELD else kind
    return InitErrorDetails(type=known, loc=one["loc"][1:], input=one["input"], ctx=told)


UNTAGGED = WrapValidator(_without_tag)
"""After a union's ``Field(discriminator=...)``: errors are placed as in the body, ``rules.1.name``, without the tag."""
