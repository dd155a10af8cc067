"""The sample events under ``events/``: which function each is for, and how it is sent."""

import json
from typing import Any

from tests.contract import stack
from tests.contract.account import Account

EVENTS = {path.stem: json.loads(path.read_text()) for path in sorted((stack.ROOT / "events").glob("*.json"))}
API = [name for name, event in EVENTS.items() if "httpMethod" in event and event.get("type") != "REQUEST"]

FUNCTION_OF = {
    "health": "HealthFunction",
    "streams": "StreamsFunction",
    "streams-settle": "StreamSettleFunction",
    "runs": "RunsFunction",
    "run-control": "RunControlFunction",
    "run-insert": "RunInsertFunction",
    "run-verify": "RunVerifyFunction",
    "run-events": "RunEventsFunction",
    "sweeper": "SweeperFunction",
    "authorizer": "AuthorizerFunction",
    "auth": "AuthFunction",
    "oauth": "OAuthFunction",
    "api-keys": "ApiKeysFunction",
    "users": "UsersFunction",
    "first-admin": "FirstAdminFunction",
    "rotate-signing-key": "RotateSigningKeyFunction",
    "packages": "PackagesFunction",
    "package-files": "PackageFilesFunction",
    "package-trust": "PackageTrustFunction",
    "package-scan": "PackageScanFunction",
    "package-sweeper": "PackageSweeperFunction",
    "package-import": "PackageImportFunction",
    "analyses": "AnalysesFunction",
    "analysis-work": "AnalysisWorkFunction",
    "prompts": "PromptsFunction",
    "questions": "QuestionsFunction",
    "models": "ModelsFunction",
    "usage": "UsageFunction",
    "usage-rollup": "UsageRollupFunction",
}


def function_of(name: str) -> str:
    """The function that a sample event is for: that of the longest name which it starts with."""
    return FUNCTION_OF[max((known for known in FUNCTION_OF if name.startswith(known)), key=len)]


def send(made: Account, name: str, known: dict[str, str] | None = None) -> Any:
    """Send a sample, what stands in it by way of example replaced by what is known instead, longest first."""
    text = json.dumps(EVENTS[name])
    for example, real in sorted((known or {}).items(), key=lambda one: -len(one[0])):
        text = text.replace(example, real)
    answer = made.call(function_of(name), json.loads(text))
    return json.loads(json.dumps(answer))  # Lambda answers in JSON, whatever the caller
