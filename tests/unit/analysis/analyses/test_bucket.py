"""The bucket: kept, read, read by a URL, deleted over all pages; and what AWS refuses is told."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.unit.analysis.analyses.world import World
from tests.unit.analysis.measurements import measured
from weir.analysis.analyses.bucket import AnalysesBucket, Measurements, NotKept, part_key, result_key
from weir.analysis.measurement import Measurement, measurement_key
from weir.runs.bucket import RunsBucket
from weir.runtime.errors import TooManyRequests, Unavailable, UpstreamFailed


def test_documents_come_back_and_what_is_not_there_is_told(world: World) -> None:
    world.bucket.save(part_key("a", "found", 3), [{"x": "é"}])
    assert world.bucket.load("analyses/a/found/00003") == [{"x": "é"}]
    with pytest.raises(NotKept):
        world.bucket.load(part_key("a", "found", 4))


def test_what_a_run_measured_is_read_where_runs_keep_it(aws: dict[str, Any]) -> None:
    # Given the measurement that a run has stored
    aws["s3"].create_bucket(Bucket="runs-of-these")
    RunsBucket(aws["s3"], "runs-of-these").save(measurement_key("run-1"), measured().to_dict())
    # Then an analysis reads the same, and is told of one that is not there
    kept = Measurements(aws["s3"], "runs-of-these")
    assert Measurement.from_dict(kept.load("run-1")) == measured()
    with pytest.raises(NotKept):
        kept.load("run-2")


def test_what_is_too_much_is_not_read(world: World) -> None:
    world.bucket.write(result_key("b", "report.html"), b"x" * 100, "text/html")
    assert world.bucket.read("analyses/b/report.html", 100) == b"x" * 100
    assert world.bucket.read("analyses/b/report.html", 99) is None


def test_all_of_an_analysis_is_deleted_and_nothing_of_another(aws: dict[str, Any], monkeypatch: Any) -> None:
    # Given more objects than a page of a listing, and another analysis whose id begins alike
    bucket = AnalysesBucket(aws["s3"], "analyses")
    for number in range(7):
        bucket.write(part_key("many", "found", number), b"x", "text/plain")
    bucket.write(part_key("many-more", "found", 0), b"x", "text/plain")
    plain = aws["s3"].list_objects_v2
    monkeypatch.setattr(aws["s3"], "list_objects_v2", lambda **asked: plain(MaxKeys=3, **asked))
    bucket.delete_all("many")
    assert plain(Bucket="analyses", Prefix="analyses/many/")["KeyCount"] == 0
    assert plain(Bucket="analyses", Prefix="analyses/many-more/")["KeyCount"] == 1
    bucket.delete_all("many")


@pytest.mark.parametrize(
    ("code", "raised"),
    [("SlowDown", TooManyRequests), ("InternalError", Unavailable), ("AccessDenied", UpstreamFailed)],
)
def test_what_aws_refuses_is_told(code: str, raised: type[Exception]) -> None:
    class Refusing:
        def put_object(self, **_: Any) -> None:
            raise ClientError({"Error": {"Code": code, "Message": ""}}, "PutObject")

    with pytest.raises(raised):
        AnalysesBucket(Refusing(), "b").write("k", b"", "text/plain")
