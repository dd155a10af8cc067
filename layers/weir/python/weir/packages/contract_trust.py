"""What the routes of trust and of imports take and answer."""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from weir.packages import names
from weir.packages.contract import Description, Groups, Name, SemVer, Tags
from weir.packages.imports import ImportState, Wanted
from weir.packages.models import Sensitivity, State
from weir.packages.rules import MOST_GLOBS, MOST_RULES, Rule, globs
from weir.packages.signing import MOST_PAYLOAD_BYTES, MOST_SIGNATURES, Envelope
from weir.runtime.fields import wrong

if TYPE_CHECKING:
    from weir.packages.importing import Progress
    from weir.packages.imports import Import
    from weir.packages.scoring import Score
    from weir.packages.signing import PublicKey, Signature

KEY_ID = r"^[0-9a-f]{64}$"
IMPORT_ID = r"^[0-9]{8}-[0-9a-f]{20}$"
REPO = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}(?:/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?$"
REVISION = r"^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,254}[A-Za-z0-9])?$"
MOST_BODY_BYTES = 700_000
"""A signature of the largest version, in Base64."""


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


# Validation and score


class RulesAsked(_Body):
    """Rules beside the default ones, which always count."""

    rules: Annotated[tuple[Rule, ...], Field(max_length=MOST_RULES)] = ()

    @model_validator(mode="after")
    def _few_globs(self) -> Self:
        if sum(map(globs, self.rules)) > MOST_GLOBS:
            raise wrong("rules", f"at most {MOST_GLOBS} globs in all of them")
        return self


class RuleOutcome(_View):
    """What a rule came to."""

    rule: str
    kind: str
    verdict: Literal["passed", "failed", "not-applicable"]
    evidence: str


class ReportView(_View):
    """What a version came to under the rules; ``failed`` as soon as one rule is, for whatever reason."""

    verdict: Literal["passed", "failed"]
    at: datetime
    by: str = Field(description="The user id of who asked")
    rules: tuple[RuleOutcome, ...]


class MeasureView(_View):
    """A measure, from 0 to 1."""

    name: str
    value: float | None = Field(description="null: its facts are missing, as the evidence says")
    evidence: str


class ScoreView(_View):
    """How good a version is to use. Nothing in it is guessed."""

    name: str
    version: str
    total: float | None = Field(description="Mean of the measures that have a value; null where none has")
    measured: int = Field(description="Measures that have a value")
    of: int = Field(description="Measures that there are")
    measures: tuple[MeasureView, ...]


# Signatures


class NewPublicKey(_Body):
    """A public key to be registered."""

    label: Annotated[
        str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$", description="Whose it is")
    ]
    public_key: Annotated[
        str, Field(min_length=1, max_length=4096, description="PEM (SubjectPublicKeyInfo): Ed25519, or ECDSA on P-256")
    ]


class KeyView(_View):
    """A registered public key."""

    key_id: str = Field(description="keyid of its signatures: as securesystemslib computes it")
    label: str
    kind: Literal["ed25519", "ecdsa-p256"]
    public_key: str = Field(description="PEM")
    created_at: datetime
    created_by: str = Field(description="A user id")


class KeyPage(_View):
    """Registered public keys, by id."""

    items: tuple[KeyView, ...]
    cursor: str | None = Field(description="Where the next page begins; null on the last")


def _base64(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("must be Base64") from error
    return text


class EnvelopeSignature(_Body):
    """A signature of an envelope."""

    keyid: Annotated[str, Field(pattern=KEY_ID, description="The id of the registered key")]
    sig: Annotated[str, Field(min_length=1, max_length=1024, description="Base64"), AfterValidator(_base64)]


class EnvelopeBody(_Body):
    """A DSSE envelope around an in-toto Statement v1, whose subjects are the version's files with their SHA-256."""

    payload: Annotated[
        str,
        Field(min_length=1, max_length=-(-MOST_PAYLOAD_BYTES // 3) * 4, description="The statement, in Base64"),
        AfterValidator(_base64),
    ]
    payloadType: Literal["application/vnd.in-toto+json"]  # noqa: N815 (DSSE's name)
    signatures: Annotated[tuple[EnvelopeSignature, ...], Field(min_length=1, max_length=MOST_SIGNATURES)]

    @model_validator(mode="after")
    def _once_each(self) -> Self:
        if len({one.keyid for one in self.signatures}) != len(self.signatures):
            raise wrong("signatures", "a key signs once")
        return self

    def envelope(self) -> Envelope:
        """As the rules take it."""
        return Envelope(base64.b64decode(self.payload), tuple((one.keyid, one.sig) for one in self.signatures))


class SignatureView(_View):
    """The signature of a version. ``keys`` have verified it when it came; ``trusted`` are those registered still."""

    envelope: EnvelopeBody
    keys: tuple[str, ...]
    trusted: tuple[str, ...]
    signed_at: datetime
    signed_by: str = Field(description="A user id: who brought it, not who signed")


# Imports


def _default_name(repo: str) -> str:
    """The package's name where none is given, such as ``openai-whisper-tiny`` for ``openai/whisper-tiny``."""
    return names.normalized(repo.replace("/", "-"))


class NewImport(_Body):
    """A repository of the Hub to be imported as a version, all its files with it."""

    source: Literal["huggingface"]
    repo: Annotated[str, Field(pattern=REPO, description="Such as google-bert/bert-base-uncased")]
    revision: Annotated[str, Field(pattern=REVISION, description="A branch, tag or commit")] = "main"
    name: Name | None = Field(default=None, description="Of the package; made from the repository's where left out")
    version: SemVer | None = Field(default=None, description="0.0.0-git.<first 12 of the commit> where left out")
    description: Description | None = None
    sensitivity: Sensitivity | None = None
    allowed_groups: Groups | None = None
    tags: Tags | None = None

    @model_validator(mode="after")
    def _has_a_name(self) -> Self:
        made = _default_name(self.repo)
        if self.name is None and (not re.fullmatch(names.NAME, made) or made in names.RESERVED):
            raise wrong("name", f"{made} is no name of a package; give one")
        return self

    def wanted(self) -> Wanted:
        """As the rules take it."""
        return Wanted(
            repo=self.repo,
            revision=self.revision,
            name=self.name or _default_name(self.repo),
            version=self.version,
            description=self.description,
            sensitivity=self.sensitivity,
            allowed_groups=self.allowed_groups,
            tags=self.tags,
        )


class ImportStarted(_View):
    """An import that was started; ``location`` tells its progress."""

    import_id: str
    state: ImportState
    name: str
    location: str


class Copied(_View):
    """How far the copying has come: what is in S3, of how much. ``total`` is null before the hub was asked."""

    copied: int
    total: int | None


class FailureView(_View):
    """The step that broke an import, and why."""

    step: str
    error: str
    cause: str


class ImportView(_View):
    """An import. DONE: all files are in S3; ``version_state`` tells what the scan makes of them."""

    import_id: str
    source: str
    repo: str
    revision: str
    commit: str | None = Field(description="What the revision was when the hub was asked; null before")
    name: str
    version: str | None = Field(description="null until it is registered")
    version_state: State | None
    state: ImportState
    files: Copied
    size: Copied = Field(description="Bytes")
    failure: FailureView | None
    created_at: datetime
    updated_at: datetime


def report_view(report: Mapping[str, Any]) -> ReportView:
    """A report as answered."""
    return ReportView.model_validate(report)


def score_view(name: str, version: str, score: "Score") -> ScoreView:
    """A score as answered."""
    measures = tuple(MeasureView(name=one.name, value=one.value, evidence=one.evidence) for one in score.measures)
    return ScoreView(
        name=name, version=version, total=score.total, measured=score.measured, of=len(measures), measures=measures
    )


def key_view(key: "PublicKey") -> KeyView:
    """A public key as answered."""
    own = {name: getattr(key, name) for name in ("key_id", "label", "kind", "created_at", "created_by")}
    return KeyView(**own, public_key=key.public)


def signature_view(signature: "Signature") -> SignatureView:
    """A signature as answered."""
    envelope = EnvelopeBody(
        payload=base64.b64encode(signature.envelope.payload).decode(),
        payloadType="application/vnd.in-toto+json",
        signatures=tuple(EnvelopeSignature(keyid=key_id, sig=sig) for key_id, sig in signature.envelope.signatures),
    )
    own = {name: getattr(signature, name) for name in ("keys", "trusted", "signed_at", "signed_by")}
    return SignatureView(envelope=envelope, **own)


def import_view(found: "Import", progress: "Progress") -> ImportView:
    """An import as answered."""
    wanted, failure = found.wanted, found.failure
    return ImportView(
        import_id=found.import_id,
        source=wanted.source,
        repo=wanted.repo,
        revision=wanted.revision,
        commit=found.commit,
        name=wanted.name,
        version=found.version,
        version_state=progress.version.state if progress.version else None,
        state=found.state,
        files=Copied(copied=progress.files, total=found.files),
        size=Copied(copied=progress.size, total=found.size),
        failure=FailureView(step=failure.step, error=failure.error, cause=failure.cause) if failure else None,
        created_at=found.created_at,
        updated_at=found.updated_at,
    )
