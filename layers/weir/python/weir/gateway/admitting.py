"""Who is calling, what for, and whether the call may be made: everything before a provider is asked.

All of this but ``known`` waits for AWS at times, and runs in threads.
"""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Protocol

from weir.gateway.headers import credentials, telling
from weir.gateway.paths import Operation
from weir.gateway.replaying import Claim, Kept, Replays
from weir.identity.authorizing import bearer
from weir.identity.models import Admitted
from weir.llm.bounding import bound
from weir.llm.dialect_errors import Untranslatable
from weir.llm.fields import parsed
from weir.llm.models import Bound, Provider, Route, Target
from weir.llm.routing import Routing
from weir.llm.tiers import STANDARD, tier_of
from weir.runtime.clock import Clock
from weir.runtime.errors import BadRequest, Forbidden, PasswordChangeNeeded, WeirError
from weir.usage.metering import Admission, Call, Meter, Served
from weir.usage.models import Caller

SCOPE = "models:invoke"


class Gate(Protocol):
    """Whom a credential stands for; BadToken where it does not hold."""

    def admit(self, credential: str) -> Admitted:
        """Admit a credential."""

    def remembered(self, credential: str) -> Admitted | None:
        """The same where nothing has to be asked for it, else None."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a caller asks for. ``raw`` is the body as it came, ``body`` the same, parsed; ``tier`` as prices have it."""

    request_id: str
    operation: Operation
    model: str
    stream: bool
    raw: bytes = field(repr=False)
    body: Mapping[str, Any] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    key: str | None = None
    tier: str = STANDARD


@dataclass(frozen=True, slots=True)
class May:
    """A call that may be made. ``admission`` is None for one that nobody is charged for.

    ``bound`` is what it was admitted with; ``max_output`` the limit that its output must be given, None for as asked.
    """

    route: Route
    targets: tuple[tuple[Provider, Target], ...]
    bound: Bound
    admission: Admission | None = None
    max_output: int | None = None
    claim: Claim | None = None


