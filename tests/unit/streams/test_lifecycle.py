"""Creating, describing and deleting streams."""

import pytest

from tests.unit.streams.fakes import ACCOUNT, FakeKinesis, FakeTime
from weir.runtime.errors import TooManyRequests, Unavailable
from weir.streams import tags
from weir.streams.errors import (
    ForceNotAllowed,
    NotKnownYet,
    NotManaged,
    StreamBusy,
    StreamExists,
    StreamNotFound,
    StreamQuotaExceeded,
)
from weir.streams.lifecycle import create_stream, delete_stream, describe_stream
from weir.streams.models import Encryption, Stream, StreamSlo, StreamSpec

SPEC = StreamSpec(name="orders", shard_count=3, tags={"team": "a"}, expires_in=600)
OURS = {tags.MANAGED: "true", tags.STACK: "weir"}


def create(
    kinesis: FakeKinesis, spec: StreamSpec = SPEC, run_id: str | None = "run-1", sent: list[str] | None = None
) -> Stream:
    settle = None if sent is None else sent.append
    clock = FakeTime().clock()
    return create_stream(kinesis, spec, owner="ann", run_id=run_id, clock=clock, account=lambda: ACCOUNT, settle=settle)


def test_a_stream_carries_its_tags_from_the_first_moment() -> None:
    # Given an empty account
    kinesis = FakeKinesis()
    kinesis.created_as = "CREATING"

    # When a stream is created
    stream = create(kinesis)

    # Then it is answered while CREATING, and its tags were given to CreateStream itself
    assert stream.status == "CREATING"
    assert stream.tags == {
        "team": "a",
        "weir:managed": "true",
        "weir:stack": "weir",
        "weir:owner": "ann",
        "weir:run-id": "run-1",
        "weir:expires-at": "2026-11-21T12:10:00Z",
        "weir:slo-data-latency-ms": "10000",
        "weir:slo-iterator-age-ms": "43200000",
    }
    assert (stream.managed, stream.run_id, stream.owner) == (True, "run-1", "ann")
    assert (stream.account_id, stream.region) == ("210987654321", "eu-west-1")
    assert "add_tags" not in kinesis.calls


def test_tags_that_a_read_back_shows_missing_are_added() -> None:
    # Given an AWS that drops tags at create
    kinesis = FakeKinesis()
    kinesis.keeps_tags = False

    # When a stream is created, Then it is tagged nevertheless
    stream = create(kinesis)
    assert kinesis.streams["orders"].tags == stream.tags
    assert stream.managed


def test_a_stream_that_cannot_be_tagged_is_not_left_behind() -> None:
    # Given an AWS that drops tags, and then refuses to add them
    kinesis = FakeKinesis()
    kinesis.keeps_tags = False
    kinesis.failures["add_tags"] = [Unavailable("down", retry_after=5)]

    # When a stream is created, Then the failure is told and the stream is being deleted
    with pytest.raises(Unavailable):
        create(kinesis)
    assert kinesis.streams["orders"].status == "DELETING"


def test_a_failed_second_look_does_not_turn_success_into_an_error() -> None:
    # Given a Kinesis that is throttled after CreateStream
    kinesis = FakeKinesis()
    kinesis.failures = {"tags": [TooManyRequests("slow")], "summary": [StreamNotFound("not yet")]}

    # When a stream is created, Then the answer is made of what was asked, with the real account
    stream = create(kinesis)
    assert stream.status == "CREATING"
    assert stream.arn == "arn:aws:kinesis:eu-west-1:210987654321:stream/orders"
    assert stream.managed


def test_the_stream_of_a_lost_try_is_adopted() -> None:
    # Given the stream that an earlier try for the same run made
    kinesis = FakeKinesis()
    create(kinesis)

    # When it is created again, Then it is answered as if it were new
    assert create(kinesis).run_id == "run-1"


