"""Changing a stream step by step, and settling a new one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.streams.fakes import FakeKinesis
from weir.runtime.errors import Invalid, Unavailable
from weir.streams import tags
from weir.streams.assertions import check_stream
from weir.streams.changes import patch_stream, same_encryption, settle_stream
from weir.streams.errors import KeyUnusable, NotManaged, StreamBusy, StreamNotFound
from weir.streams.lifecycle import describe_stream
from weir.streams.models import Encryption, StreamPatch, StreamSpec

OURS = {tags.MANAGED: "true", tags.STACK: "weir"}


def with_stream(**changes: object) -> FakeKinesis:
    kinesis = FakeKinesis()
    kinesis.add("ours", OURS, **changes)
    return kinesis


def apply_fully(kinesis: FakeKinesis, patch: StreamPatch) -> int:
    """Send the same patch until nothing is left to do; the stream becomes ACTIVE between."""
    sent = 0
    while patch_stream(kinesis, "ours", patch).begun is not None:
        sent += 1
        kinesis.streams["ours"].status = "ACTIVE"
        assert sent < 100
    return sent


def test_the_first_step_is_begun_and_the_rest_is_told() -> None:
    # Given a stream of one shard, When five are wanted
    kinesis = with_stream()
    answer = patch_stream(kinesis, "ours", StreamPatch(shard_count=5))

    # Then the first doubling is begun and the others are told
    assert answer.begun is not None
    assert answer.begun.target == 2
    assert [step.target for step in answer.remaining] == [4, 5]
    assert kinesis.streams["ours"].count == 2


def test_a_patch_that_is_already_true_begins_nothing() -> None:
    kinesis = with_stream(count=2, retention=48)
    answer = patch_stream(kinesis, "ours", StreamPatch(shard_count=2, retention_hours=48))
    assert (answer.begun, answer.remaining) == (None, ())


@given(
    count=st.integers(1, 40),
    retention=st.integers(24, 8760),
    metrics=st.sets(st.sampled_from(["IncomingBytes", "OutgoingBytes", "IncomingRecords"])),
    wanted_count=st.none() | st.integers(1, 40),
    wanted_retention=st.none() | st.integers(24, 8760),
    wanted_metrics=st.none() | st.sets(st.sampled_from(["IncomingBytes", "OutgoingBytes", "OutgoingRecords"])),
    wanted_encryption=st.none() | st.sampled_from([Encryption(), Encryption(type="KMS", key_id="alias/other")]),
)
def test_the_same_patch_sent_again_ends_at_what_it_says(
    count: int,
    retention: int,
    metrics: set[str],
    wanted_count: int | None,
    wanted_retention: int | None,
    wanted_metrics: set[str] | None,
    wanted_encryption: Encryption | None,
) -> None:
    # Given any stream, and any wish for it
    kinesis = with_stream(count=count, retention=retention, metrics=set(metrics), key_id="alias/mine")
    values = {
        "shard_count": wanted_count,
        "retention_hours": wanted_retention,
        "shard_level_metrics": None if wanted_metrics is None else tuple(wanted_metrics),
        "encryption": wanted_encryption,
    }
    given_values = {name: value for name, value in values.items() if value is not None}
    if not given_values:
        return

    # When the patch is sent until nothing is left
    apply_fully(kinesis, StreamPatch.model_validate(given_values))

    # Then the stream is so, and what was not named is as it was
    stream = kinesis.streams["ours"]
    assert stream.count == (wanted_count or count)
    assert stream.retention == (wanted_retention or retention)
    assert stream.metrics == (metrics if wanted_metrics is None else wanted_metrics)
    assert stream.key_id == ("alias/mine" if wanted_encryption is None else wanted_encryption.key_id)


def test_the_mode_is_changed_before_the_shards_are_counted() -> None:
    kinesis = with_stream(mode="ON_DEMAND", count=4)
    sent = apply_fully(kinesis, StreamPatch(mode="PROVISIONED", shard_count=1))
    assert sent == 3
    assert kinesis.calls.index("update_mode") < kinesis.calls.index("update_shard_count")
    assert (kinesis.streams["ours"].mode, kinesis.streams["ours"].count) == ("PROVISIONED", 1)


def test_an_on_demand_stream_takes_no_shard_count() -> None:
    kinesis = with_stream(mode="ON_DEMAND", count=4)
    with pytest.raises(Invalid) as refused:
        patch_stream(kinesis, "ours", StreamPatch(shard_count=2))
    assert refused.value.errors[0].field == "shard_count"
    assert kinesis.streams["ours"].count == 4


@pytest.mark.parametrize("status", ["CREATING", "UPDATING", "DELETING"])
def test_a_busy_stream_is_to_be_changed_later(status: str) -> None:
    kinesis = with_stream(status=status)
    with pytest.raises(StreamBusy) as busy:
        patch_stream(kinesis, "ours", StreamPatch(retention_hours=48))
    assert busy.value.retry_after == 5
    assert kinesis.streams["ours"].retention == 24


def test_only_streams_of_weirs_are_changed() -> None:
    kinesis = FakeKinesis()
    kinesis.add("theirs")
    with pytest.raises(NotManaged):
        patch_stream(kinesis, "theirs", StreamPatch(retention_hours=48))
    with pytest.raises(StreamNotFound):
        patch_stream(kinesis, "none", StreamPatch(retention_hours=48))
    assert kinesis.streams["theirs"].retention == 24


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("alias/aws/kinesis", "alias/aws/kinesis", True),
        ("1234", "arn:aws:kms:eu-west-1:1:key/1234", True),
        ("alias/mine", "arn:aws:kms:eu-west-1:1:alias/mine", True),
        ("alias/mine", "alias/other", False),
        ("mine", "alias/mine", False),
        ("1234", "arn:aws:kms:eu-west-1:1:key/01234", False),
    ],
)
def test_the_same_key_by_other_names(one: str, other: str, same: bool) -> None:
    first, second = Encryption(type="KMS", key_id=one), Encryption(type="KMS", key_id=other)
    assert same_encryption(first, second) is same
    assert same_encryption(second, first) is same


def settle_fully(kinesis: FakeKinesis) -> list[str]:
    told: list[str] = []
    while not told or told[-1] == "waiting":
        told.append(settle_stream(kinesis, "ours"))
        kinesis.streams["ours"].status = "ACTIVE"
        assert len(told) < 10
    return told


def test_a_new_stream_gets_its_settings_once_it_is_active() -> None:
    # Given a stream that is CREATING, with retention and a key pending
    pending = {tags.PENDING_RETENTION: "48", tags.PENDING_KEY: "alias/mine"}
    kinesis = FakeKinesis()
    kinesis.add("ours", {**OURS, **pending}, status="CREATING")

    # When it is settled until it is
    told = settle_fully(kinesis)

    # Then it waited, set both, saw that both are so, and no longer says that anything is pending
    assert told == ["waiting", "waiting", "waiting", "settled"]
    stream = describe_stream(kinesis, "ours")
    assert (stream.retention_hours, stream.encryption.key_id, stream.pending) == (48, "alias/mine", None)
    spec = StreamSpec(
        name="ours", shard_count=1, retention_hours=48, encryption=Encryption(type="KMS", key_id="alias/mine")
    )
    assert check_stream(spec, stream, OURS) == []


def test_settling_again_does_nothing() -> None:
    kinesis = with_stream()
    assert settle_stream(kinesis, "ours") == "settled"
    assert set(kinesis.calls) == {"summary", "tags"}


def test_what_is_gone_or_not_ours_is_not_settled() -> None:
    kinesis = FakeKinesis()
    kinesis.add("theirs", {tags.PENDING_RETENTION: "48"})
    kinesis.add("going", {**OURS, tags.PENDING_RETENTION: "48"}, status="DELETING")
    assert settle_stream(kinesis, "none") == "gone"
    assert settle_stream(kinesis, "theirs") == "foreign"
    assert settle_stream(kinesis, "going") == "gone"
    assert kinesis.streams["theirs"].retention == 24


def test_a_stream_that_changed_in_between_is_waited_for() -> None:
    kinesis = FakeKinesis()
    kinesis.add("ours", {**OURS, tags.PENDING_RETENTION: "48"})
    kinesis.failures["increase_retention"] = [StreamBusy("updating", retry_after=5)]
    assert settle_fully(kinesis) == ["waiting", "waiting", "settled"]


@pytest.mark.parametrize("failure", [KeyUnusable("disabled"), Unavailable("down")])
def test_a_real_failure_is_told(failure: KeyUnusable | Unavailable) -> None:
    kinesis = FakeKinesis()
    kinesis.add("ours", {**OURS, tags.PENDING_KEY: "alias/mine"})
    kinesis.failures["start_encryption"] = [failure]
    with pytest.raises(type(failure)):
        settle_stream(kinesis, "ours")


def test_every_difference_is_told_in_words() -> None:
    # Given a stream that is other than asked in every way
    kinesis = with_stream(status="UPDATING", mode="ON_DEMAND", count=4, retention=25, key_id="alias/other")
    spec = StreamSpec(name="ours", shard_count=3, tags={"team": "a"})

    # When it is held against its spec, Then each difference is a sentence
    stream = describe_stream(kinesis, "ours")
    assert check_stream(spec, stream, {tags.RUN_ID: "r"}) == [
        "status: expected ACTIVE, AWS says UPDATING",
        "mode: expected PROVISIONED, AWS says ON_DEMAND",
        "open shards: expected 3, AWS says 4",
        "retention hours: expected 24, AWS says 25",
        "encryption: expected NONE, AWS says KMS alias/other",
        "tag team: expected a, AWS says no such tag",
        "tag weir:run-id: expected r, AWS says no such tag",
    ]
