"""The template as data: resources, routes, environments with every reference replaced by a physical name.

CloudFormation's intrinsic functions are resolved as far as the template uses them, for a stack ``weir`` in a made-up
account: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference.html
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from local.open_routes import NO_AUTHORIZER, parse

ROOT = Path(__file__).parents[2]
ACCOUNT, REGION, STACK = "123456789012", "eu-west-1", "weir"
PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackName": STACK,
    "AWS::URLSuffix": "amazonaws.com",
}
API_TIMEOUT_SECONDS = 29
"""API Gateway's integration time-out: https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html"""

Resource = dict[str, Any]


class Route(NamedTuple):
    """One route of the API: what API Gateway matches, the function behind it, and whether anybody may call it."""

    method: str
    path: str
    function: str
    is_open: bool = False

    @property
    def name(self) -> str:
        """As ``NEEDS`` has it."""
        return f"{self.method} {self.path}"

    @property
    def parameters(self) -> list[str]:
        """The names of its path parameters."""
        return re.findall(r"{(\w+)}", self.path)


@lru_cache(maxsize=1)
def template() -> dict[str, Any]:
    """The template, with ``!Ref X`` as ``{"Ref": "X"}``."""
    return parse((ROOT / "template.yaml").read_text(encoding="utf-8"))


@cache
def resources(kind: str) -> dict[str, Resource]:
    """Resources of a type, by logical id."""
    return {name: one for name, one in template()["Resources"].items() if one["Type"] == kind}


@lru_cache(maxsize=1)
def functions() -> dict[str, dict[str, Any]]:
    """Properties of every function, its own over the globals."""
    shared = template()["Globals"]["Function"]
    return {name: shared | one["Properties"] for name, one in resources("AWS::Serverless::Function").items()}


def events(function: str) -> dict[str, dict[str, Any]]:
    """The triggers of a function, by name."""
    found: dict[str, dict[str, Any]] = functions()[function].get("Events", {})
    return found


def routes() -> list[Route]:
    """Every route of the API but those that stream, in the template's order."""
    return _routes(streamed=False)


def streamed_routes() -> list[Route]:
    """The routes that answer in streams, each guarded by the function behind it."""
    return _routes(streamed=True)


def web_functions() -> set[str]:
    """The functions that are servers of HTTP, behind the Lambda Web Adapter."""
    return {name for name in functions() if "AWS_LAMBDA_EXEC_WRAPPER" in environment(name)}


@lru_cache(maxsize=2)
def _routes(*, streamed: bool) -> list[Route]:
    return [
        Route(
            event["Properties"]["Method"].upper(),
            event["Properties"]["Path"],
            name,
            event["Properties"].get("Auth") == {"Authorizer": NO_AUTHORIZER},
        )
        for name in functions()
        for event in events(name).values()
        if event["Type"] == "Api" and ("ResponseTransferMode" in event["Properties"]) == streamed
    ]


def authorizer() -> str:
    """The function that every route which is not open is guarded by."""
    (api,) = resources("AWS::Serverless::Api").values()
    auth = api["Properties"]["Auth"]
    named: dict[str, Any] = auth["Authorizers"][auth["DefaultAuthorizer"]]["FunctionArn"]
    return str(named["GetAtt"]).removesuffix(".Arn")


def gateway_response(kind: str) -> dict[str, Any]:
    """What API Gateway itself answers in a case such as UNAUTHORIZED."""
    (api,) = resources("AWS::Serverless::Api").values()
    found: dict[str, Any] = api["Properties"]["GatewayResponses"][kind]
    return found


def secret_text(name: str) -> str:
    """A value of a secret, of the form that the template has it made in."""
    properties = resources("AWS::SecretsManager::Secret")[name]["Properties"]
    if "SecretString" in properties:
        return str(properties["SecretString"])
    asked = properties["GenerateSecretString"]
    drawn = (hashlib.sha256(name.encode()).hexdigest() * 2)[: asked["PasswordLength"]]
    if "SecretStringTemplate" not in asked:
        return drawn
    return json.dumps({**json.loads(asked["SecretStringTemplate"]), asked["GenerateStringKey"]: drawn})


