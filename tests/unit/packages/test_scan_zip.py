"""ZIP files: what they would do to whoever unpacks them, and what their members hold."""

import io
import struct
import zipfile
import zlib

import pytest

from tests.unit.packages import evil
from tests.unit.packages.evil import Bytes, central, deflated, end, local, one_member, zipped
from weir.packages.findings import ScanResult
from weir.packages.scanners import scan


@pytest.fixture(autouse=True)
def _nothing_is_executed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: object) -> None:
        raise AssertionError(f"executed: {arguments}")

    for name in ("os.system", "pickle.load", "pickle.loads", "zipfile.ZipFile.extract", "zipfile.ZipFile.read"):
        monkeypatch.setattr(name, refused)


def rules(result: ScanResult) -> set[str]:
    return {one.rule for one in result.findings}


def evidence(result: ScanResult) -> str:
    return "\n".join(one.evidence for one in result.findings)


DEFLATED = zipfile.ZIP_DEFLATED
STORED = zipfile.ZIP_STORED
TORCH, TORCH_DEFLATED = evil.torch_zip(), evil.torch_zip(method=DEFLATED)
ARRAYS = {"a.npy": evil.npy("<f4", (1000,), bytes(4000)), "b.npy": evil.npy("<i8", (), bytes(8))}


def streamed() -> bytes:
    """An archive as Python writes it where it can't go back: sizes follow the data."""

    class OneWay(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise OSError("one way")

        def tell(self) -> int:
            raise OSError("one way")

    file = OneWay()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.txt", b"words " * 100, DEFLATED)
        with archive.open("b.txt", "w", force_zip64=True) as member:
            member.write(b"more")
    return file.getvalue()


def wide() -> bytes:
    """An archive with ZIP64's records, whose end leaves all numbers to them."""
    content = b"a" * 100
    body = local(b"a.txt", content, 100, zlib.crc32(content), method=0)
    listed = central(b"a.txt", 100, 100, zlib.crc32(content), 0, method=0)
    at = len(body) + len(listed)
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, len(listed), len(body))
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, at, 1)
    return body + listed + record + locator + end(0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)


@pytest.mark.parametrize(
    ("content", "path", "format_"),
    [
        pytest.param(TORCH, "model.pt", "torch", id="torch"),
        pytest.param(TORCH, "pytorch_model.bin", "torch", id="torch as .bin"),
        pytest.param(TORCH_DEFLATED, "model.pt", "torch", id="torch, deflated"),
        pytest.param(zipped(ARRAYS), "x.npz", "npz", id="arrays"),
        pytest.param(zipped(ARRAYS, DEFLATED), "x.npz", "npz", id="arrays, deflated"),
        pytest.param(zipped({"a/": b"", "a/ü.txt": b"x", "b.json": b"{}"}), "data.zip", "zip", id="files"),
        pytest.param(zipped({}), "data.zip", "zip", id="nothing"),
        pytest.param(streamed(), "data.zip", "zip", id="streamed"),
        pytest.param(wide(), "data.zip", "zip", id="ZIP64"),
        pytest.param(zipped({"z.txt": b"0" * 1000, "a.bin": bytes(range(256))}, DEFLATED), "a.zip", "zip", id="both"),
    ],
)
def test_honest_archives_are_clean(content: bytes, path: str, format_: str) -> None:
    result = scan(Bytes(content), path)

    assert (result.format, result.verdict, result.findings) == (format_, "clean", ())


@pytest.mark.parametrize(
    "payload",
    [evil.system(), evil.inst(), evil.through_memo(), evil.system()[:-1] + b"\xff\xff"],
    ids=["GLOBAL", "INST", "memo", "broken"],
)
@pytest.mark.parametrize("method", [STORED, DEFLATED])
@pytest.mark.parametrize("name", ["data.pkl", "data/7", "extra/hidden.PKL", "notes.txt", "weights"])
def test_a_pickle_in_an_archive_is_followed_whatever_its_name(payload: bytes, method: int, name: str) -> None:
    # Given PyTorch's archive, honest but for one member
    result = scan(Bytes(evil.torch_zip(payload, pickle_name=name, method=method)), "model.pt")

    assert result.verdict == "dangerous"
    assert "call-not-allowed" in rules(result)


