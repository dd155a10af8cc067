"""Pickles: whatever would be executed is named, whatever way it is written; nothing of it is executed here."""

import _compat_pickle
import os
import pickle
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.packages import evil
from tests.unit.packages.evil import Bytes
from weir.packages.allowed_globals import ALLOWED
from weir.packages.findings import ScanResult
from weir.packages.pickle_machine import MOST_NESTED, MOST_OPCODES, Steps
from weir.packages.scanners import scan


@pytest.fixture(autouse=True)
def _nothing_is_executed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    executed: list[Any] = []

    def refused(*arguments: Any, **_: Any) -> int:
        executed.append(arguments)
        return 0

    monkeypatch.setattr("os.system", refused)
    for name in ("load", "loads", "Unpickler", "_Unpickler"):
        monkeypatch.setattr(pickle, name, refused)
    monkeypatch.setattr("builtins.eval", refused)
    monkeypatch.setattr("builtins.exec", refused)
    yield
    assert executed == []
    assert not os.path.exists("/tmp/weir-scanner-was-fooled")  # noqa: PTH110


def rules(result: ScanResult) -> set[str]:
    return {one.rule for one in result.findings}


def evidence(result: ScanResult) -> str:
    return "\n".join(one.evidence for one in result.findings)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        pytest.param(evil.system("os"), "os system", id="os"),
        pytest.param(evil.system("posix"), "posix system", id="posix"),
        pytest.param(evil.system("nt"), "nt system", id="nt"),
        pytest.param(b"cposix\nsystem\n(S'id'\ntR.", "posix system", id="protocol 0"),
        pytest.param(evil.through_memo(), "builtins eval", id="STACK_GLOBAL through the memo"),
        pytest.param(evil.through_text_memo(), "posix system", id="STACK_GLOBAL through PUT and GET"),
        pytest.param(evil.with_dup(), "eval eval", id="DUP"),
        pytest.param(b"(0" + evil.system()[2:], "os system", id="POP of a mark"),
        pytest.param(evil.inst(), "os system", id="INST"),
        pytest.param(evil.obj(), "os system", id="OBJ"),
        pytest.param(evil.newobj_ex(), "subprocess Popen", id="NEWOBJ_EX"),
        pytest.param(evil.by_copyreg(), "copyreg __newobj__", id="copyreg"),
        pytest.param(evil.by_getattr(), "builtins getattr", id="getattr"),
        pytest.param(evil.loads(), "pickle loads", id="pickle.loads"),
        pytest.param(b"\x80\x02" + evil.called(evil.global_("torch.storage", "_load_from_bytes"), b"C\x01x") + b".",
                     "torch.storage _load_from_bytes", id="torch unpickles"),
        pytest.param(evil.PROTO + evil.global_("__main__", "Model") + b")\x81.", "__main__ Model", id="a class"),
        pytest.param(b"\x80\x04" + evil.stack_global("collections", "OrderedDict.fromkeys") + b")R.",
                     "collections OrderedDict.fromkeys", id="a name that reaches into a class"),
        pytest.param(b"\x80\x04" + evil.stack_global("torch._utils._rebuild", "tensor_v2") + b".",
                     "torch._utils._rebuild tensor_v2", id="an allowed path cut elsewhere"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["model.pkl", "pytorch_model.bin", "weights.pt"])
def test_what_is_imported_is_named_however_it_is_written(content: bytes, named: str, path: str) -> None:
    # When a pickle that would call something is scanned
    result = scan(Bytes(content), path)

    # Then it is dangerous, and the finding names what
    assert result.verdict == "dangerous"
    assert named in evidence(result)


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        pytest.param(evil.ext(b"\x82\x01"), "extension-registry", id="EXT1"),
        pytest.param(evil.ext(b"\x83\x01\x00"), "extension-registry", id="EXT2"),
        pytest.param(evil.ext(b"\x84\x01\x00\x00\x00"), "extension-registry", id="EXT4"),
        pytest.param(evil.computed_name(), "global-unresolved", id="a name that is computed"),
        pytest.param(b"\x80\x04K\x01K\x02\x93.", "global-unresolved", id="names that are numbers"),
        pytest.param(
            b"\x80\x04V\\u006fs\n" + evil.text("system") + b"\x93.", "global-unresolved", id="an escaped name"
        ),
        pytest.param(evil.class_changed(), "state-not-allowed", id="a class is changed"),
        pytest.param(evil.PROTO + evil.global_("torch", "Size") + b"}b.", "state-not-allowed", id="BUILD on a global"),
        pytest.param(evil.called_result(), "call-not-allowed", id="a result is called"),
        pytest.param(evil.PROTO + b"K\x01)R.", "call-not-allowed", id="a number is called"),
    ],
)
def test_what_can_not_be_told_is_not_allowed(content: bytes, rule: str) -> None:
    result = scan(Bytes(content), "model.pkl")

    assert result.verdict == "dangerous"
    assert rule in rules(result)


