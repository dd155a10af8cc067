"""Secrets that are made at random as the template asks, and that are rotated by their function.

AWS:

- ``GenerateSecretString`` takes the options of GetRandomPassword, and its characters are fit for secrets
  (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/
  aws-properties-secretsmanager-secret-generatesecretstring.html).
- RotateSecret names a version AWSPENDING, which has no value yet, answers, and has the function take four steps:
  createSecret, setSecret, testSecret, finishSecret. A version that is pending and not current keeps another rotation
  from beginning. A RotationSchedule rotates at once when it is made
  (https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html).
- A version's value never changes: PutSecretValue with the token of one that has another is ResourceExistsException.

The emulator draws secrets from a generator that is not meant for that, with punctuation wherever it was excluded; its
RotateSecret calls nothing and makes a copy of the value current; it knows no RotationSchedule, and overwrites versions.
"""

import contextvars
import json
import logging
import threading
from typing import Any

from ministack.core.responses import error_response_json, json_response, new_uuid
from ministack.services import lambda_svc
from ministack.services import secretsmanager as service
from ministack.services.cloudformation import provisioners

from local.shim.patching import patch

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
_BY_TEMPLATE = ("SecretStringTemplate", "GenerateStringKey")
_log = logging.getLogger("secretsmanager")


@patch(provisioners, "_sm_secret_string")
def secret_string(original: Any, properties: dict[str, Any]) -> Any:
    """The value that a template asks for."""
    asked = properties.get("GenerateSecretString")
    if not asked or properties.get("SecretString"):
        return original(properties)
    options = {
        name: str(value).lower() == "true" if str(value).lower() in {"true", "false"} else value
        for name, value in asked.items()
        if name not in _BY_TEMPLATE
    }
    options["PasswordLength"] = int(options.get("PasswordLength", 32))
    drawn = json.loads(service._get_random_password(options)[2])["RandomPassword"]
    template = asked.get("SecretStringTemplate")
    return drawn if template is None else json.dumps({**json.loads(template), asked["GenerateStringKey"]: drawn})


@patch(service, "_get_secret_value")
def get_secret_value(original: Any, data: dict[str, Any]) -> Any:
    """A version that has no value yet is not there; nor is one that is in another stage than the one asked for."""
    answer = original(data)
    told = json.loads(answer[2])
    if answer[0] != 200:
        return answer
    stage = data.get("VersionStage")
    if not {"SecretString", "SecretBinary"} & set(told) or (stage and stage not in told["VersionStages"]):
        text = f"Secrets Manager can't find the specified secret value for VersionId: {told['VersionId']}."
        return error_response_json("ResourceNotFoundException", text, 400)
    return answer


@patch(service, "_put_secret_value")
def put_secret_value(original: Any, data: dict[str, Any]) -> Any:
    """Give a version its value once."""
    _key, secret = service._resolve(data.get("SecretId"))
    there = (secret or {"Versions": {}})["Versions"].get(data.get("ClientRequestToken"), {})
    given = there.get("SecretString")
    if given is not None and given != data.get("SecretString"):
        text = "A resource with the ID you requested already exists."
        return error_response_json("ResourceExistsException", text, 400)
    return original(data)


@patch(service, "_rotate_secret")
def rotate_secret(original: Any, data: dict[str, Any]) -> Any:
    """Begin a rotation, which its function carries out."""
    _key, secret = service._resolve(data.get("SecretId"))
    function = data.get("RotationLambdaARN") or (secret or {}).get("RotationLambdaARN")
    if secret is None or not function:
        return original(data)
    if any("AWSPENDING" in one["Stages"] and "AWSCURRENT" not in one["Stages"] for one in secret["Versions"].values()):
        text = "A previous rotation isn't complete. That rotation will be reattempted."
        return error_response_json("InvalidRequestException", text, 400)
    version = data.get("ClientRequestToken") or new_uuid()
    for one in secret["Versions"].values():
        one["Stages"] = [stage for stage in one["Stages"] if stage != "AWSPENDING"]
    made = {"SecretString": None, "SecretBinary": None, "CreatedDate": secret["CreatedDate"], "Stages": ["AWSPENDING"]}
    secret["Versions"][version] = made
    secret |= {"RotationEnabled": True, "RotationLambdaARN": function}
    secret["RotationRules"] = data.get("RotationRules") or secret.get("RotationRules")
    run = contextvars.copy_context().run
    threading.Thread(target=run, args=(_take_steps, secret["ARN"], function, version), daemon=True).start()
    return json_response({"ARN": secret["ARN"], "Name": secret["Name"], "VersionId": version})


def _take_steps(arn: str, function: str, version: str) -> None:
    record, config, _name = lambda_svc._get_func_record_for_ref(function)
    for step in STEPS:
        event = {"Step": step, "SecretId": arn, "ClientRequestToken": version}
        result = lambda_svc._execute_function_with_config_scope(
            lambda_svc._execution_record_for_config(record, config), event
        )
        if result.get("error"):
            _log.error("The rotation of %s stopped at %s: %s", arn, step, result.get("body"))
            return


def _create_schedule(_logical_id: str, properties: dict[str, Any], _stack: str) -> Any:
    _apply_schedule(properties)
    return properties["SecretId"], {"Id": properties["SecretId"]}


def _update_schedule(physical_id: str, before: dict[str, Any], after: dict[str, Any], _stack: str) -> Any:
    if before != after:
        _apply_schedule(after)
    return physical_id, {"Id": physical_id}


def _delete_schedule(physical_id: str, _properties: dict[str, Any]) -> None:
    _key, secret = service._resolve(physical_id)
    if secret:
        secret |= {"RotationEnabled": False, "RotationLambdaARN": None, "RotationRules": None}


def _apply_schedule(properties: dict[str, Any]) -> None:
    asked = {name: properties[name] for name in ("SecretId", "RotationLambdaARN", "RotationRules")}
    status, _headers, body = service._rotate_secret(asked)
    if status >= 400:
        raise ValueError(f"AWS::SecretsManager::RotationSchedule failed: {body!r}")


provisioners._RESOURCE_HANDLERS["AWS::SecretsManager::RotationSchedule"] = {
    "create": _create_schedule,
    "update": _update_schedule,
    "delete": _delete_schedule,
}