@pytest.mark.parametrize(
    "found",
    [
        {},
        {tags.MANAGED: "true", tags.STACK: "weir", tags.RUN_ID: "run-2"},
        {tags.MANAGED: "true", tags.STACK: "weir"},
        {tags.RUN_ID: "run-1"},
        {tags.MANAGED: "false", tags.STACK: "weir", tags.RUN_ID: "run-1"},
    ],
)
def test_any_other_stream_of_that_name_is_left_alone(found: dict[str, str]) -> None:
    # Given a stream of that name which is not of this run
    kinesis = FakeKinesis()
    kinesis.add("orders", found)

    # When it is created, Then that is a conflict, and nothing was done to the stream
    with pytest.raises(StreamExists):
        create(kinesis)
    assert kinesis.streams["orders"].tags == found
    assert kinesis.streams["orders"].status == "ACTIVE"


def test_without_a_run_nothing_is_adopted() -> None:
    kinesis = FakeKinesis()
    kinesis.add("orders", OURS)
    with pytest.raises(StreamExists):
        create(kinesis, run_id=None)


def test_no_room_in_the_account_is_told_before_anything_is_made() -> None:
    # Given an account with room for two more shards
    kinesis = FakeKinesis()
    kinesis.most_shards = 2

    # When three are asked for, Then it is refused with numbers and a time to come back, and nothing was created
    with pytest.raises(StreamQuotaExceeded, match="may have 2 shards and has 0") as refused:
        create(kinesis)
    assert refused.value.retry_after is not None
    assert "create" not in kinesis.calls


def test_the_shards_of_a_lost_try_do_not_stand_in_its_own_way() -> None:
    # Given a try whose answer got lost, and whose shards were the last that the account had room for
    kinesis = FakeKinesis()
    kinesis.most_shards = 3
    create(kinesis)

    # When the same run tries again, Then its stream is adopted; and another run is refused
    assert create(kinesis).run_id == "run-1"
    with pytest.raises(StreamQuotaExceeded):
        create(kinesis, run_id="run-2")
    with pytest.raises(StreamQuotaExceeded):
        create(kinesis, SPEC.model_copy(update={"name": "more"}))


def test_a_stream_that_exists_and_is_not_told_of_yet_is_to_be_asked_for_again() -> None:
    # Given the stream of a lost try, whose tags Kinesis does not tell yet
    kinesis = FakeKinesis()
    create(kinesis)
    kinesis.failures["tags"] = [StreamNotFound("not yet")]

    # When it is created again, Then that is a failure that passes, and the next try adopts it
    with pytest.raises(NotKnownYet):
        create(kinesis)
    assert create(kinesis).run_id == "run-1"


def test_the_quota_of_on_demand_streams_is_theirs() -> None:
    kinesis = FakeKinesis()
    spec = StreamSpec(name="first", mode="ON_DEMAND")
    create(kinesis, spec)
    with pytest.raises(StreamQuotaExceeded):
        create(kinesis, spec.model_copy(update={"name": "second"}))


def test_throttled_limits_leave_the_decision_to_create_stream() -> None:
    kinesis = FakeKinesis()
    kinesis.failures["limits"] = [TooManyRequests("once a second")]
    assert create(kinesis).name == "orders"


def test_what_create_stream_cannot_set_is_written_down_and_queued_first() -> None:
    # Given a stream with retention and encryption
    kinesis = FakeKinesis()
    order: list[str] = []
    encryption = Encryption(type="KMS", key_id="alias/mine")
    spec = SPEC.model_copy(update={"retention_hours": 48, "encryption": encryption})

    # When it is created
    def settle(name: str) -> None:
        order.append(f"queued {name}, created: {'create' in kinesis.calls}")

    clock = FakeTime().clock()
    stream = create_stream(kinesis, spec, owner="ann", run_id="r", clock=clock, account=lambda: ACCOUNT, settle=settle)

    # Then the reminder went out before the stream was made, and the stream itself says what is pending
    assert order == ["queued orders, created: False"]
    assert stream.pending is not None
    assert (stream.pending.retention_hours, stream.pending.key_id) == (48, "alias/mine")


