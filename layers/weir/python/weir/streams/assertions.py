"""What AWS says about a stream, held against what was asked: asserted, not printed."""

from collections.abc import Mapping

from weir.streams.changes import same_encryption
from weir.streams.models import Stream, StreamSpec


def check_stream(expected: StreamSpec, stream: Stream, tags: Mapping[str, str]) -> list[str]:
    """Every way in which an ACTIVE, settled stream differs from its spec, a sentence each; [] where it does not.

    Parameters
    ----------
    tags
        Tags that the stream must carry beside those of the spec (Weir's own, say).
    """
    wrong: list[str] = []

    def expect(what: str, wanted: object, found: object) -> None:
        if wanted != found:
            wrong.append(f"{what}: expected {wanted}, AWS says {found}")

    expect("status", "ACTIVE", stream.status)
    expect("mode", expected.mode, stream.mode)
    if expected.shard_count is not None:
        expect("open shards", expected.shard_count, stream.open_shard_count)
    expect("retention hours", expected.retention_hours, stream.retention_hours)
    if not same_encryption(stream.encryption, expected.encryption):
        expect("encryption", _named(expected), f"{stream.encryption.type} {stream.encryption.key_id or ''}".strip())
    for key, value in {**expected.tags, **tags}.items():
        expect(f"tag {key}", value, stream.tags.get(key, "no such tag"))
    return wrong


def _named(spec: StreamSpec) -> str:
    return f"{spec.encryption.type} {spec.encryption.key_id or ''}".strip()
