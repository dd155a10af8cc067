"""What a stream shall become, one call of Kinesis' at a time.

A call that changes a stream makes it UPDATING, and until it is ACTIVE again Kinesis takes no other. So a change is a
list of steps; the first is begun, the rest are told, and the same wish sent again goes on from what the stream has
become. Nothing is remembered elsewhere: the stream itself says what is left to do.
"""

from collections.abc import Callable
from typing import Any, Literal

from weir.runtime.errors import FieldError, Invalid
from weir.streams import tags as stream_tags
from weir.streams.errors import StreamBusy, StreamNotFound
from weir.streams.kinesis import BUSY_RETRY_SECONDS, Kinesis
from weir.streams.lifecycle import anybody, describe_stream, refuse_foreign
from weir.streams.models import Encryption, Mode, PatchAnswer, Step, Stream, StreamPatch
from weir.streams.resharding import legal_steps

Settled = Literal["settled", "waiting", "gone", "foreign"]


def patch_stream(
    kinesis: Kinesis, name: str, patch: StreamPatch, *, owns: Callable[[str | None], bool] = anybody
) -> PatchAnswer:
    """Begin the first step towards ``patch``; ``begun`` is None where the stream is already so.

    The stream in the answer is the one seen before the step.

    Raises
    ------
    StreamNotFound, NotManaged, NotOwned
    StreamBusy
        It is not ACTIVE; try again after ``retry_after`` seconds.
    Invalid
        A shard count for a stream that is, and stays, ON_DEMAND.
    """
    stream = describe_stream(kinesis, name)
    refuse_foreign(stream.name, stream.tags, owns)
    steps = steps_to(stream, patch)
    if stream.status != "ACTIVE":
        raise StreamBusy(f"Stream {name!r} is {stream.status}; try again.", retry_after=BUSY_RETRY_SECONDS)
    if not steps:
        return PatchAnswer(begun=None, remaining=(), stream=stream)
    begin(kinesis, stream, steps[0])
    return PatchAnswer(begun=steps[0], remaining=tuple(steps[1:]), stream=stream)


def steps_to(stream: Stream, patch: StreamPatch) -> list[Step]:
    """The calls that make ``stream`` what ``patch`` says, in their order; [] where it is so already."""
    steps: list[Step] = []
    mode = patch.mode or stream.mode
    if mode != stream.mode:
        steps.append(Step(setting="mode", target=mode))
    if patch.encryption is not None and not same_encryption(stream.encryption, patch.encryption):
        steps.append(Step(setting="encryption", target=patch.encryption))
    if patch.retention_hours not in {None, stream.retention_hours}:
        steps.append(Step(setting="retention_hours", target=patch.retention_hours))
    if patch.shard_level_metrics is not None:
        steps.extend(_metric_steps(set(stream.shard_level_metrics), set(patch.shard_level_metrics)))
    if patch.shard_count is not None:
        if mode == "ON_DEMAND":
            why = "an ON_DEMAND stream takes no shard_count; set mode to PROVISIONED first"
            raise Invalid(f"The stream can't become this: {why}.", errors=[FieldError("shard_count", why)])
        counts = legal_steps(stream.open_shard_count or 1, patch.shard_count)
        steps.extend(Step(setting="shard_count", target=count) for count in counts)
    return steps


def same_encryption(is_now: Encryption, wanted: Encryption) -> bool:
    """Whether both mean the same key; an id and an alias also match the ARN that ends in them."""
    if is_now.key_id is None or wanted.key_id is None:
        return is_now.type == wanted.type
    shorter, longer = sorted((is_now.key_id, wanted.key_id), key=len)
    return longer == shorter or (longer.startswith("arn:") and longer.endswith((f":{shorter}", f"/{shorter}")))


def _metric_steps(on: set[str], wanted: set[str]) -> list[Step]:
    steps = []
    if wanted - on:
        steps.append(Step(setting="shard_level_metrics", target=sorted(on | wanted)))
    if on - wanted:
        steps.append(Step(setting="shard_level_metrics", target=sorted(wanted)))
    return steps


def begin(kinesis: Kinesis, stream: Stream, step: Step) -> None:
    """Make the one call of a step. StreamBusy where the stream changed in the meantime."""
    name, target = stream.name, step.target
    match step.setting:
        case "mode":
            mode: Mode = target
            kinesis.update_mode(name, stream.arn, mode)
        case "encryption" if target.key_id is not None:
            kinesis.start_encryption(name, target.key_id)
        case "encryption":
            kinesis.stop_encryption(name, _key_in_use(stream))
        case "retention_hours" if target > stream.retention_hours:
            kinesis.increase_retention(name, target)
        case "retention_hours":
            kinesis.decrease_retention(name, target)
        case "shard_level_metrics":
            _begin_metrics(kinesis, stream, set(target))
        case "shard_count":
            kinesis.update_shard_count(name, target)


def _begin_metrics(kinesis: Kinesis, stream: Stream, wanted: set[Any]) -> None:
    on = set(stream.shard_level_metrics)
    if wanted - on:
        kinesis.enable_metrics(stream.name, sorted(wanted - on))
    else:
        kinesis.disable_metrics(stream.name, sorted(on - wanted))


def _key_in_use(stream: Stream) -> str:
    if stream.encryption.key_id is None:
        raise StreamBusy(f"Stream {stream.name!r} is not encrypted any more.", retry_after=BUSY_RETRY_SECONDS)
    return stream.encryption.key_id


def settle_stream(kinesis: Kinesis, name: str) -> Settled:
    """Give a new stream the settings that its ``weir:pending-*`` tags still ask for; call until it is not ``waiting``.

    Idempotent: what is applied is what differs from the stream as it is, and the tags go once nothing differs.

    Returns
    -------
    ``settled``: nothing is left to set. ``waiting``: a step was begun, or the stream is not ACTIVE. ``gone``: there is
    no such stream, or it is being deleted. ``foreign``: not managed, so it was not touched.
    """
    try:
        stream = describe_stream(kinesis, name)
    except StreamNotFound:
        return "gone"
    if not stream.managed:
        return "foreign"
    if stream.status == "DELETING":
        return "gone"
    if stream.pending is None:
        return "settled"
    if stream.status != "ACTIVE":
        return "waiting"
    steps = steps_to(stream, _wish(stream.pending.retention_hours, stream.pending.key_id))
    if not steps:
        kinesis.remove_tags(name, [stream_tags.PENDING_RETENTION, stream_tags.PENDING_KEY])
        return "settled"
    try:
        begin(kinesis, stream, steps[0])
    except StreamBusy:
        return "waiting"
    return "waiting"


def _wish(hours: int | None, key_id: str | None) -> StreamPatch:
    encryption = None if key_id is None else Encryption(type="KMS", key_id=key_id)
    return StreamPatch.model_construct(
        retention_hours=hours, encryption=encryption, mode=None, shard_count=None, shard_level_metrics=None
    )
