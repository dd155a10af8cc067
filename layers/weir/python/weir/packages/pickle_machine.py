"""Follows a pickle's opcodes with stand-ins in place of values; nothing is imported, called or built.

A pickle is a program for a stack machine. It is followed as far as it takes to know which global each opcode imports,
calls or changes: names on the stack and in the memo are traced, so that STACK_GLOBAL hides nothing. Opcodes and the
sizes of their arguments are those of ``pickletools``; long arguments are skipped, not read.
https://github.com/python/cpython/blob/main/Lib/pickletools.py
"""

import pickletools
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from weir.packages.allowed_globals import ALLOWED
from weir.packages.findings import MOST_FINDINGS, Finding, finding
from weir.packages.reading import KIB, Ended, Held, Stream, TooMuch

MOST_OPCODES = 10_000_000
MOST_VALUES = 1_000_000
"""Values on the stack of one pickle, and as many in its memo."""

MOST_NAMES_BYTES = 32 * KIB * KIB
"""Bytes of one pickle's text that is kept because it could be a name; what comes after can be none."""

MOST_NAME = 200
MOST_NESTED, MOST_DEPTH = 256 * KIB, 4
HIGHEST_PROTOCOL = 5


class Broken(Exception):
    """The stream is no pickle from here on: an unpickler stops with an error."""


@dataclass(slots=True)
class Steps:
    """How many opcodes may still be followed: one count for all the pickles of a file."""

    left: int = MOST_OPCODES


@dataclass(slots=True)
class Seen:
    """What was seen in a stream of pickles, one after another.

    ``complete`` of them ended properly; ``broken`` is why what follows them did not. ``executes``: something that is
    not allowed was called, or imported by a pickle that is complete; bytes that are no pickle hardly ever do.
    """

    findings: list[Finding] = field(default_factory=list)
    complete: int = 0
    broken: str | None = None
    executes: bool = False

    def add(self, rule: str, evidence: str) -> None:
        """Keeps a finding, up to a number of them that says enough."""
        if len(self.findings) < 2 * MOST_FINDINGS:
            self.findings.append(finding(rule, evidence))


def follow(stream: Stream, steps: Steps, *, most: int | None = None, depth: int = 0) -> Seen:
    """What an unpickler would do with the pickles of a stream, at most ``most`` of them, until they end or break."""
    seen = Seen()
    try:
        while seen.complete != most and not stream.ended:
            _Machine(stream, steps, seen, depth).run()
            seen.complete += 1
            seen.executes = seen.executes or bool(seen.findings)
    except (Broken, Ended) as broken:
        seen.broken = f"{broken} (complete pickles before it: {seen.complete:,})"
    except TooMuch as limit:
        seen.add("pickle-too-much", f"not followed to its end: {limit}")
        seen.executes = True
    return seen


# What stands for values on the stack. A text that could be a name stands for itself.


@dataclass(frozen=True, slots=True)
class _Global:
    """``sure``: a name that could be imported, not just two lines of some text."""

    label: str
    allowed: bool
    sure: bool = True


_MARK, _VALUE, _MADE = object(), object(), object()
"""A mark; a value of a kind that does nothing; what a global returned."""

_COUNTED = {
    pickletools.TAKEN_FROM_ARGUMENT1: struct.Struct("<B"),
    pickletools.TAKEN_FROM_ARGUMENT4: struct.Struct("<i"),
    pickletools.TAKEN_FROM_ARGUMENT4U: struct.Struct("<I"),
    pickletools.TAKEN_FROM_ARGUMENT8U: struct.Struct("<Q"),
}