@pytest.mark.parametrize("index", [b"+1", b" 1", b"1 ", b"1_0", b"1\r", b"\t1", b"1\0 more", b"0" * 20 + b"1"])
def test_an_index_of_the_memo_is_read_as_unpicklers_read_it(index: bytes) -> None:
    # Given a pickle that begins as text does, and writes its index of the memo as few do
    content = b"cos\nsystem\np" + index + b"\n0g1\n(S'id'\ntR."
    if index == b"1_0":
        content = content.replace(b"g1\n", b"g10\n")

    # When it is scanned under a name that promises nothing / Then its call is seen
    result = scan(Bytes(content), "pytorch_model.bin")
    assert result.verdict == "dangerous"
    assert "calls os system" in evidence(result)


def test_an_index_of_the_memo_that_is_longer_than_what_is_kept_is_not_passed_over() -> None:
    content = b"cos\nsystem\np" + b" " * MOST_NESTED + b"1\n(S'id'\ntR."

    assert scan(Bytes(content), "pytorch_model.bin").verdict == "dangerous"


@pytest.mark.parametrize("line", [b"p" * (2 * MOST_NESTED), b"g" * (2 * MOST_NESTED)], ids=["p", "g"])
def test_a_text_of_one_long_line_is_no_pickle(line: bytes) -> None:
    assert scan(Bytes(line), "genome.txt").verdict == "unscanned"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(evil.nested(), id="bytes"),
        pytest.param(evil.nested(3), id="three deep"),
        pytest.param(evil.nested(30), id="deeper than is followed"),
        pytest.param(evil.nested(payload=b"cos\nsystem\n(S'id'\ntR."), id="protocol 0"),
        pytest.param(evil.nested(payload=evil.system()[:-1] + b"\xff" * 9), id="which breaks"),
        pytest.param(evil.nested_as_text(), id="as text"),
        pytest.param(b"\x80\x05\x96" + struct.pack("<Q", len(evil.system())) + evil.system() + b".", id="bytearray"),
    ],
)
def test_a_pickle_in_the_bytes_of_a_pickle_is_followed(content: bytes) -> None:
    # Given a pickle that by itself does nothing, with another in its bytes
    # Then the other's doings are its own
    assert scan(Bytes(content), "model.pkl").verdict == "dangerous"


@pytest.mark.parametrize("rest", [b"", b"\xff\xff", b"\x8c\xff", b"X\xff\xff\xff\x7f", b"N" * 9, b"R", b"\x80\x09"])
def test_what_stands_before_a_break_counts(rest: bytes) -> None:
    # Given a payload whose pickle breaks after it, which an unpickler would notice too late
    content = evil.system()[:-1] + rest

    result = scan(Bytes(content), "model.pkl")

    # Then the call is found, and the break as well
    assert result.verdict == "dangerous"
    assert {"call-not-allowed", "pickle-broken"} <= rules(result)
    assert "os system" in evidence(result)


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x04",
        b"\x80\x04.",
        b"\x80\x04\xff",
        b"\x80\x09N.",
        b"\x80\x04h\x00.",
        b"(.",
        b"\x80\x02T\xff\xff\xff\xff.",
    ],
)
def test_a_broken_pickle_is_dangerous_for_it_can_not_be_judged(content: bytes) -> None:
    assert rules(scan(Bytes(content), "model.pkl")) == {"pickle-broken"}


def test_all_of_several_pickles_are_followed() -> None:
    # Given an honest pickle, and one that is not behind it
    result = scan(Bytes(evil.state_dict() + evil.system()), "model.pkl")

    assert "os system" in evidence(result)
    assert scan(Bytes(evil.state_dict() * 3), "model.pkl").verdict == "clean"


def test_bytes_after_a_pickle_are_no_part_of_it() -> None:
    assert rules(scan(Bytes(evil.state_dict() + bytes(40)), "model.pkl")) == {"pickle-broken"}


@pytest.mark.parametrize("before", [b"N0", b"K\x010" * 40_000, b"C\xff" + bytes(255) + b"0"])
@pytest.mark.parametrize("path", ["weights.bin", "notes.txt", "vocab"])
def test_a_pickle_that_does_not_begin_as_one_is_found_in_any_file(before: bytes, path: str) -> None:
    # Given a payload behind opcodes that do nothing, in a file that nobody would take for a pickle
    result = scan(Bytes(before + evil.system()), path)

    assert result.verdict == "dangerous"
    assert "os system" in evidence(result)


