"""The composition root of the gateway: adapters made once for a process, from its settings, handed to the app."""

from weir.gateway.admitting import Admitting
from weir.gateway.admitting import Gate as AdmitsGate
from weir.gateway.app import Parts
from weir.gateway.forwarding import Forwarding
from weir.gateway.inside import Inside
from weir.gateway.metrics import Metrics
from weir.gateway.replaying import Replays
from weir.gateway.serving import Serving
from weir.gateway.table import table as answers
from weir.gateway.upstream import Upstreams
from weir.identity.authorizing import Gate
from weir.identity.errors import BadToken
from weir.identity.keyring import Keyring
from weir.identity.models import Admitted
from weir.identity.revocations import Revocations
from weir.identity.table import table as identity
from weir.llm import wiring as llm
from weir.llm.secrets import known_key, provider_key
from weir.runtime import aws, secrets
from weir.runtime.clock import SYSTEM
from weir.runtime.observability import emit
from weir.runtime.settings import settings
from weir.usage import wiring as usage
from weir.usage.models import Caller

END_SECONDS = 30.0
"""Of a function's time, a fifth of it at most, which are left for the settlement and the end of an answer."""


def parts(admits: AdmitsGate | None = None) -> Parts:
    """This process's. SettingsError where a table is not configured; the rest is the handler's to insist on."""
    conf = settings()
    seconds = conf.gateway_seconds - min(END_SECONDS, conf.gateway_seconds / 5)
    aws.client("secretsmanager")  # at the start, and not in the first request
    meter, metrics, upstreams = usage.meter(), Metrics(emit), Upstreams()
    replays = Replays(answers(), SYSTEM)
    admitting = Admitting(admits or gate(), llm.routing(), meter, replays, SYSTEM, conf.gateway_seconds)
    forwarding = Forwarding(upstreams, provider_key, known_key, SYSTEM, region=conf.region, seconds=seconds)
    return Parts(admitting, Serving(admitting, forwarding, meter, metrics, SYSTEM), upstreams, metrics)


def gate() -> Gate:
    """The gate that the authorizer of the other routes is, too."""
    conf, items = settings(), identity()
    return Gate(
        items,
        Keyring(lambda stage: secrets.version(conf.signing_secret_arn, stage), SYSTEM.monotonic),
        Revocations(items, SYSTEM),
        lambda: secrets.secret(conf.key_pepper_secret_arn).encode(),
        issuer=conf.token_issuer,
        audience=conf.token_audience,
        clock=SYSTEM,
    )


def inside(caller: Caller) -> Inside | None:
    """The model that tells and answers for a caller; None where none is configured."""
    model = settings().analysis_model
    return Inside(lambda: parts(_Nobody()), model, caller) if model else None


class _Nobody:
    """The gate of parts that no request reaches from outside."""

    def admit(self, credential: str) -> Admitted:
        """Let nobody in."""
        raise BadToken(f"a credential of {len(credential)} characters, where none is taken")

    def remembered(self, credential: str) -> Admitted | None:  # noqa: ARG002 (a Gate)
        """Know nobody."""
        return None
