"""SNS: a topic that people and programs follow."""

from collections.abc import Mapping
from typing import Any

from weir.runtime import aws


class Topic:
    """The topic behind one botocore client."""

    def __init__(self, client: Any, arn: str) -> None:
        self._client, self._arn = client, arn

    def publish(self, subject: str, message: str, attributes: Mapping[str, str]) -> None:
        """Tell everybody who follows it; they may filter by ``attributes``. WeirError where SNS refuses or fails."""
        told = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
        try:
            self._client.publish(TopicArn=self._arn, Subject=subject, Message=message, MessageAttributes=told)
        except Exception as error:
            if not aws.is_aws_error(error):
                raise
            raise aws.translate(error, "telling the topic") from error