@pytest.mark.parametrize(
    "words",
    [
        "cat\ndog\nbird\n",
        "changes\nare listed here.\n",
        "(if you read\nthis)\n",
        "{}",
        "[1, 2]",
        "I am text.",
        "# Card\n",
    ],
)
def test_a_text_is_no_pickle(words: str) -> None:
    result = scan(Bytes(words.encode()), "README.md")

    assert (result.format, result.verdict) == ("text", "unscanned")


@pytest.mark.parametrize(
    "content",
    [
        evil.state_dict(),
        evil.state_dict(*(f"layer.{n}" for n in range(200))),
        evil.array_pickle(),
        *evil.plain_pickles(),
    ],
)
def test_honest_pickles_are_clean(content: bytes) -> None:
    result = scan(Bytes(content), "model.pkl")

    assert (result.format, result.verdict, result.findings) == ("pickle", "clean", ())


@pytest.mark.parametrize("path", ["pytorch_model.bin", "old.pt", "model.pth"])
def test_files_of_torch_from_before_zip(path: str) -> None:
    # Given five pickles and raw storages, honest or not
    honest = scan(Bytes(evil.torch_legacy()), path)
    broken = scan(Bytes(evil.torch_legacy(evil.system()[:-1] + b"\xff")), path)

    assert (honest.format, honest.verdict) == ("torch-legacy", "clean")
    assert "os system" in evidence(broken)


def test_raw_bytes_need_the_whole_of_torchs_first_pickles() -> None:
    # Given a file that begins as torch's, and has no five pickles before the bytes that are none
    content = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + b"\xff" * 40

    assert rules(scan(Bytes(content), "old.pt")) == {"pickle-broken"}


def test_a_payload_among_torchs_raw_bytes_is_found() -> None:
    assert (
        scan(Bytes(evil.torch_legacy().replace(struct.pack("<Q4f", 4, 0, 1, 2, 3) * 2, evil.system())), "a.pt").verdict
        == "dangerous"
    )


def test_long_arguments_are_not_read() -> None:
    # Given a pickle with a GiB of bytes in the middle, of which a payload is the end
    size = 1 << 30
    before = b"\x80\x04\x8e" + struct.pack("<Q", size)

    class Sparse(Bytes):
        def read(self, offset: int, length: int) -> bytes:
            super().read(offset, length)
            whole = before + bytes(0)
            tail_at = len(before) + size
            return bytes(
                0 if len(before) <= at < tail_at else (whole[at] if at < len(before) else tail[at - tail_at])
                for at in range(offset, offset + length)
            )

    tail = b"0" + evil.system()[2:]
    file = Sparse(b"", len(before) + size + len(tail))

    result = scan(file, "model.pkl")

    # Then the payload is found, and hardly anything of the rest was in memory
    assert "os system" in evidence(result)
    assert file.bytes_read < 400_000


@pytest.mark.parametrize("content", [b"N" * 20_000, b"(" * 20_000, b"N" + b"\x94" * 20_000])
def test_a_pickle_that_fills_the_memory_is_not_followed_to_its_end(
    monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setattr("weir.packages.pickle_machine.MOST_VALUES", 10_000)

    assert rules(scan(Bytes(content), "model.pkl")) == {"pickle-too-much"}


def test_a_pickle_that_takes_too_long_is_not_followed_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(left=1000)
    assert steps.left < MOST_OPCODES
    monkeypatch.setattr("weir.packages.scanners.Steps", lambda: steps)

    assert rules(scan(Bytes(b"N0" * 1000), "model.pkl")) == {"pickle-too-much"}


def test_lines_that_do_not_end_are_not_kept() -> None:
    file = Bytes(b"V" + b"a" * 3_000_000)

    assert rules(scan(file, "model.pkl")) == {"pickle-broken"}


def test_findings_are_bounded_and_printable() -> None:
    # Given a pickle with thousands of globals, whose names are not to be shown as they are
    content = b"".join(evil.global_(f"m{n}\x1b[2J", "x" * 500) + b"0" for n in range(5000)) + b"N."

    result = scan(Bytes(content), "model.pkl")

    assert len(result.findings) <= 50
    assert all(one.evidence.isprintable() and len(one.evidence) <= 300 for one in result.findings)


def test_no_allowed_name_means_another_under_python_2() -> None:
    # Protocols below 3 rename what they import: an allowed name must not become one that is not
    for module, name in ALLOWED:
        renamed = _compat_pickle.NAME_MAPPING.get(
            (module, name), (_compat_pickle.IMPORT_MAPPING.get(module, module), name)
        )
        assert renamed in ALLOWED