def environment(function: str) -> dict[str, str]:
    """The variables that the template gives a function, resolved."""
    shared = template()["Globals"]["Function"]["Environment"]["Variables"]
    own = functions()[function].get("Environment", {}).get("Variables", {})
    return {name: str(resolve(value)) for name, value in (shared | own).items()}


def folder(function: str) -> str:
    """The folder under ``functions/`` that a function is made of."""
    return str(functions()[function]["CodeUri"]).removeprefix("functions/")


def statements(policies: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The statements of policies that are written out; named ones (SAM's, AWS's) give none."""
    for policy in policies:
        if isinstance(policy, dict) and "Statement" in policy:
            yield from policy["Statement"]


def many(value: Any) -> list[Any]:
    """A list as it is, and a single value as a list of one, as IAM takes both."""
    return value if isinstance(value, list) else [value]


def machines() -> dict[str, dict[str, Any]]:
    """The state machine definitions, by logical id."""
    return {
        name: json.loads((ROOT / one["Properties"]["DefinitionUri"]).read_text(encoding="utf-8"))
        for name, one in resources("AWS::Serverless::StateMachine").items()
    }


def dashboard() -> str:
    """The dashboard's body, its references replaced."""
    (board,) = resources("AWS::CloudWatch::Dashboard").values()
    return str(resolve(board["Properties"]["DashboardBody"]))


def resolve(value: Any) -> Any:
    """A value of the template with its intrinsic functions worked out."""
    if isinstance(value, list):
        return [resolve(one) for one in value]
    if not isinstance(value, Mapping):
        return value
    match list(value.items()):
        case [("Ref", name)]:
            return reference(name)
        case [("GetAtt", path)]:
            return attribute(*str(path).split(".", 1))
        case [("Sub", text)]:
            return re.sub(r"\$\{([^}]+)}", lambda found: str(_substitute(found[1])), text)
        case _:
            return {key: resolve(one) for key, one in value.items()}


def _substitute(name: str) -> Any:
    return attribute(*name.split(".", 1)) if "." in name else reference(name)


def reference(name: str) -> Any:
    """What ``Ref`` gives: a pseudo parameter, a parameter's default, or a resource's physical id."""
    if name in PSEUDO:
        return PSEUDO[name]
    if name in template()["Parameters"]:
        return template()["Parameters"][name]["Default"]
    match template()["Resources"][name]["Type"]:
        case "AWS::SQS::Queue":
            return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{physical(name)}"
        case "AWS::SecretsManager::Secret" | "AWS::SNS::Topic" | "AWS::Serverless::StateMachine":
            return attribute(name, "Arn")
        case _:
            return physical(name)


def physical(name: str) -> str:
    """The name of a resource in the account; a bucket's in lower case, as S3 wants it."""
    properties = template()["Resources"][name].get("Properties", {})
    return str(resolve(properties["Name"])) if "Name" in properties else f"{STACK}-{name}".lower()


def attribute(name: str, attribute_name: str) -> str:
    """What ``GetAtt`` gives: an ARN, or an SQS queue's name."""
    if attribute_name in {"QueueName"}:
        return physical(name)
    assert attribute_name in {"Arn", "Id"}, f"{name}.{attribute_name}: not resolved here yet"
    service, prefix = {
        "AWS::DynamoDB::Table": ("dynamodb", "table/"),
        "AWS::KMS::Key": ("kms", "key/"),
        "AWS::SNS::Topic": ("sns", ""),
        "AWS::SQS::Queue": ("sqs", ""),
        "AWS::SecretsManager::Secret": ("secretsmanager", "secret:"),
        "AWS::Serverless::Function": ("lambda", "function:"),
        "AWS::Serverless::StateMachine": ("states", "stateMachine:"),
        "AWS::Logs::LogGroup": ("logs", "log-group:"),
        "AWS::S3::Bucket": ("s3", ""),
    }[template()["Resources"][name]["Type"]]
    where = ":" if service == "s3" else f"{REGION}:{ACCOUNT}"
    return f"arn:aws:{service}:{where}:{prefix}{physical(name)}"
