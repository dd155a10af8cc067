"""Pickles, and the files of ``torch.save`` before its ZIP format: only what ``allowed_globals`` lists may be imported,
and only that may be called.

An unpickler that comes upon a broken opcode has done all that stood before it: what was seen until then counts, and
the break is a finding of its own. What is named or begins as a pickle is ``scan``ned; bytes that may be anything are
``probe``d.
"""

from weir.packages.findings import Finding
from weir.packages.pickle_machine import HIGHEST_PROTOCOL, Seen, Steps, follow
from weir.packages.reading import Stream

TORCH_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
"""The first pickle of a file of ``torch.save`` before its ZIP format."""

_TORCH_PICKLES = 5
"""Magic number, protocol, system, the object, the keys of its storages; then come the storages, as raw bytes."""


def begins_as_pickle(head: bytes) -> bool:
    """Whether bytes begin as pickles of protocol 2 and higher do; those of 0 and 1 can't be told by that."""
    return len(head) > 1 and head[0] == 0x80 and 2 <= head[1] <= HIGHEST_PROTOCOL


def scan(stream: Stream, steps: Steps) -> list[Finding]:
    """Findings of what is meant to be a pickle, or several."""
    if stream.peek(len(TORCH_MAGIC)) == TORCH_MAGIC:
        seen = follow(stream, steps, most=_TORCH_PICKLES)
        if not seen.broken and seen.complete == _TORCH_PICKLES:
            return seen.findings + probe(stream, steps).findings
    else:
        seen = follow(stream, steps)
    if seen.broken:
        seen.add("pickle-broken", seen.broken)
    elif not seen.complete and not seen.findings:
        seen.add("pickle-broken", "no bytes")
    return seen.findings


def probe(stream: Stream, steps: Steps) -> Seen:
    """What an unpickler would do with bytes that may be anything.

    Findings are those of something that is really executed: any file has bytes that are opcodes, and few have those of
    a call.
    """
    seen = follow(stream, steps)
    return seen if seen.executes else Seen(complete=seen.complete, broken=seen.broken)
