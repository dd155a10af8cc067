"""``Idempotency-Key`` on creating POSTs: the same key and body replays the first answer, for 24 hours.

Powertools' idempotency over one DynamoDB table, keyed by principal and operation. It wraps the use case and not the
resolver, because a mapped error must not be stored and replayed; answers are never falsy, because ``[]`` would replay
as ``None``.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from weir.runtime import aws
from weir.runtime.errors import BadRequest, Conflict, FieldError, Invalid
from weir.runtime.settings import settings

KEPT_SECONDS = 24 * 3600
MAX_KEY_LENGTH = 256


def once(
    use_case: Callable[[], dict[str, Any]],
    *,
    operation: str,
    principal: str,
    key: str | None,
    request: Mapping[str, Any],
    context: Any,
) -> dict[str, Any]:
    """Run ``use_case`` at most once for a key; without a key, just run it.

    Parameters
    ----------
    operation
        Which route, such as ``create-stream``: keys of different operations don't meet.
    request
        JSON-able; what must be the same when the key comes again.
    context
        The Lambda context: a try that died is taken over when its time has run out.

    Raises
    ------
    Conflict
        409: the first request with this key is still at work.
    Invalid
        422: the key came before with another body.
    """
    if key is None:
        return use_case()
    if not key or len(key) > MAX_KEY_LENGTH or not key.isprintable():
        raise BadRequest(f"Idempotency-Key must be 1 to {MAX_KEY_LENGTH} printable characters.")
    run = _kept(use_case, operation, context)
    with _told():
        return run(call={"operation": operation, "principal": principal, "key": key, "request": dict(request)})


def _kept(use_case: Callable[[], dict[str, Any]], operation: str, context: Any) -> Callable[..., dict[str, Any]]:
    """``use_case``, whose answer Powertools keeps in the table and replays."""
    from aws_lambda_powertools.utilities.idempotency import (
        DynamoDBPersistenceLayer,
        IdempotencyConfig,
        idempotent_function,
    )

    store = DynamoDBPersistenceLayer(
        table_name=settings(needs=("idempotency_table",)).idempotency_table,
        boto3_client=aws.client("dynamodb"),
    )
    config = IdempotencyConfig(
        event_key_jmespath="[operation, principal, key]",
        payload_validation_jmespath="request",
        raise_on_no_idempotency_key=True,
        expires_after_seconds=KEPT_SECONDS,
        hash_function="sha256",
        lambda_context=context,
    )

    def run(*, call: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001 (Powertools reads it)
        return use_case()

    keep = idempotent_function(
        data_keyword_argument="call", persistence_store=store, config=config, key_prefix=f"weir.{operation}"
    )
    kept: Callable[..., dict[str, Any]] = keep(run)
    return kept


@contextmanager
def _told() -> Iterator[None]:
    """Powertools' failures as the caller's: Conflict, Invalid, or what AWS's become."""
    from aws_lambda_powertools.utilities.idempotency import exceptions as failed

    try:
        yield
    except (failed.IdempotencyAlreadyInProgressError, failed.IdempotencyInconsistentStateError) as error:
        raise Conflict("A request with this Idempotency-Key is still at work; try again.", retry_after=1) from error
    except failed.IdempotencyValidationError as error:
        told = "came before with another body; use a new key"
        raise Invalid(f"This Idempotency-Key {told}.", errors=[FieldError("Idempotency-Key", told)]) from error
    except failed.IdempotencyPersistenceLayerError as error:
        cause = error.__cause__ or error
        raise aws.translate(cause if isinstance(cause, Exception) else error, "checking the key") from error
