"""HTTP: uploads and downloads of the files of packages. The rules are in ``weir.packages``; the bytes are S3's."""

from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, unquote

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Path, Query

from weir.packages import names
from weir.packages.contract_files import (
    MOST_URLS,
    UPLOAD_ID,
    CommitAsked,
    CommitView,
    DownloadView,
    NewUpload,
    PartsAsked,
    PartUrls,
    UploadOpened,
    UploadView,
    commit_view,
    download_view,
    part_urls_view,
    upload_opened,
    upload_view,
)
from weir.packages.models import State
from weir.runtime import http, pagination
from weir.runtime.audit import Asker, asker
from weir.runtime.observability import emit

if TYPE_CHECKING:
    from weir.packages.wiring import Deps

app = APIGatewayRestResolver(
    enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.strict_json
)
http.wire(app)

_VERSION = "/packages/{name}/{version}"
NEEDS = {
    f"POST {_VERSION}/uploads": "packages:write",
    f"GET {_VERSION}/uploads/{{upload_id}}": "packages:read",
    f"DELETE {_VERSION}/uploads/{{upload_id}}": "packages:write",
    f"POST {_VERSION}/uploads/{{upload_id}}/parts": "packages:write",
    f"POST {_VERSION}/uploads/{{upload_id}}/commit": "packages:write",
    f"GET {_VERSION}/files/{{file}}/download": "packages:read",
}

Name = Annotated[str, Path(pattern=names.NAME, description="Name of the package, in any of its spellings")]
Version = Annotated[str, Path(min_length=1, max_length=400, description="Version, percent-encoded")]
UploadId = Annotated[str, Path(pattern=UPLOAD_ID, description="Upload id")]
KEEP_NOWHERE = {"Cache-Control": "no-store"}
_AS_THEY_ARE = "/%:@!$&'()*+,;=-._~"
"""What a path may hold as it is, in the form in which REST APIs hand it on: percent-encoded."""


def _asker() -> Asker:
    return asker(app.current_event.raw_event)


def _deps() -> "Deps":
    from weir.packages.wiring import deps

    return deps()


@app.post(
    "/packages/<name>/<version>/uploads",
    tags=["package files"],
    operation_id="openUpload",
    summary="Open the upload of a file",
    status_code=201,
    responses={
        200: {
            "description": "This upload is open already, or (present) the bytes are here: there is nothing to send",
            "content": {"application/json": {"model": UploadOpened}},
        },
        201: {
            "description": "Opened; ask for URLs of its parts, PUT them, commit",
            "content": {"application/json": {"model": UploadOpened}},
        },
        **http.problems(400, 403, 404, 409, 422),
    },
)
def open_file(name: Name, version: Version, asked: Annotated[NewUpload, Body(description="The file")]) -> Response[Any]:
    """Any size to 5 TiB, an empty file too. A version that has declared no files takes this one for its only file."""
    from weir.packages.opening import open_upload

    opened = open_upload(name, unquote(version), asked.asked(), _asker(), _deps())
    if opened.file.state is State.QUARANTINED:  # just now: such a file takes no upload
        emit({"FilesQuarantined": ("Count", 1)}, {})
    base = http.link(app.current_event.raw_event, f"/packages/{name}/{version}/uploads")
    view = upload_opened(opened, base)
    headers = {"Location": view.links.self} if opened.is_new and view.links else {}
    return http.answer(201 if opened.is_new else 200, view.model_dump(mode="json"), headers)


@app.get(
    "/packages/<name>/<version>/uploads/<upload_id>",
    tags=["package files"],
    operation_id="getUpload",
    summary="See what has arrived",
    responses={200: {"description": "The upload, and a page of its parts"}, **http.problems(400, 403, 404, 422)},
)
def show(
    name: Name,
    version: Version,
    upload_id: UploadId,
    limit: Annotated[int, Query(ge=1, le=MOST_URLS, description="Parts in a page, at most")] = MOST_URLS,
    cursor: Annotated[str | None, Query(max_length=4096, description="The cursor of the page before")] = None,
) -> UploadView:
    """Parts that S3 has, by number: send the others. An upload that has ended has none; its state tells how."""
    from weir.packages.opening import arrived

    kind = f"parts:{upload_id}"
    after = pagination.open_cursor(kind, cursor)["after"] if cursor else 0
    upload, parts, position = arrived(name, unquote(version), upload_id, after, limit, _asker(), _deps())
    return upload_view(upload, tuple(parts), pagination.seal(kind, {"after": position}) if position else None)


