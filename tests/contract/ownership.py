"""Routes about one thing: which are for whoever it belongs to, and which for everybody who has the scope.

A route that is in neither table fails the contract tests; one that is somebody's, and that nobody has tried on a
neighbour's thing, fails ``tests/integration/test_neighbours.py``.
"""

_VERSION = "/packages/{name}/{version}"
_UPLOAD = f"{_VERSION}/uploads/{{upload_id}}"

OWNED = frozenset(
    {
        *("PATCH /streams/{name}", "DELETE /streams/{name}"),
        *("GET /streams/{name}/records", "POST /streams/{name}/records"),
        *("GET /runs/{run_id}", "GET /runs/{run_id}/report", "POST /runs/{run_id}/stop"),
        *("DELETE /api-keys/{key_id}", "POST /api-keys/{key_id}/rotate"),
        *("PATCH /packages/{name}", "PUT /packages/{name}/aliases/{alias}", "DELETE /packages/{name}/aliases/{alias}"),
        *(f"POST {_VERSION}/yank", f"POST {_VERSION}/unyank", f"GET {_VERSION}/audit"),
        *(f"POST {_VERSION}/uploads", f"POST {_UPLOAD}/parts", f"POST {_UPLOAD}/commit"),
        *(f"GET {_UPLOAD}", f"DELETE {_UPLOAD}"),
        *(f"POST {_VERSION}/validate", f"PUT {_VERSION}/signature", "GET /packages/imports/{import_id}"),
        *("GET /analyses/{analysis_id}", "DELETE /analyses/{analysis_id}"),
        *("PUT /prompts/{prompt_id}", "DELETE /prompts/{prompt_id}", "POST /analyses/{analysis_id}/questions"),
    }
)
"""The owner's, and the admins'."""

EVERYBODYS = frozenset(
    {
        *("GET /streams/{name}", "GET /streams/{name}/shards", "GET /streams/{name}/metrics"),
        *("GET /packages/{name}", "GET /packages/{name}/versions", f"GET {_VERSION}"),
        *(f"GET {_VERSION}/files/{{file}}/download", f"GET {_VERSION}/score", f"GET {_VERSION}/signature"),
        *("GET /prompts/{prompt_id}", "POST /prompts/{prompt_id}/render"),
    }
)
"""Streams of an account are no secret to whoever may read streams. A package is for whoever may see it: who that is,
and that it does not exist for others, is held in ``tests/integration/test_packages.py``."""