_HOLD = frozenset(
    {
        *("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "BINSTRING", "SHORT_BINSTRING"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    }
)
"""Text and bytes with their length before them."""

_FILL = frozenset({"APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS"})

_LATIN_1_PROTO = b"\xc2\x80"
"""How the first byte of a pickle begins in bytes that protocol 2 and lower write as text."""

_BEGINNINGS = (b"\x80", b"c", b"(", b"]", b"}", _LATIN_1_PROTO)
"""What a pickle in the bytes of another may begin with."""


@dataclass(frozen=True, slots=True)
class _Opcode:
    """``fixed`` bytes, ``counted`` bytes after their count, or ``lines`` follow; then it pops and pushes values."""

    name: str
    fixed: int
    counted: struct.Struct | None
    lines: int
    pops: int
    to_mark: bool
    pushes: int


def _opcode(info: pickletools.OpcodeInfo) -> _Opcode:
    before = [one.name for one in info.stack_before]
    to_mark = "mark" in before
    size = info.arg.n if info.arg else 0
    lines = 0
    if size == pickletools.UP_TO_NEWLINE:
        lines = 2 if info.name in {"GLOBAL", "INST"} else 1
    kept = info.name in _FILL  # the list, dict or set that is filled stays where it is
    pops = (before.index("mark") if to_mark else len(before)) - kept
    return _Opcode(info.name, max(size, 0), _COUNTED.get(size), lines, pops, to_mark, len(info.stack_after) - kept)


_OPCODES = {ord(info.code): _opcode(info) for info in pickletools.opcodes}


class _Machine:
    """Follows one pickle to its STOP."""

    def __init__(self, stream: Stream, steps: Steps, seen: Seen, depth: int) -> None:
        self._stream, self._steps, self._seen, self._depth = stream, steps, seen, depth
        self._stack: list[object] = []
        self._memo: dict[int, object] = {}
        self._names_left = MOST_NAMES_BYTES

    def run(self) -> None:
        """Raises Broken or Ended where an unpickler would stop with an error, and TooMuch at a limit."""
        while True:
            if self._steps.left < 1:
                raise TooMuch(f"{MOST_OPCODES:,} opcodes")
            self._steps.left -= 1
            code = self._stream.read(1)[0]
            opcode = _OPCODES.get(code)
            if opcode is None:
                raise Broken(f"no opcode {code:#04x} {self._here()}")
            if opcode.name == "STOP":
                self._pop()
                return
            self._follow(opcode)
            if len(self._stack) > MOST_VALUES or len(self._memo) > MOST_VALUES:
                raise TooMuch(f"{MOST_VALUES:,} values")

    def _follow(self, opcode: _Opcode) -> None:
        if opcode.counted:
            self._with_count(opcode, opcode.counted)
        elif opcode.lines:
            self._with_lines(opcode)
        elif special := _SPECIAL.get(opcode.name):
            special(self, int.from_bytes(self._stream.read(opcode.fixed), "little"))
        else:
            self._stream.skip(opcode.fixed)
            self._plain(opcode)

    def _plain(self, opcode: _Opcode) -> None:
        """An opcode that makes, fills or drops values, and knows no globals."""
        if opcode.to_mark:
            self._pop_to_mark()
        for _ in range(opcode.pops):
            self._pop()
        if opcode.name in _FILL:
            self._top()
        self._stack.extend([_VALUE] * opcode.pushes)

    def _here(self) -> str:
        return f"before byte {self._stream.tell():,}"

    # Arguments

    def _with_count(self, opcode: _Opcode, counted: struct.Struct) -> None:
        (length,) = counted.unpack(self._stream.read(counted.size))
        if length < 0:
            raise Broken(f"a length below 0 {self._here()}")
        if opcode.name not in _HOLD:
            self._stream.skip(length)
            self._stack.append(_VALUE)
            return
        beginning = self._stream.peek(min(length, 2))
        keep = MOST_NESTED if beginning.startswith(_BEGINNINGS) else MOST_NAME
        held = self._stream.peek(min(length, keep))
        self._stream.skip(length)
        self._nested(held)
        self._stack.append(self._name(held) if length <= MOST_NAME and "BYTE" not in opcode.name else _VALUE)

    def _with_lines(self, opcode: _Opcode) -> None:
        """Numbers, names, strings with their quotes and indexes of the memo, as text."""
        lines = [self._stream.line(MOST_NESTED) for _ in range(opcode.lines)]
        if opcode.name == "GLOBAL":
            self._stack.append(self._imported(_text(lines[0]), _text(lines[1])))
        elif opcode.name == "INST":
            imported = self._imported(_text(lines[0]), _text(lines[1]))
            self._pop_to_mark()
            self._call(imported)
        elif opcode.name in {"PUT", "GET"}:
            (self._put if opcode.name == "PUT" else self._get)(self._index(lines[0]))
        elif opcode.name in {"STRING", "UNICODE"}:
            text = lines[0][1:-1] if opcode.name == "STRING" else lines[0]
            self._nested(text)
            self._stack.append(self._name(text))
        else:
            self._plain(opcode)

    def _index(self, line: bytes) -> int:
        """An index of the memo that is written out, in whichever form an unpickler takes it for a number.

        CPython's takes blanks, a sign, underscores and leading zeros, and what stands before a zero byte.
        """
        if not self._memo and not self._stack:
            raise Broken(f"nothing on the stack, nor in the memo {self._here()}")
        if len(line) == MOST_NESTED:
            raise TooMuch(f"an index of the memo of {MOST_NESTED:,} characters")
        try:
            return int(line.partition(b"\0")[0])
        except ValueError:
            raise Broken(f"no index of the memo {self._here()}") from None

    def _name(self, text: bytes) -> object:
        """The text, where it could be the name of a module or global; a mere value where it could not."""
        if not _could_be_name(shown := _text(text)):
            return _VALUE
        self._names_left -= len(shown) + 64
        return shown if self._names_left >= 0 else _VALUE

    def _nested(self, held: bytes) -> None:
        """A pickle in the bytes of a pickle is followed as well, though it takes a further global to unpickle it."""
        if not held.startswith(_BEGINNINGS):
            return
        if held.startswith(_LATIN_1_PROTO):
            held = held.decode("utf-8", "ignore").encode("latin-1", "ignore")
        if self._depth >= MOST_DEPTH:
            raise TooMuch(f"pickles in pickles, {MOST_DEPTH} deep")
        inner = follow(Held(held), self._steps, depth=self._depth + 1)
        if inner.executes:
            self._seen.add("nested-pickle", f"in the bytes {self._here()}")
            self._seen.executes = True
            for one in inner.findings:
                self._seen.add(one.rule, one.evidence)

    # The stack and the memo

    def _pop(self) -> object:
        value = self._top()
        self._stack.pop()
        return value

    def _top(self) -> object:
        if not self._stack or self._stack[-1] is _MARK:
            raise Broken(f"nothing on the stack {self._here()}")
        return self._stack[-1]

    def _pop_to_mark(self) -> list[object]:
        values: list[object] = []
        while self._stack:
            if (value := self._stack.pop()) is _MARK:
                return values[::-1]
            values.append(value)
        raise Broken(f"no mark on the stack {self._here()}")

    def _mark(self, _: int) -> None:
        self._stack.append(_MARK)

    def _drop(self, _: int) -> None:
        if not self._stack:
            raise Broken(f"nothing on the stack {self._here()}")
        self._stack.pop()  # a mark as well: POP is the one opcode that takes either

    def _twice(self, _: int) -> None:
        self._stack.append(self._top())

    def _put(self, index: int) -> None:
        if index < 0:
            raise Broken(f"an index of the memo below 0 {self._here()}")
        self._memo[index] = self._top()

    def _memoize(self, _: int) -> None:
        self._memo[len(self._memo)] = self._top()

    def _get(self, index: int) -> None:
        if index not in self._memo:
            raise Broken(f"nothing in the memo at {index:,}")
        self._stack.append(self._memo[index])

    def _protocol(self, number: int) -> None:
        if number > HIGHEST_PROTOCOL:
            raise Broken(f"no protocol {number}")

    # Globals

    def _imported(self, module: str, name: str) -> _Global:
        allowed = (module, name) in ALLOWED
        if not allowed:
            self._seen.add("global-not-allowed", f"{module[:MOST_NAME]} {name[:MOST_NAME]} {self._here()}")
        return _Global(f"{module} {name}"[:MOST_NAME], allowed, _could_be_name(module) and _could_be_name(name))

    def _stack_global(self, _: int) -> None:
        name, module = self._pop(), self._pop()
        if isinstance(module, str) and isinstance(name, str):
            self._stack.append(self._imported(module, name))
            return
        self._seen.add("global-unresolved", f"imports a global whose name can't be told {self._here()}")
        self._stack.append(_Global("a global whose name can't be told", allowed=False))

    def _extension(self, code: int) -> None:
        self._seen.add("extension-registry", f"imports what copyreg knows as {code:,} {self._here()}")
        self._stack.append(_Global(f"extension {code:,}", allowed=False))

    def _call(self, what: object) -> None:
        """What is called must be an allowed global itself, not what one returned."""
        if not isinstance(what, _Global):
            self._seen.add("call-not-allowed", f"calls a value {self._here()}")
            self._seen.executes = True
        elif not what.allowed:
            self._seen.add("call-not-allowed", f"calls {what.label} {self._here()}")
            self._seen.executes = self._seen.executes or what.sure
        self._stack.append(_MADE)

    def _reduce(self, _: int) -> None:
        self._pop()
        self._call(self._pop())

    def _new_with_keywords(self, _: int) -> None:
        self._pop()
        self._reduce(0)

    def _object(self, _: int) -> None:
        values = self._pop_to_mark()
        if not values:
            raise Broken(f"OBJ without a class {self._here()}")
        self._call(values[0])

    def _build(self, _: int) -> None:
        """State is set on what was made here, not on a class or function that others use too."""
        self._pop()
        if self._top() is not _MADE:
            self._seen.add("state-not-allowed", f"changes what it did not make {self._here()}")


_SPECIAL: dict[str, Callable[[_Machine, int], None]] = {
    "MARK": _Machine._mark,
    "POP": _Machine._drop,
    "DUP": _Machine._twice,
    "BINPUT": _Machine._put,
    "LONG_BINPUT": _Machine._put,
    "MEMOIZE": _Machine._memoize,
    "BINGET": _Machine._get,
    "LONG_BINGET": _Machine._get,
    "PROTO": _Machine._protocol,
    "STACK_GLOBAL": _Machine._stack_global,
    "EXT1": _Machine._extension,
    "EXT2": _Machine._extension,
    "EXT4": _Machine._extension,
    "REDUCE": _Machine._reduce,
    "NEWOBJ": _Machine._reduce,
    "NEWOBJ_EX": _Machine._new_with_keywords,
    "OBJ": _Machine._object,
    "BUILD": _Machine._build,
}


def _text(line: bytes) -> str:
    return line.decode("utf-8", "backslashreplace")


def _could_be_name(text: str) -> bool:
    """Whether this can be imported: identifiers in ASCII, with dots between."""
    return len(text) <= MOST_NAME and text.isascii() and all(one.isidentifier() for one in text.split("."))
