"""Amazon Bedrock's runtime: where it is, and requests to it signed with the function's own credentials (SigV4).

No client of botocore's is on the way of a request: it parses whole answers, and what passes here passes as it is.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from functools import lru_cache

from weir.runtime import aws
from weir.runtime.errors import UpstreamFailed

SERVICE = "bedrock"
"""The name that requests to ``bedrock-runtime`` are signed for."""


@lru_cache(maxsize=16)
def address(region: str) -> str:
    """The base URL of a region's runtime, as botocore knows it (partitions, FIPS, ``AWS_ENDPOINT_URL``)."""
    return str(aws.client("bedrock-runtime", region=region).meta.endpoint_url).rstrip("/")


def signed(url: str, headers: dict[str, str], body: bytes, region: str) -> dict[str, str]:
    """The headers of a POST, with its signature.

    Raises
    ------
    UpstreamFailed
        The function has no credentials, or they can't be had for the moment.
    """
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    request = AWSRequest(method="POST", url=url, headers=headers, data=body)
    try:
        SigV4Auth(aws.credentials(), SERVICE, region).add_auth(request)
    except Exception as error:
        if not aws.is_aws_error(error):
            raise
        raise UpstreamFailed("The gateway has no AWS credentials at the moment. Ask an operator.") from error
    return {name: str(value) for name, value in request.headers.items()}
