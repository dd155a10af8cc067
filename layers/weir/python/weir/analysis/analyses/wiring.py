"""The composition root of analyses: adapters made once for a process, from its settings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from weir.analysis.analyses.bucket import AnalysesBucket, Measurements
from weir.analysis.analyses.table import Analyses
from weir.analysis.telling.prompts import Prompts
from weir.runtime import aws
from weir.runtime.clock import SYSTEM, Clock
from weir.runtime.dynamodb import Table
from weir.runtime.settings import settings
from weir.runtime.sns import Topic
from weir.runtime.stepfunctions import Machine
from weir.streams.cloudwatch import Metrics
from weir.streams.kinesis import Kinesis

__all__ = ["Deps", "deps"]


@dataclass(frozen=True, slots=True)
class Deps:
    """What the use cases of analyses speak to."""

    clock: Clock
    analyses: Analyses
    prompts: Prompts
    bucket: AnalysesBucket

    @property
    def kinesis(self) -> Kinesis:
        """Kinesis' control plane."""
        return Kinesis(aws.client("kinesis"))

    @property
    def metrics(self) -> Metrics:
        """CloudWatch."""
        return Metrics(aws.client("cloudwatch"))

    @property
    def measurements(self) -> Measurements:
        """What runs measured."""
        return Measurements(aws.client("s3"), settings(needs=("runs_bucket",)).runs_bucket)

    @property
    def machine(self) -> Machine:
        """The state machine that analyzes."""
        return Machine(aws.client("stepfunctions"), settings(needs=("analysis_machine_arn",)).analysis_machine_arn)

    @property
    def topic(self) -> Topic:
        """Where findings that got worse are told."""
        return Topic(aws.client("sns"), settings(needs=("alerts_topic_arn",)).alerts_topic_arn)


@lru_cache(maxsize=1)
def deps() -> Deps:
    """This process's adapters. SettingsError where the table or the bucket is not configured."""
    conf = settings(needs=("analyses_table", "analyses_bucket"))
    table = Table(aws.client("dynamodb"), conf.analyses_table)
    bucket = AnalysesBucket(aws.client("s3"), conf.analyses_bucket)
    return Deps(SYSTEM, Analyses(table, SYSTEM), Prompts(table, SYSTEM), bucket)
