"""moto's answers without what they cost only because moto answers for anybody.

The state is moto's, and so is the code that reads and changes it. Left out is the way there, the same for every call of
these tests and most of what one cost: finding one service among all of AWS by its URL, making a web framework's request
of botocore's, walking a service's model for what is JSON already, parsing an expression that was parsed before. And of
what botocore sends, the user agent and the signature: nobody here reads them.
"""

import json
import pickle
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, lru_cache, partial
from typing import Any
from unittest.mock import patch

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSPreparedRequest, AWSRequest
from botocore.useragent import UserAgentString
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core import DEFAULT_ACCOUNT_ID, responses, utils
from moto.core.botocore_stubber import BotocoreStubber
from moto.core.model_instances import reset_model_data
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import normalize_request
from moto.core.responses import ActionResult, BaseResponse
from moto.dynamodb.comparisons import ConditionExpressionParser
from moto.dynamodb.parsing import validators
from moto.dynamodb.parsing.ast_nodes import DepthFirstTraverser, Node, UpdateExpression
from moto.dynamodb.parsing.expressions import UpdateExpressionParser
from moto.dynamodb.parsing.validators import ActionCountValidator, OverlappingPathsValidator
from moto.dynamodb.responses import DynamoHandler
from moto.kinesis.models import kinesis_backends
from moto.kinesis.responses import KinesisResponse
from moto.s3.responses import S3Response
from werkzeug.exceptions import HTTPException

Answer = tuple[int, dict[str, str], str | bytes]

_MOTO = BotocoreStubber()


class _Asked(BaseResponse):
    """One call of a service that is asked with a JSON document, and a header that names the operation."""

    def setup_class(self, request: AWSPreparedRequest, *_: Any, **__: Any) -> None:
        """What moto reads of a request, straight from botocore's."""
        self.headers = {
            name: value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()
        }
        self.body = self.raw_body = request.body.decode() if isinstance(request.body, bytes) else request.body
        self.querystring = self.data = self.uri_match = {}
        region = self.region_regex.search(request.url)
        assert region is not None
        self.region, self.partition = region[1], "aws"
        self.current_account = DEFAULT_ACCOUNT_ID
        self.response_headers = {}
        if self.automated_parameter_parsing:
            operation = utils.get_service_model(self.boto3_service_name).operation_model(self._get_action())
            parser = PROTOCOL_PARSERS["json"](operation, map_type=self.PROTOCOL_PARSER_MAP_TYPE)
            self.params = parser.parse({"headers": self.headers, "body": self.body})

    def _get_action(self) -> str:
        return str(self.headers["X-Amz-Target"].split(".")[-1])


class _CloudWatch(_Asked, CloudWatchResponse): ...


class _DynamoDB(_Asked, DynamoHandler): ...


class _Kinesis(_Asked, KinesisResponse): ...


_JSON = {"cloudwatch": _CloudWatch, "dynamodb": _DynamoDB, "kinesis": _Kinesis}


def answer(operation: str, request: AWSPreparedRequest) -> Answer:
    """moto's answer: status, headers, body."""
    service = operation.split(".")[0]
    found: Answer | None = _no_records(request) if operation == "kinesis.GetRecords" else None
    if found is None and service in _JSON:
        found = _JSON[service].dispatch(request)
    elif found is None and service == "s3":
        asked = normalize_request(request)
        found = S3Response.key_dispatch(asked, asked.raw_url, asked.headers)
    elif found is None:
        found = _MOTO.process_request(request)
    assert found is not None, f"moto does not answer {request.url}"
    return found


def _no_records(request: AWSPreparedRequest) -> Answer | None:
    """The answer where there is nothing new: what readers are told again and again while they wait for writers."""
    asked = json.loads(request.body)
    try:
        iterator, records, behind = kinesis_backends[DEFAULT_ACCOUNT_ID][BaseResponse.default_region].get_records(
            asked.get("StreamARN"), asked["ShardIterator"], asked.get("Limit")
        )
    except HTTPException:  # it is refused
        return None
    told = {"NextShardIterator": iterator, "Records": [], "MillisBehindLatest": behind}
    return None if records else (200, {}, json.dumps(told))


_serialized = ActionResult.execute_result
_OF_JSON = frozenset(
    {"GetItem", "GetShardIterator", "ListTagsForStream", "PutItem", "PutRecords", "Query", "UpdateItem"}
)


def _quickly(result: ActionResult, context: Any) -> Any:
    """moto's answer; that of many operations is JSON already, and needs no walk through the model for each value."""
    if context.operation_model.name in _OF_JSON and isinstance(result.result, dict):
        return 200, {}, json.dumps(result.result)
    return _serialized(result, context)


_signed = SigV4Auth.add_auth


def _unsigned(auth: SigV4Auth, request: AWSRequest) -> None:
    if isinstance(auth, S3SigV4Auth):  # it also says how the body is encoded
        _signed(auth, request)


@cache
def _is_a(kind: type, *wanted: type) -> type | None:
    """Which of these a type is; moto's nodes are abstract base classes, and slow to ask."""
    return next((one for one in wanted if issubclass(kind, one)), None)


def _traverse(traverser: DepthFirstTraverser, root: Node) -> Node:
    """moto's traversal of an expression, which asks each node anew what it is and what the traverser wants."""
    processors = traverser._processing_map()
    if isinstance(traverser, ActionCountValidator | OverlappingPathsValidator):
        return processors[UpdateExpression](root)  # seen from the root is all that is below

    def walk(node: Node, child_id: int) -> Node:
        parent = node.parent
        for index, child in enumerate(node.children or ()):
            traverser.pre_processing_of_child(node, index)
            if _is_a(type(child), Node):
                walk(child, index)
        wanted = _is_a(type(node), *processors)
        if wanted is not None:
            node = processors[wanted](node)
            node.parent = parent
            if parent:
                parent.children[child_id] = node
        return node

    return walk(root, -1)


_pickled = lru_cache(maxsize=256)(pickle.dumps)
_lexed = lru_cache(maxsize=4_096)(partial(ConditionExpressionParser._lex_one_node, ConditionExpressionParser))

_CHANGES: list[tuple[Any, str, Callable[..., Any]]] = [
    (SigV4Auth, "add_auth", _unsigned),
    (UserAgentString, "to_string", lambda _agent: "Botocore"),
    (responses, "method_names_from_class", cache(utils.method_names_from_class)),
    (responses, "camelcase_to_underscores", cache(utils.camelcase_to_underscores)),
    (responses, "gen_amzn_requestid_long", lambda headers: headers.setdefault("x-amzn-requestid", "0" * 52)),
    (ActionResult, "execute_result", _quickly),
    (UpdateExpressionParser, "make", lru_cache(maxsize=256)(UpdateExpressionParser.make)),
    (ConditionExpressionParser, "_lex_one_node", lambda _parser, expression: _lexed(expression)),
    (validators, "deepcopy", lambda expression: pickle.loads(_pickled(expression))),
    (DepthFirstTraverser, "traverse", _traverse),
]


@contextmanager
def taken() -> Iterator[None]:
    """While this lasts, calls are answered so."""
    reset_model_data()
    with ExitStack() as stack:
        for owner, name, replacement in _CHANGES:
            stack.enter_context(patch.object(owner, name, replacement))
        yield
