"""The role of a state machine is enforced on the calls that its tasks make.

AWS: Step Functions assumes the machine's role for every task, and a call the role does not allow fails the task with
the service's own access error (https://docs.aws.amazon.com/step-functions/latest/dg/procedure-create-iam-role.html).
The emulator makes these calls as root. Covered here: Lambda invocations, nested executions, and ``aws-sdk`` calls to
services with a JSON protocol (Kinesis, DynamoDB, Step Functions, EventBridge and their like); not S3, SNS and SQS.
"""

from typing import Any

from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.services import stepfunctions as sfn

from local.shim.executions import current
from local.shim.patching import patch


@patch(sfn, "_call_lambda")
def call_lambda(original: Any, function: str, event: Any) -> Any:
    """Invoke a function if the machine's role may."""
    arn = function
    if not function.startswith("arn:"):
        arn = f"arn:aws:lambda:{get_region()}:{get_account_id()}:function:{function}"
    _authorize("lambda:InvokeFunction", arn, "Lambda.AWSLambdaException")
    return original(function, event)


@patch(sfn, "_dispatch_aws_sdk_json")
def call_service(original: Any, service_info: Any, service_name: str, action: str, data: Any) -> Any:
    """Call a service if the machine's role may."""
    service = service_info.get("service_key", service_name)
    operation = action[0].upper() + action[1:]
    headers = {"x-amz-target": f"{service_info['target_prefix']}.{operation}"}
    body = sfn.json.dumps(sfn._sdk_json_params(service_info, service, operation, data)).encode()
    known = iam_actions.extract_iam_action(service, "POST", "/", headers, body, {})
    if known:
        scope = (get_region(), get_account_id())
        resource = iam_actions.extract_resource_arn(service, "POST", "/", headers, body, {}, *scope)
        _authorize(known, resource, sfn._prefix_sdk_error(service_name, "AccessDeniedException"))
    return original(service_info, service_name, action, data)


@patch(sfn, "_nested_start_execution_request")
def start_nested(original: Any, data: Any) -> Any:
    """Start another machine if the machine's role may."""
    _authorize("states:StartExecution", data.get("StateMachineArn", "*"), "StepFunctions.AccessDeniedException")
    return original(data)


def _authorize(action: str, resource: str, error: str) -> None:
    scope = current.get()
    if scope is None or not scope.role_arn:
        return
    name, account = scope.role_arn.rpartition("/")[2], get_account_id()
    principal = f"arn:aws:sts::{account}:assumed-role/{name}/states"
    request = iam_evaluator.EvalContext(
        principal_arn=principal,
        principal_type="AssumedRole",
        principal_account=account,
        action=action,
        resource_arn=resource,
        region=get_region(),
    )
    decision = iam_evaluator.evaluate(request, iam_evaluator._gather_role_policies(name, account)).decision
    if decision != "Allow":
        why = iam_actions.identity_denial_message(action, principal, resource, decision == "Deny")
        raise sfn._ExecutionError(error, why)
