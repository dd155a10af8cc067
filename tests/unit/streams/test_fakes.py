"""The fake has the adapter's methods, or tests with it would prove nothing."""

import inspect

from tests.unit.streams.fakes import FakeKinesis
from weir.streams.kinesis import Kinesis


def test_the_fake_takes_what_the_adapter_takes() -> None:
    # Given every public method of the adapter
    methods = [name for name, _ in inspect.getmembers(Kinesis, inspect.isfunction) if not name.startswith("_")]

    # When the fake's is looked up, Then it is its own, and takes the same
    for name in methods:
        assert name in vars(FakeKinesis), name
        assert inspect.signature(getattr(FakeKinesis, name)) == inspect.signature(getattr(Kinesis, name)), name
