"""In which form an analysis is answered: what the Accept header asks for (RFC 9110, 12.5.1)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

__all__ = ["CSV", "HTML", "JSON", "Form", "form_of"]


@dataclass(frozen=True, slots=True)
class Form:
    """A form, and the object of the analysis that holds it."""

    media_type: str
    content_type: str
    name: str


JSON = Form("application/json", "application/json", "document.json")
CSV = Form("text/csv", "text/csv; charset=utf-8", "findings.csv")
HTML = Form("text/html", "text/html; charset=utf-8", "report.html")
_FORMS = (JSON, CSV, HTML)


def form_of(accept: str | None) -> Form:
    """The form that is wanted most; JSON where nothing is, or nothing that there is."""
    best, most = JSON, 0.0
    for part in (accept or "*/*").split(","):
        media_range, *parameters = (one.strip().lower() for one in part.split(";"))
        weight = _weight(parameters)
        form = next((one for one in _FORMS if _fits(media_range, one.media_type)), None)
        if form is not None and weight > most:
            best, most = form, weight
    return best


def _fits(media_range: str, media_type: str) -> bool:
    kind = media_type.partition("/")[0]
    return media_range in {media_type, "*/*"} or (media_range == f"{kind}/*")


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            with suppress(ValueError):
                return min(1.0, max(0.0, float(value)))
            return 0.0
    return 1.0