class Admitting:
    """Admits callers and calls.

    Parameters
    ----------
    seconds
        After which a process that makes a call has ended for certain: the function's time-out.
    """

    def __init__(
        self, gate: Gate, routing: Routing, meter: Meter, replays: Replays, clock: Clock, seconds: float
    ) -> None:
        self._gate, self._routing, self._meter, self._replays = gate, routing, meter, replays
        self._clock, self._seconds = clock, seconds

    def who(self, sent: Iterable[tuple[str, str]]) -> Caller:
        """The caller, by ``Authorization: Bearer`` or ``x-api-key``.

        Raises
        ------
        BadToken
        Forbidden
            They may not call models.
        """
        return self._let_in(self._gate.admit(bearer(credentials(sent))))

    def known(self, sent: Iterable[tuple[str, str]]) -> Caller | None:
        """The caller, where nothing has to be asked for it: this waits for nobody. None where ``who`` has to decide.

        Raises
        ------
        BadToken, Forbidden
        """
        admitted = self._gate.remembered(bearer(credentials(sent)))
        return None if admitted is None else self._let_in(admitted)

    def _let_in(self, admitted: Admitted) -> Caller:
        if admitted.must_change_password:
            raise PasswordChangeNeeded("Your password is one that somebody else knows. Change it, then log in anew.")
        if SCOPE not in admitted.scopes:
            raise Forbidden(f"This needs the scope {SCOPE}, which your token or key does not hold.")
        key = admitted.credential_id if admitted.credential == "key" else ""
        return Caller(admitted.sub, admitted.username, key, admitted.groups, admitted.roles)

    def models(self, caller: Caller) -> tuple[str, ...]:
        """The models that a caller may use, by name."""
        return self._routing.models(caller)

    def may(self, asked: Asked, caller: Caller) -> May | Kept:
        """Whether a call may be made; or the answer to the one that was made with its Idempotency-Key.

        Raises
        ------
        WeirError
            No such model for this caller, a cap, no price, a key that is in use; or the store does not answer.
        """
        route = self._routing.resolve(asked.model, caller)
        targets = tuple((self._routing.provider(one.provider), one) for one in route.targets)
        known, limit = self._bound(asked, route, targets)
        if asked.operation.kind == "count":
            return May(route, targets, known)
        claim = self._claimed(asked, caller)
        if isinstance(claim, Kept):
            return claim
        try:
            admission = self._meter.admit(self._call(asked, caller, targets, known))
        except BaseException:
            self.release(claim)
            raise
        if admission.max_output is not None:
            limit = admission.max_output
            known = replace(known, output=limit, likely_output=min(limit, known.likely_output))
        return May(route, targets, known, admission, limit, claim)

    def release(self, claim: Claim | None) -> None:
        """Forget an Idempotency-Key, if it can be done: it is forgotten by itself when the call's time is up."""
        if claim is None:
            return
        try:
            self._replays.release(claim)
        except WeirError:
            return

    def keep(self, claim: Claim, kept: Kept) -> None:
        """Keep an answer, if it can be done, for whoever sends its Idempotency-Key again."""
        try:
            self._replays.keep(claim, kept)
        except WeirError:
            self.release(claim)

    def _claimed(self, asked: Asked, caller: Caller) -> Claim | Kept | None:
        if asked.key is None:
            return None
        route = f"{asked.operation.dialect} {asked.operation.kind} {asked.operation.stream} {asked.model}"
        return self._replays.claim(
            caller.user,
            route,
            asked.key,
            asked.raw,
            owner=secrets.token_hex(8),
            seconds=self._seconds,
            headers=telling(asked.headers, asked.operation.dialect),
        )

    def _bound(
        self, asked: Asked, route: Route, targets: tuple[tuple[Provider, Target], ...]
    ) -> tuple[Bound, int | None]:
        """What a call can use, and the limit that the route sets where the caller sets none."""
        kinds = tuple(dict.fromkeys(provider.kind for provider, _ in targets))
        models = tuple(dict.fromkeys(target.model for _, target in targets))
        known = bound(asked.operation.dialect, asked.body, len(asked.raw), models=models, kinds=kinds)
        if known.output is not None or route.max_output is None:
            return known, None
        limit = route.max_output
        return replace(known, output=limit, likely_output=min(limit, known.likely_output)), limit

    def _call(self, asked: Asked, caller: Caller, targets: tuple[tuple[Provider, Target], ...], known: Bound) -> Call:
        return Call(
            request_id=asked.request_id,
            caller=caller,
            model=asked.model,
            dialect=asked.operation.dialect,
            bound=known,
            deadline=self._clock.now() + timedelta(seconds=self._seconds),
            targets=tuple(served(provider, target) for provider, target in targets),
            stream=asked.stream,
            tier=asked.tier,
        )


def asked_for(operation: Operation, raw: bytes, headers: Mapping[str, str], request_id: str) -> Asked:
    """What a request asks for.

    Raises
    ------
    BadRequest
        Its body is no JSON object, names a field twice, names no model, or asks for what costs more (Dearer).
    """
    body = parsed(raw)
    tier = tier_of(operation.dialect, body, headers)
    model = operation.model if operation.model is not None else body.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest("model: name the model, as a string.")
    stream = operation.stream if operation.stream is not None else body.get("stream", False)
    if not isinstance(stream, bool | None):
        raise BadRequest("stream: must be true or false.")
    key = headers.get("idempotency-key")
    return Asked(request_id, operation, model, bool(stream), raw, body, headers, key, tier)


def served(provider: Provider, target: Target) -> Served:
    """A target, as prices are found by it."""
    return Served(provider.name, provider.kind, provider.region, target.model)


def unspeakable(asked: Asked, provider: Provider) -> Untranslatable | None:
    """Why an operation can't be had of a provider; None where it can."""
    match asked.operation.kind, asked.operation.dialect, provider.kind:
        case "count", _, "anthropic":
            return None
        case "count", _, _:
            return Untranslatable("model", "this model's provider counts no tokens ahead")
        case "embed", _, kind if kind != "openai":
            return Untranslatable("model", "this model's provider takes no embeddings in OpenAI's dialect")
        case _:
            return None
