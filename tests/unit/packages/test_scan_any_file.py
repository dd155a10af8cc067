"""Any file at all: told by its content first, and never more than it costs to tell."""

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.unit.packages import evil
from tests.unit.packages.evil import Bytes
from weir.packages.findings import Finding, finding, judged
from weir.packages.scanners import scan

PATHS = st.sampled_from(
    ["a.safetensors", "a.pt", "a.pkl", "a.npy", "a.npz", "a.zip", "a.bin", "a.txt", "a.gguf", "a", "", "ü/..", "a.py"]
)
BEGINNINGS = st.sampled_from(
    [
        *(
            b"",
            b"\x80\x04",
            b"PK\x03\x04",
            b"PK\x05\x06",
            b"\x93NUMPY\x01\x00v\x00",
            b"\x10\0\0\0\0\0\0\0{",
            b"GGUF",
            b"c",
        ),
        *(evil.torch_zip(), evil.torch_legacy(), evil.npy("<f4", (1,), bytes(4)), evil.state_dict(), evil.quoted()),
        *(evil.safetensors(evil.weights((0, 4)), bytes(4)), evil.one_member(b"abc" * 99), evil.zipped({"a": b"b"})),
    ]
)


@hypothesis_settings(max_examples=400, deadline=None)
@given(BEGINNINGS, st.binary(max_size=400), PATHS, st.integers(0, 3))
def test_no_bytes_raise_or_cost_much(beginning: bytes, rest: bytes, path: str, where: int) -> None:
    # Given random bytes after, before or instead of a part of a file that is honest
    content = [beginning + rest, rest + beginning, beginning[:40] + rest + beginning[40:], beginning[:-9] + rest][where]
    file = Bytes(content)

    result = scan(file, path)

    # Then there is a verdict, and few reads
    assert result.verdict in {"clean", "dangerous", "unscanned"}
    assert (result.verdict == "clean") == (not result.findings)
    assert len(file.reads) <= 12
    assert file.bytes_read <= 12 * (len(content) + 1)
    assert not any(one.rule == "could-not-be-read" for one in result.findings)


@hypothesis_settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_changed_byte_never_raises(data: st.DataObject) -> None:
    content = bytearray(data.draw(BEGINNINGS))
    for _ in range(data.draw(st.integers(1, 4))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))

    result = scan(Bytes(bytes(content)), data.draw(PATHS))

    assert not any(one.rule == "could-not-be-read" for one in result.findings)


@pytest.mark.parametrize(
    ("content", "path", "format_", "rule"),
    [
        (b"GGUF\x03\0\0\0" + bytes(40), "m.gguf", "gguf", "no-executable-content-known"),
        (b"\x89PNG\r\n\x1a\n" + bytes(9), "logo.png", "png", "no-executable-content-known"),
        (b'{"model_type": "bert"}', "config.json", "text", "no-executable-content-known"),
        ("---\nlicense: mit\n---\n# Kärtchen\n".encode(), "README.md", "text", "no-executable-content-known"),
        (("ü" * 5000).encode(), "README.md", "text", "no-executable-content-known"),
        (b"import os\n", "modeling.py", "source", "no-scanner"),
        (b"\x08\x07\x12\x04onnx" + bytes(9), "m.onnx", "onnx", "no-scanner"),
        (b"\x89HDF\r\n\x1a\n" + bytes(9), "m.h5", "hdf5", "no-scanner"),
        (b"\x1f\x8b\x08\x00" + bytes(99), "m.pkl.gz", "gzip", "no-scanner"),
        (bytes(257) + b"ustar\x00" + bytes(300), "m.tar", "tar", "no-scanner"),
        (b"\x7fELF" + bytes(99), "lib.so", "elf", "no-scanner"),
        (bytes(99), "weights.bin", "unknown", "no-scanner"),
        (b"N.\xff\xff", "weights.bin", "unknown", "no-scanner"),
        ("MZ".encode("utf-16"), "notes.txt", "unknown", "no-scanner"),
    ],
)
def test_what_has_no_scanner_is_said_to_have_none(content: bytes, path: str, format_: str, rule: str) -> None:
    result = scan(Bytes(content), path)

    assert (result.format, result.verdict, [one.rule for one in result.findings]) == (format_, "unscanned", [rule])


def test_an_empty_file_holds_nothing() -> None:
    assert scan(Bytes(b""), "__init__.py").verdict == "clean"
    assert scan(Bytes(b""), "model.safetensors").verdict == "dangerous"


@pytest.mark.parametrize(
    ("content", "path"),
    [
        (evil.state_dict(), "model.safetensors"),
        (evil.state_dict(), "notes.txt"),
        (evil.torch_zip(), "model.npy"),
        (evil.torch_zip(), "model.safetensors"),
        (evil.safetensors({}), "model.pt"),
        (evil.npy("<f4", (1,), bytes(4)), "x.pkl"),
        (b"GGUF\x03\0\0\0" + bytes(40), "model.pt"),
        (b"\x1f\x8b\x08\x00" + bytes(99), "model.pkl"),
        (b"version https://git-lfs.github.com/spec/v1\n", "model.gguf"),
        (bytes(99), "x.npz"),
    ],
)
def test_a_name_that_promises_another_format_is_a_finding(content: bytes, path: str) -> None:
    result = scan(Bytes(content), path)

    assert result.verdict == "dangerous"
    assert "name-and-content-differ" in {one.rule for one in result.findings}


def test_a_pickle_that_begins_as_something_else_is_found() -> None:
    # Given GGUF's first bytes, which are opcodes too, and a payload behind them
    content = b"GGUF\x03\0\0\0\x01" + b"0" + evil.system()[2:]

    for path in ("model.gguf", "model.bin", "model.pkl"):
        result = scan(Bytes(content), path)
        assert any("os system" in one.evidence for one in result.findings)


@pytest.mark.parametrize("error", [MemoryError, RecursionError, ValueError, KeyError, AssertionError])
def test_what_a_scanner_can_not_cope_with_is_dangerous(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    # Given a scanner that fails
    def failing(*_: object) -> None:
        raise error("why")

    monkeypatch.setattr("weir.packages.scan_safetensors.scan", failing)

    result = scan(Bytes(evil.safetensors({})), "a.safetensors")

    # Then the file is not let through
    assert result.verdict == "dangerous"
    assert [one.rule for one in result.findings] == ["could-not-be-read"]
    assert error.__name__ in result.findings[0].evidence


@pytest.mark.parametrize("after", [0, 1, 2])
@pytest.mark.parametrize("content", [evil.torch_zip(), evil.safetensors({}), evil.state_dict(), bytes(40)])
def test_an_error_of_the_source_is_no_finding(content: bytes, after: int) -> None:
    # Given a source that is throttled at some read
    class Throttled(Bytes):
        def read(self, offset: int, length: int) -> bytes:
            if len(self.reads) >= after:
                raise ConnectionError("slow down")
            return super().read(offset, length)

    file = Throttled(content)
    needed = Bytes(content)
    scan(needed, "a.bin")

    # Then the scan fails as the source did: it says nothing of the file, and may be repeated
    if len(needed.reads) > after:
        with pytest.raises(ConnectionError):
            scan(file, "a.bin")


def test_findings_of_what_was_not_scanned_come_last_and_do_not_hide_others() -> None:
    many = [finding("no-scanner", str(number)) for number in range(99)]

    result = judged("zip", [*many, finding("zip-link", "a"), finding("zip-link", "a")])

    assert result.verdict == "dangerous"
    assert result.findings[0] == Finding("zip-link", "a")
    assert len(result.findings) == 50
