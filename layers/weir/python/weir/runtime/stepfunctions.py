"""Step Functions: start, stop and look at executions."""

import json
from typing import Any

from weir.runtime import aws


class Machine:
    """One state machine behind a botocore client."""

    def __init__(self, client: Any, arn: str) -> None:
        self._client = client
        self._arn = arn

    def start(self, name: str, document: dict[str, Any]) -> str:
        """Start an execution, or find the one of this name that was started before; its ARN."""
        try:
            answer = self._client.start_execution(stateMachineArn=self._arn, name=name, input=json.dumps(document))
        except Exception as error:
            if aws.kind(error) == "exists":
                return self.execution_arn(name)
            raise (aws.translate(error, f"starting {name}") if aws.is_aws_error(error) else error) from error
        return str(answer["executionArn"])

    def stop(self, name: str, cause: str) -> None:
        """Stop an execution; one that has ended, or never was, is left as it is."""
        try:
            self._client.stop_execution(executionArn=self.execution_arn(name), error="Stopped", cause=cause)
        except Exception as error:
            if aws.kind(error) in {"missing", "invalid"}:
                return
            raise (aws.translate(error, f"stopping {name}") if aws.is_aws_error(error) else error) from error

    def status(self, name: str) -> str | None:
        """RUNNING, SUCCEEDED, FAILED, TIMED_OUT or ABORTED; None where there is no such execution."""
        try:
            answer = self._client.describe_execution(executionArn=self.execution_arn(name))
        except Exception as error:
            if aws.kind(error) == "missing":
                return None
            raise (aws.translate(error, f"looking at {name}") if aws.is_aws_error(error) else error) from error
        return str(answer["status"])

    def execution_arn(self, name: str) -> str:
        """The ARN of an execution of this machine by name."""
        return f"{self._arn.replace(':stateMachine:', ':execution:')}:{name}"
