"""Scans a file: which format it is of, and what in it would be executed or do harm.

The content tells the format; the name tells what people will take it for, and where the two differ that is a finding,
for a file can be good as one and bad as the other. What has no scanner is still looked at as a pickle, which needs no
first bytes of its own. Whatever a scanner can't cope with is dangerous.
"""

from dataclasses import replace
from functools import partial

from weir.packages import formats, scan_npy, scan_pickle, scan_safetensors, scan_zip
from weir.packages.findings import Finding, ScanResult, finding, judged
from weir.packages.formats import HEAD_BYTES, PICKLE_NAMES, TAIL_BYTES, Unscanned
from weir.packages.pickle_machine import Steps
from weir.packages.reading import Ranges, Stream, View, Window

UNREADABLE = "could-not-be-read"
MISNAMED = "name-and-content-differ"
"""The one rule that is of the name: the same bytes may keep it by one name and break it by another."""


def scan(ranges: Ranges, path: str) -> ScanResult:
    """What a file is and what was found in it; nothing of it is executed, and little of it is in memory at a time.

    Parameters
    ----------
    ranges
        The file's bytes. An error of theirs goes through as it is: it is no finding, and the scan may be repeated.
    path
        The file's path in its package.
    """
    window = Window(ranges)
    try:
        return _scanned(window, path)
    except Exception as error:
        if window.failure is not None:
            raise window.failure from None
        return judged("unknown", [finding(UNREADABLE, f"could not be read: {type(error).__name__}: {error}")])


def _scanned(window: Window, path: str) -> ScanResult:
    if window.size == 0:
        return _empty(path)
    zipped = formats.of_tail(window.read(max(0, window.size - TAIL_BYTES), TAIL_BYTES))
    head = window.read(0, HEAD_BYTES)
    promised = formats.promised(path)
    told = formats.of_head(head, window.size) or zipped
    if told is None:  # pickles of protocol 0 and 1 begin as anything may
        told = "pickle" if "pickle" in promised else formats.otherwise(path, head)
    content = told if isinstance(told, str) else told.name
    wrong_name = misnamed(path, content)
    findings = [wrong_name] if wrong_name else []
    if "safetensors" in promised and told != "safetensors":
        findings += scan_safetensors.scan(View(window), window.size)
    format_, found = _by_format(told, window)
    findings += found
    if zipped and told != "zip":
        findings.append(finding("zip-appended", "a ZIP file is at the end, which some programs would read"))
    return replace(judged(format_, findings), content=content)


def misnamed(path: str, content: str) -> Finding | None:
    """What there is to say against the name of a file whose bytes are of a format; None where nothing is.

    A name that promises text is kept by nothing, and by what may be text in an encoding that is not known here.
    """
    promised = formats.promised(path)
    if not promised or content in promised or (promised == {"text"} and content in {"empty", "unknown", "source"}):
        return None
    told = "is empty" if content == "empty" else f"has the content of {content}"
    return finding(MISNAMED, f"{path!r} {told}")


def unscanned(path: str) -> Finding | None:
    """That there is no scanner for what a name says a file is, such as source code; None where it says nothing."""
    kind = formats.by_name(path)
    return finding(kind.rule, f"{path!r}: {kind.evidence}") if kind is not None and kind.rule == "no-scanner" else None


def _empty(path: str) -> ScanResult:
    wrong_name = misnamed(path, "empty")
    return replace(judged("empty", [wrong_name] if wrong_name else []), content="empty")


def _by_format(told: str | Unscanned, window: Window) -> tuple[str, list[Finding]]:
    """The name of the format, and its scanner's findings."""
    steps = Steps()
    match told:
        case "npy":
            return "npy", scan_npy.scan(View(window), window.size, steps)
        case "safetensors":
            return "safetensors", scan_safetensors.scan(View(window), window.size)
        case "pickle":
            torch = window.read(0, len(scan_pickle.TORCH_MAGIC)) == scan_pickle.TORCH_MAGIC
            return "torch-legacy" if torch else "pickle", scan_pickle.scan(View(window), steps)
        case "zip":
            found, names = scan_zip.scan(window, partial(_member, steps))
            if {"config.json", "metadata.json"} <= set(names):
                found = [*found, finding("no-scanner", formats.KERAS)]
            return _archive(names), found
        case Unscanned():
            seen = scan_pickle.probe(View(window), steps)
            if seen.findings:
                return told.name, seen.findings
            if seen.complete and not seen.broken:
                return "pickle", []
            return told.name, [finding(told.rule, told.evidence)]
    raise ValueError(f"no scanner for {told!r}")


def _archive(names: tuple[str, ...]) -> str:
    """What a ZIP file is used as."""
    if any(one.rsplit("/", 1)[-1] == "data.pkl" for one in names):
        return "torch"
    if names and all(one.endswith(".npy") for one in names):
        return "npz"
    return "zip"


def _member(steps: Steps, name: str, stream: Stream, size: int) -> list[Finding]:
    """Findings of a member of a ZIP file.

    PyTorch's storages are raw numbers that may begin as anything does: only what is named as a pickle has to be one.
    """
    told = formats.of_head(stream.peek(HEAD_BYTES), size)
    if told == "npy":
        return scan_npy.scan(stream, size, steps)
    if formats.suffix(name) in PICKLE_NAMES:
        if told == "zip":
            return [finding("nested-pickles", f"{name!r} is PyTorch's ZIP file in another, where none is looked into")]
        return scan_pickle.scan(stream, steps)
    if formats.suffix(name) == ".safetensors":
        return scan_safetensors.scan(stream, size)
    seen = scan_pickle.probe(stream, steps)
    if seen.findings:
        return seen.findings
    if told == "zip":
        return [finding("nested-archive", f"{name!r} is a ZIP file of its own, and not looked into")]
    kind = told if isinstance(told, Unscanned) else formats.by_name(name)
    if kind is None or kind.rule != "no-scanner":
        return []
    return [finding(kind.rule, f"{name!r}: {kind.evidence}")]
