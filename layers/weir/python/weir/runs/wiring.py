"""The composition root of the run: adapters made once for a process, from its settings, and handed to the use cases."""

from dataclasses import dataclass
from functools import lru_cache

from weir.runs.bucket import RunsBucket
from weir.runs.table import RunsTable
from weir.runtime import aws
from weir.runtime.clock import SYSTEM, Clock
from weir.runtime.settings import Settings, settings
from weir.runtime.stepfunctions import Machine
from weir.streams import sts
from weir.streams.alarming import Alarming
from weir.streams.cloudwatch import Alarms, Metrics
from weir.streams.kinesis import Kinesis
from weir.streams.sts import Account


@dataclass(frozen=True, slots=True)
class Wiring:
    """What the use cases of a run speak to."""

    conf: Settings
    clock: Clock
    table: RunsTable
    bucket: RunsBucket

    @property
    def kinesis(self) -> Kinesis:
        """Kinesis' control plane, and reading."""
        return Kinesis(aws.client("kinesis"))

    @property
    def metrics(self) -> Metrics:
        """CloudWatch."""
        return Metrics(aws.client("cloudwatch"))

    @property
    def alarming(self) -> Alarming | None:
        """The alarms of streams; None where there is no topic for them to tell."""
        if not self.conf.alerts_topic_arn:
            return None
        return Alarming(Alarms(aws.client("cloudwatch")), self.conf.stack, self.conf.alerts_topic_arn)

    @property
    def run_machine(self) -> Machine:
        """The state machine that runs."""
        return Machine(aws.client("stepfunctions"), settings(needs=("run_machine_arn",)).run_machine_arn)

    @property
    def cleanup_machine(self) -> Machine:
        """The state machine that cleans up behind a run that can't do so itself any more."""
        return Machine(aws.client("stepfunctions"), settings(needs=("cleanup_machine_arn",)).cleanup_machine_arn)

    def account(self) -> Account:
        """The account and region."""
        return sts.account(aws.client("sts"))

    def stream_name(self, run_id: str) -> str:
        """The name of a run's stream, which follows from its id."""
        return f"{self.conf.run_stream_prefix}{run_id}"


@lru_cache(maxsize=1)
def wiring() -> Wiring:
    """This process's wiring. SettingsError where the table or the bucket is not configured."""
    conf = settings(needs=("runs_table", "runs_bucket"))
    return Wiring(conf, SYSTEM, runs_table(), RunsBucket(aws.client("s3"), conf.runs_bucket))


def runs_table() -> RunsTable:
    """The runs table alone, for who sees nothing else of runs. SettingsError where it is not configured."""
    return RunsTable(aws.client("dynamodb"), settings(needs=("runs_table",)).runs_table, SYSTEM)