def test_a_pickle_with_a_wrong_crc_is_followed_too() -> None:
    # Given an archive that Python refuses to read, and PyTorch does not
    content = evil.torch_zip(evil.system()).replace(zlib.crc32(evil.system()).to_bytes(4, "little"), b"\1\2\3\4")

    assert "os system" in evidence(scan(Bytes(content), "model.pt"))


def test_objects_in_an_archive_of_arrays_are_a_pickle() -> None:
    content = zipped({**ARRAYS, "c.npy": evil.npy("|O", (1,), evil.system())}, DEFLATED)

    assert "os system" in evidence(scan(Bytes(content), "x.npz"))


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "a/../../x",
        "/etc/passwd",
        "C:\\x",
        "c:x",
        "a\\..\\x",
        "\\\\host\\share",
        "a/./b",
        "..",
        "a\x1b[2J",
        "a/\u202eb",
    ],
)
def test_a_name_that_leaves_the_folder_is_dangerous(name: str) -> None:
    raw = name.encode()
    flags = 0x800
    body = local(raw, b"x", 1, zlib.crc32(b"x"), method=0, flags=flags)
    listed = central(raw, 1, 1, zlib.crc32(b"x"), 0, method=0, flags=flags)
    content = body + listed + end(1, len(listed), len(body))

    assert rules(scan(Bytes(content), "a.zip")) == {"zip-path"}


def test_a_link_is_dangerous() -> None:
    assert rules(scan(Bytes(evil.linked()), "a.zip")) == {"zip-link"}


def test_a_name_twice_is_dangerous() -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        content = zipped([("a", b"1"), ("a", b"2")])

    assert rules(scan(Bytes(content), "a.zip")) == {"zip-duplicate-name"}


def flagged(flag: int) -> bytes:
    body = local(b"a", b"x", 1, 0, method=0, flags=flag)
    listed = central(b"a", 1, 1, 0, 0, method=0, flags=flag)
    return body + listed + end(1, len(listed), len(body))


@pytest.mark.parametrize("flag", [0x1, 0x40, 0x2000])
def test_what_is_encrypted_is_dangerous(flag: int) -> None:
    assert rules(scan(Bytes(flagged(flag)), "a.zip")) == {"zip-encrypted"}


def test_a_method_that_is_not_known_is_dangerous() -> None:
    assert rules(scan(Bytes(zipped({"a.pkl": evil.system()}, zipfile.ZIP_LZMA)), "a.zip")) == {"zip-method"}


# Bombs


