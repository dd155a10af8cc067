"""Which headers travel: of a request to a provider, and of its answer to the caller.

Both are lists of what does, for what is not on them can't leak: the caller's secret, in whatever header it came; the
gateway's organization at a provider; cookies; and what belongs to one connection (RFC 9110, section 7.6.1).
"""

from collections.abc import Iterable, Mapping

from weir.llm.dialects import stream_content_type
from weir.llm.models import Dialect

ANTHROPIC_VERSION = "2023-06-01"
"""For a caller that names none: https://docs.claude.com/en/api/versioning"""

_UP = {
    "anthropic": ("anthropic-version", "anthropic-beta"),
    "openai": ("openai-beta",),
    "invoke": (
        *("x-amzn-bedrock-guardrailidentifier", "x-amzn-bedrock-guardrailversion", "x-amzn-bedrock-trace"),
        *("x-amzn-bedrock-performanceconfig-latency", "x-amzn-bedrock-service-tier"),
        "x-amzn-bedrock-request-metadata",
    ),
}
_DOWN = {"content-type", "retry-after", "retry-after-ms", "x-should-retry", "openai-processing-ms", "openai-version"}
_DOWN_BEGINNINGS = ("x-amzn-bedrock-", "anthropic-ratelimit-", "x-ratelimit-")
_REQUEST_ID = {"anthropic": "request-id", "openai": "x-request-id", "converse": "x-amzn-requestid"}
_REQUEST_ID |= {"invoke": "x-amzn-requestid", "gemini": "x-request-id"}


def upwards(
    headers: Mapping[str, str], *, asked_in: Dialect, spoken: Dialect, request_id: str, stream: bool
) -> dict[str, str]:
    """The headers of a request to a provider, its credentials yet to be added.

    A dialect's own headers travel where the provider speaks it too. Answers are asked for uncompressed: they are read
    as they pass.
    """
    sent = {"content-type": "application/json", "accept-encoding": "identity", "x-request-id": request_id}
    sent["accept"] = stream_content_type(spoken).partition(";")[0] if stream else "application/json"
    sent["user-agent"] = "weir/1"
    if spoken == asked_in:
        sent |= telling(headers, spoken)
    if spoken == "anthropic":
        sent.setdefault("anthropic-version", ANTHROPIC_VERSION)
    return sent


def telling(headers: Mapping[str, str], dialect: Dialect) -> dict[str, str]:
    """The headers of a request that say, beside its body, what is asked for: the dialect's own."""
    return {name: headers[name] for name in _UP.get(dialect, ()) if name in headers}


def downwards(
    headers: Mapping[str, str], *, asked_in: Dialect, spoken: Dialect, request_id: str
) -> list[tuple[str, str]]:
    """The headers of an answer to the caller: those of the provider that travel, and the request's id in its dialect.

    The provider's own id stands in ``x-upstream-request-id``.
    """
    sent = [
        (name, value)
        for name, value in headers.items()
        if (name in _DOWN or name.startswith(_DOWN_BEGINNINGS)) and (spoken == asked_in or name == "retry-after")
    ]
    theirs = headers.get(_REQUEST_ID[spoken])
    told = [("x-upstream-request-id", theirs)] if theirs else []
    return [*sent, *identified(asked_in, request_id), *told]


def identified(dialect: Dialect, request_id: str) -> list[tuple[str, str]]:
    """The request's id, in the header where the dialect's clients look for it, and in ours."""
    return [(name, request_id) for name in dict.fromkeys((_REQUEST_ID[dialect], "x-request-id"))]


def credentials(sent: Iterable[tuple[str, str]]) -> dict[str, dict[str, list[str]]]:
    """The credential of a request, in the form of an API Gateway event: ``x-api-key`` counts as a bearer's.

    The same secret in both headers, as some clients have it, is one.
    """
    bearers = [_bearer(*value.strip().partition(" ")) for name, value in sent if name == "authorization"]
    keys = [_bearer("bearer", " ", value.strip()) for name, value in sent if name == "x-api-key"]
    return {"multiValueHeaders": {"authorization": list(dict.fromkeys(bearers + keys))}}


def _bearer(scheme: str, between: str, credential: str) -> str:
    return f"Bearer {credential}" if scheme.lower() == "bearer" else f"{scheme}{between}{credential}"
