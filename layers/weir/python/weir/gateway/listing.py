"""The models that a caller may use, in the words of a dialect.

https://docs.claude.com/en/api/models-list and https://platform.openai.com/docs/api-reference/models/list; when a model
was made is not known here, and told as the beginning of time.
"""

from collections.abc import Sequence
from typing import Any

from weir.llm.models import Dialect

_EPOCH = "1970-01-01T00:00:00Z"


def listing(dialect: Dialect, names: Sequence[str]) -> dict[str, Any]:
    """All of them, on one page."""
    if dialect == "anthropic":
        models = [{"type": "model", "id": name, "display_name": name, "created_at": _EPOCH} for name in names]
        ends = {"first_id": names[0] if names else None, "last_id": names[-1] if names else None}
        return {"data": models, "has_more": False, **ends}
    return {
        "object": "list",
        "data": [{"id": name, "object": "model", "created": 0, "owned_by": "weir"} for name in names],
    }