def test_a_member_that_swells_is_a_bomb_and_is_not_inflated(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given 40 MB of zeros in 40 KB
    monkeypatch.setattr("weir.packages.scan_zip.MOST_INFLATED", 200_000)
    file = Bytes(one_member(bytes(40_000_000)))

    assert rules(scan(file, "a.zip")) == {"zip-bomb"}


def test_many_members_that_swell_together_are_a_bomb() -> None:
    # Given members that each are below the ratio's beginning, and together many times the archive
    data, crc = deflated(bytes(15_000_000)), zlib.crc32(bytes(15_000_000))
    body, listed = b"", b""
    for number in range(80):
        name = b"%d.bin" % number
        listed += central(name, len(data), 15_000_000, crc, len(body))
        body += local(name, data, 15_000_000, crc)

    result = scan(Bytes(body + listed + end(80, len(listed), len(body))), "a.zip")

    assert "zip-bomb" in rules(result)


def test_members_that_lie_over_each_other_are_dangerous() -> None:
    assert "zip-overlap" in rules(scan(Bytes(evil.quoted()), "a.zip"))


def test_entries_of_one_place_are_dangerous() -> None:
    # Given one member that the directory has twice
    content = deflated(b"x" * 1000)
    body = local(b"a", content, 1000, 0)
    listed = central(b"a", len(content), 1000, 0, 0) * 2

    result = scan(Bytes(body + listed + end(2, len(listed), len(body))), "a.zip")

    assert {"zip-overlap", "zip-duplicate-name"} <= rules(result)


@pytest.mark.parametrize("said", [1, 500, 100_001, 2_000_000])
def test_a_member_of_another_size_than_it_says(said: int) -> None:
    content = bytes(range(250)) * 400

    assert "zip-size" in rules(scan(Bytes(one_member(content, said=said)), "a.zip"))


def test_a_stored_member_with_two_sizes() -> None:
    body = local(b"a.pkl", evil.system(), 1, 0, method=0)
    listed = central(b"a.pkl", len(evil.system()), 1, 0, 0, method=0)

    assert rules(scan(Bytes(body + listed + end(1, len(listed), len(body))), "a.zip")) == {"zip-size"}


def test_what_is_not_inflated_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given more to inflate than a scan has, and a payload behind it
    monkeypatch.setattr("weir.packages.scan_zip.MOST_INFLATED", 300_000)
    large = bytes(range(256)) * 2000

    honest = scan(Bytes(zipped({"a": large}, DEFLATED)), "a.zip")
    other = scan(Bytes(zipped({"a": large, "b.pkl": evil.system()}, DEFLATED)), "a.zip")

    # Then the sizes were not seen, and the payload was
    assert (honest.verdict, rules(honest)) == ("unscanned", {"not-inflated"})
    assert "os system" in evidence(other)


def test_what_can_not_be_looked_into_any_more_is_dangerous(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weir.packages.scan_zip.MOST_INFLATED", 100_000)
    members = {f"{number}": bytes(range(256)) * 100 for number in range(9)} | {"x.pkl": evil.system()}

    assert "zip-too-much" in rules(scan(Bytes(zipped(members, DEFLATED)), "a.zip"))


def test_deflated_bytes_that_are_broken() -> None:
    body = local(b"a", b"\xff" * 20, 100, 0)
    listed = central(b"a", 20, 100, 0, 0)

    assert rules(scan(Bytes(body + listed + end(1, len(listed), len(body))), "a.zip")) == {"zip-data"}


def test_too_many_entries_are_not_read() -> None:
    file = Bytes(b"PK\x03\x04" + bytes(20_000_000) + end(60_000, 20_000_000, 4))

    assert rules(scan(file, "a.zip")) == {"zip-too-many-entries"}
    assert file.bytes_read < 300_000


# What one program sees and another does not


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        pytest.param(b"#!/bin/sh\n" + TORCH, "zip-prepended-data", id="before"),
        pytest.param(evil.system() + TORCH, "zip-appended", id="a pickle before"),
        pytest.param(TORCH + b"more", "zip-appended-data", id="after"),
        pytest.param(TORCH[:-2] + b"\x05\0" + b"more", "zip-appended-data", id="a comment that is cut off"),
        pytest.param(TORCH[:-30], "zip-directory", id="no end"),
        pytest.param(b"PK\x03\x04", "zip-directory", id="four bytes"),
        pytest.param(TORCH + TORCH, "zip-prepended-data", id="two archives"),
        pytest.param(one_member(b"x").replace(b"a.bin", b"b.bin", 1), "zip-header-mismatch", id="two names"),
        pytest.param(local(b"a", b"x", 1, 0, method=0) + b"hidden" + central(b"a", 1, 1, 0, 0, method=0)
                     + end(1, 47, 38), "zip-hidden-data", id="between"),
        pytest.param(local(b"a", b"x", 1, 0, method=8) + central(b"a", 1, 1, 0, 0, method=0) + end(1, 47, 32),
                     "zip-header-mismatch", id="two methods"),
        pytest.param(local(b"a", b"x", 2, 0, method=0) + central(b"a", 1, 1, 0, 0, method=0) + end(1, 47, 32),
                     "zip-header-mismatch", id="two sizes"),
        pytest.param(local(b"a", b"x", 1, 7, method=0) + central(b"a", 1, 1, 0, 0, method=0) + end(1, 47, 32),
                     "zip-header-mismatch", id="two CRCs"),
        pytest.param(local(b"a", b"x", 1, 0, method=0, flags=1) + central(b"a", 1, 1, 0, 0, method=0) + end(1, 47, 32),
                     "zip-header-mismatch", id="two flags"),
        pytest.param(local(b"a", b"x", 1, 0, method=0) + central(b"a", 1, 1, 0, 9999, method=0) + end(1, 47, 32),
                     "zip-prepended-data", id="a header that is not there"),
        pytest.param(local(b"a", b"x", 1, 0, method=0) + central(b"a", 9, 9, 0, 0, method=0) + end(1, 47, 32),
                     "zip-header-mismatch", id="beyond the end"),
        pytest.param(local(b"a", b"x", 1, 0, method=0) + central(b"a", 1, 1, 0, 0, method=0) + end(2, 47, 32),
                     "zip-directory", id="fewer entries than said"),
        pytest.param(local(b"a", b"x", 1, 0, method=0) + central(b"a", 1, 1, 0, 0, method=0) + end(0, 47, 32),
                     "zip-directory", id="more entries than said"),
        pytest.param(wide().replace(end(0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF), end(9, 0xFFFFFFFF, 0xFFFFFFFF)),
                     "zip-directory", id="two counts"),
    ],
)  # fmt: skip
def test_an_archive_that_can_be_read_in_two_ways_is_dangerous(content: bytes, rule: str) -> None:
    result = scan(Bytes(content), "model.zip")

    assert result.verdict == "dangerous"
    assert rule in rules(result)


