"""What a verdict on bytes makes of a file that has them, and of its version."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from weir.packages import models
from weir.packages.models import File, State, Version
from weir.packages.scanners import misnamed, unscanned


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a scan came to. ``reason`` is why the bytes may not be served, None where they may; ``sha256`` is theirs.

    ``content`` is the format that the bytes are of, whatever their name. ``spares`` tells that the bytes stay, though
    they are not served.
    """

    sha256: str
    reason: str | None
    content: str
    findings: tuple[Mapping[str, str], ...]
    spares: bool = False


def judge_file(file: File, version: Version, verdict: Verdict) -> tuple[File, Version, str]:
    """A file and its version as a verdict on its bytes makes them, and what the audit calls that.

    The name that the bytes go by is looked at for each file: the same bytes may be harmless by one and not by another.
    """
    path = file.declared.path
    wrong_name = misnamed(path, verdict.content) if verdict.reason is None else None
    of_name = [one for one in (wrong_name, unscanned(path)) if one is not None]
    findings = (*verdict.findings, *(asdict(one) for one in of_name))
    reason = verdict.reason or (f"{wrong_name.rule}: {wrong_name.evidence}" if wrong_name else None)
    after = replace(file, findings=findings, reason=reason, verified_sha256=verdict.sha256 or None)
    if reason is None:
        return replace(after, state=State.AVAILABLE), models.verified(version), "file.verified"
    told = f"{path}: {reason}"
    return replace(after, state=State.QUARANTINED), models.quarantined(version, told), "file.quarantined"