def test_a_lost_reminder_means_no_stream() -> None:
    kinesis = FakeKinesis()

    def settle(name: str) -> None:
        raise Unavailable("SQS is away")

    with pytest.raises(Unavailable):
        create_stream(
            kinesis,
            SPEC.model_copy(update={"retention_hours": 48}),
            owner="ann",
            run_id="r",
            clock=FakeTime().clock(),
            account=lambda: ACCOUNT,
            settle=settle,
        )
    assert kinesis.streams == {}


def test_a_stream_with_nothing_pending_and_no_alarms_to_make_needs_no_reminder() -> None:
    sent: list[str] = []
    assert create(FakeKinesis(), SPEC.model_copy(update={"slo": None}), sent=sent).pending is None
    assert sent == []


@pytest.mark.parametrize(
    ("slo", "hours", "told"),
    [
        (None, 24, (None, None)),
        (StreamSlo(), 24, ("10000", "43200000")),
        (StreamSlo(), 168, ("10000", "302400000")),
        (StreamSlo(data_latency_ms=500, iterator_age_ms=60_000), 168, ("500", "60000")),
    ],
)
def test_the_service_levels_stand_on_the_stream(
    slo: StreamSlo | None, hours: int, told: tuple[str | None, str | None]
) -> None:
    # Given a stream with service levels / When it is created
    sent: list[str] = []
    stream = create(FakeKinesis(), SPEC.model_copy(update={"slo": slo, "retention_hours": hours}), sent=sent)
    # Then they are on its tags, for whoever makes its alarms; half of the retention where no age was given
    assert (stream.tags.get(tags.SLO_LATENCY), stream.tags.get(tags.SLO_ITERATOR_AGE)) == told
    assert sent == ([] if slo is None and hours == 24 else ["orders"])


def test_an_unknown_stream_is_not_found() -> None:
    with pytest.raises(StreamNotFound):
        describe_stream(FakeKinesis(), "none")
    with pytest.raises(StreamNotFound):
        delete_stream(FakeKinesis(), "none")


@pytest.mark.parametrize(
    "found", [{}, {tags.MANAGED: "false", tags.STACK: "weir"}, {"managed": "true"}, {tags.RUN_ID: "run-1"}]
)
def test_a_stream_that_weir_did_not_make_is_not_deleted(found: dict[str, str]) -> None:
    # Given a look-alike, by name or by other tags
    kinesis = FakeKinesis()
    kinesis.add("weir-run-lookalike", found)

    # When it is deleted, Then it is refused and untouched
    with pytest.raises(NotManaged):
        delete_stream(kinesis, "weir-run-lookalike", is_admin=True)
    assert kinesis.streams["weir-run-lookalike"].status == "ACTIVE"


def test_force_is_for_admins_alone() -> None:
    # Given a stream that Weir did not make
    kinesis = FakeKinesis()
    kinesis.add("theirs")

    # When force comes from another, Then no; and from an admin, Then yes
    with pytest.raises(ForceNotAllowed):
        delete_stream(kinesis, "theirs", force=True)
    assert kinesis.streams["theirs"].status == "ACTIVE"
    delete_stream(kinesis, "theirs", force=True, is_admin=True)
    assert kinesis.streams["theirs"].status == "DELETING"


@pytest.mark.parametrize("status", ["CREATING", "UPDATING"])
def test_a_busy_stream_is_to_be_deleted_later(status: str) -> None:
    kinesis = FakeKinesis()
    kinesis.add("ours", OURS, status=status)
    with pytest.raises(StreamBusy) as busy:
        delete_stream(kinesis, "ours")
    assert busy.value.retry_after == 5


def test_deleting_what_is_being_deleted_is_no_error() -> None:
    kinesis = FakeKinesis()
    kinesis.add("ours", OURS, status="DELETING")
    delete_stream(kinesis, "ours")
