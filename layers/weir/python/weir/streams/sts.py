"""Adapter to STS: whose account this is. Asked once per environment, never assumed.

Where STS does not answer, the id is read from an ARN that AWS itself gave this process (the function's own), and the
answer says that it is a fallback. A fallback is not remembered: the next call asks STS again.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from weir.runtime import aws


@dataclass(frozen=True, slots=True)
class Account:
    """The account and region that calls go to. ``source`` tells whether STS said so, or an ARN of ours."""

    id: str
    region: str
    source: Literal["sts", "fallback"]
    partition: str = "aws"

    def stream_arn(self, name: str) -> str:
        """The ARN of a stream of this account and region, by AWS's documented form."""
        return f"arn:{self.partition}:kinesis:{self.region}:{self.id}:stream/{name}"


def account(client: Any, *, function_arn: str | None = None) -> Account:
    """The account, from STS or else from ``function_arn``.

    Raises
    ------
    WeirError
        What ``aws.translate`` makes of STS's failure, where there is no ARN to fall back on.
    """
    try:
        return _from_sts(client)
    except Exception as error:
        if not aws.is_aws_error(error):
            raise
        if function_arn is None:
            raise aws.translate(error, "asking STS for the account") from error
    _, partition, _, region, account_id, *_ = function_arn.split(":")
    return Account(account_id, region, "fallback", partition)


@lru_cache(maxsize=4)
def _from_sts(client: Any) -> Account:
    answer = client.get_caller_identity()
    return Account(answer["Account"], str(client.meta.region_name), "sts", answer["Arn"].split(":")[1])