@app.post(
    "/packages/<name>/<version>/uploads/<upload_id>/parts",
    tags=["package files"],
    operation_id="signParts",
    summary="Ask where to send parts",
    responses={
        200: {"description": "PUT each part to its url with its headers"},
        **http.problems(400, 403, 404, 409, 422),
    },
)
def parts(
    name: Name, version: Version, upload_id: UploadId, asked: Annotated[PartsAsked, Body(description="The parts")]
) -> Response[PartUrls]:
    """Up to 1,000 presigned URLs, good for 15 minutes at most, each for one part, one size and one checksum."""
    from weir.packages.opening import part_urls

    urls = part_urls(name, unquote(version), upload_id, asked.by_number(), _asker(), _deps())
    return http.answer(200, part_urls_view(urls).model_dump(mode="json"), KEEP_NOWHERE)


@app.post(
    "/packages/<name>/<version>/uploads/<upload_id>/commit",
    tags=["package files"],
    operation_id="commitUpload",
    summary="Make the parts a file",
    responses={
        200: {"description": "The bytes are here; the file is SCANNING, or AVAILABLE where they were verified before"},
        **http.problems(400, 403, 404, 409, 422),
    },
)
def commit_file(
    name: Name, version: Version, upload_id: UploadId, asked: Annotated[CommitAsked, Body(description="All parts")]
) -> CommitView:
    """May be sent again whatever came of it: it is done once, and answered the same."""
    from weir.packages.committing import commit

    kept = commit(name, unquote(version), upload_id, asked.told(), _asker(), _deps())
    if kept.is_quarantined:
        emit({"FilesQuarantined": ("Count", 1)}, {})
    return commit_view(upload_id, kept)


@app.delete(
    "/packages/<name>/<version>/uploads/<upload_id>",
    tags=["package files"],
    operation_id="abortUpload",
    summary="Abort an upload",
    status_code=204,
    responses={204: {"description": "Gone, with all its parts"}, **http.problems(403, 404, 409, 422, 503)},
)
def abort(name: Name, version: Version, upload_id: UploadId) -> Response[None]:
    """Parts under way may still arrive: 503 then, and nobody can commit it; ask again."""
    from weir.packages.aborting import abort_upload

    abort_upload(name, unquote(version), upload_id, _asker(), _deps())
    return Response(204, headers={})


@app.get(
    "/packages/<name>/<version>/files/<file>/download",
    tags=["package files"],
    operation_id="downloadFile",
    summary="Ask where to get a file",
    responses={200: {"description": "GET url within expires_in seconds"}, **http.problems(400, 404, 409, 422)},
)
def download_file(
    name: Name,
    version: Version,
    file: Annotated[
        str, Path(min_length=1, max_length=3072, description="Path of the file: ~ as ~0, / as ~1, then percent-encoded")
    ],
    ttl: Annotated[int, Query(description="Seconds, from 1 to 900; what is beyond is cut off")] = 300,
) -> Response[DownloadView]:
    """Presigned, for this version of the object alone. Whoever gets it compares sha256. It is audited as issued."""
    from weir.packages.downloading import download

    path = names.from_url(unquote(file))
    given = download(name, unquote(version), path, ttl, _asker(), _deps())
    return http.answer(200, download_view(given).model_dump(mode="json"), KEEP_NOWHERE)


_handler = http.entry(app, NEEDS)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """The Lambda entry point. The resolver knows no routes with characters that are percent-encoded on the wire."""
    return _handler({**event, "path": quote(str(event.get("path") or ""), safe=_AS_THEY_ARE)}, context)
