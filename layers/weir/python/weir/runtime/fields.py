"""For what requests tell: errors of one field from a whole model's validator, unions that go unnamed, moments.

``runtime.field_errors`` tells of them. Apart from it because this loads pydantic.
"""

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
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


def _plausible(moment: datetime) -> datetime:
    """A time of every zone, and of the months around it: what is near the year 1 or 9999 is none in UTC."""
    if not 2000 <= moment.year < 9000:
        raise ValueError("must be within the years 2000 to 8999")
    return moment


Moment = Annotated[AwareDatetime, AfterValidator(_plausible)]
"""A time with its zone, that can be reckoned with."""