def test_a_pickle_with_an_archive_behind_it_is_both_found() -> None:
    # Given a file that pickle.load and zipfile both read, each in its way
    result = scan(Bytes(evil.system() + zipped({"a": b"x"})), "model.bin")

    assert "os system" in evidence(result)
    assert "zip-appended" in rules(result)


@pytest.mark.parametrize(
    ("member", "rule"),
    [
        ({"inner.zip": zipped({"a.pkl": evil.system()})}, "nested-archive"),
        ({"inner": b"\x1f\x8b\x08\x00" + bytes(range(200))}, "no-scanner"),
        ({"model.weights.h5": b"\x89HDF\r\n\x1a\n" + bytes(range(200))}, "no-scanner"),
        ({"code/run.py": b"print(1)"}, "no-scanner"),
    ],
)
def test_what_is_not_looked_into_is_told(member: dict[str, bytes], rule: str) -> None:
    result = scan(Bytes(zipped(member)), "a.zip")

    assert (result.verdict, rules(result)) == ("unscanned", {rule})


def test_torchs_archive_in_an_archive_is_dangerous_for_it_is_not_looked_into() -> None:
    result = scan(Bytes(zipped({"weights/best.pt": evil.torch_zip(evil.system())})), "a.zip")

    assert (result.verdict, rules(result)) == ("dangerous", {"nested-pickles"})


def test_only_headers_of_large_members_are_read() -> None:
    # Given PyTorch's archive with a storage of 64 MiB
    content = zipped({"m/data.pkl": evil.state_dict(), "m/data/0": bytes(64 * 1024 * 1024), "m/version": b"3"})
    file = Bytes(content)

    result = scan(file, "model.pt")

    assert result.verdict == "clean"
    assert file.bytes_read < 400_000
    assert len(file.reads) < 12
