"""Pulling: ranges side by side, resumed after whatever broke it off, and in its place only what was published."""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from client import exits
from client.packages_pull import wanted_files
from client.target import REPOSITORY
from tests.unit.client.fake_registry import Blob, Fault, Registry
from tests.unit.client.typing_in import MIB, bytes_of, killed, packages, process, quick, write

pytestmark = pytest.mark.usefixtures("quick")
__all__ = ["quick"]

RANGE = r"GET /s3/object/\w+"
DATA = bytes_of(3 * MIB + 7)


def publish(registry: Registry, files: dict[str, bytes], state: str = "AVAILABLE") -> dict[str, Any]:
    """A version that is there; its view."""
    declared = {}
    for path, data in files.items():
        sha256 = hashlib.sha256(data).hexdigest()
        registry.blobs[sha256] = Blob([data])
        declared[path] = {"path": path, "size": len(data), "sha256": sha256, "content_type": "x/y", "state": state}
    registry.versions["bert", "1.0.0"] = {"name": "bert", "version": "1.0.0", "files": declared}
    registry.aliases["bert", "latest"] = "1.0.0"
    return declared


def here(folder: Path) -> dict[str, bytes]:
    """All that lies in a folder."""
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


FILES = {"weights.bin": DATA, "empty": b"", "sub/deep/vocab.txt": b"hello"}


def test_a_version_comes_as_it_was_published(registry: Registry, tmp_path: Path) -> None:
    publish(registry, FILES)
    code, told = packages(registry, "pull", "bert", "--to", tmp_path / "out")
    assert code == exits.PASSED, told
    assert here(tmp_path / "out") == FILES
    assert registry.count(RANGE) == 4 + 1
    assert "bert 1.0.0: 3 files" in told


def test_a_folder_is_named_after_the_version(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(registry, FILES)
    monkeypatch.chdir(tmp_path)
    assert packages(registry, "pull", "bert", "latest", "--file", "sub/deep/vocab.txt")[0] == exits.PASSED
    assert here(tmp_path) == {"bert-1.0.0/sub/deep/vocab.txt": b"hello"}


def test_what_is_there_already_is_not_pulled(registry: Registry, tmp_path: Path) -> None:
    # Given a folder with one of the files, and another that is not what was published, though as large
    publish(registry, FILES)
    write(tmp_path / "weights.bin", DATA)
    write(tmp_path / "sub" / "deep" / "vocab.txt", b"jello")
    assert packages(registry, "pull", "bert", "--to", tmp_path)[0] == exits.PASSED
    assert here(tmp_path) == FILES
    assert registry.count(RANGE) == 1


def test_a_pull_that_was_killed_goes_on(registry: Registry, tmp_path: Path) -> None:
    # Given a pull of a file of four ranges that is killed at its third
    big = bytes_of(32 * MIB)
    publish(registry, {"weights.bin": big})
    registry.faults = [Fault(RANGE, "hold", after=2, times=9)]
    killed(registry, process(registry, "pull", "bert", "--to", tmp_path / "out", "--jobs", "1"))
    assert {one.name for one in (tmp_path / "out").iterdir()} == {"weights.bin.part", "weights.bin.part.journal"}

    # When it is pulled again
    registry.faults.clear()
    registry.asked.clear()
    with process(registry, "pull", "bert", "--to", tmp_path / "out") as child:
        told = child.communicate()[0]

    # Then only what was missing came, the file is whole, and nothing is left beside it
    assert child.returncode == exits.PASSED, told
    assert registry.count(RANGE) == 2
    assert here(tmp_path / "out") == {"weights.bin": big}


@pytest.mark.parametrize("journal", [b"", b"{}\n", b'["x", 1, 2]\n0\n1\n2\n3\n', b"0\n1\n2\n3\n"])
def test_a_journal_of_something_else_counts_for_nothing(registry: Registry, tmp_path: Path, journal: bytes) -> None:
    publish(registry, FILES)
    write(tmp_path / "weights.bin.part", bytes(len(DATA)))
    write(tmp_path / "weights.bin.part.journal", journal)
    assert packages(registry, "pull", "bert", "--to", tmp_path)[0] == exits.PASSED
    assert here(tmp_path) == FILES


def test_a_part_that_was_damaged_is_pulled_from_the_beginning(registry: Registry, tmp_path: Path) -> None:
    # Given what a pull left that was broken off, and of which the disk then lost a piece
    publish(registry, FILES)
    registry.faults = [Fault(RANGE, 400, after=2, times=99)]
    assert (
        packages(registry, "pull", "bert", "--file", "weights.bin", "--to", tmp_path, "--jobs", "1")[0] == exits.FAILED
    )
    registry.faults.clear()
    part = tmp_path / "weights.bin.part"
    part.write_bytes(bytes(4096) + part.read_bytes()[4096:])

    # When it is pulled again / Then the damage is found, and everything comes anew
    registry.asked.clear()
    assert packages(registry, "pull", "bert", "--to", tmp_path)[0] == exits.PASSED
    assert here(tmp_path) == FILES
    assert registry.count(RANGE) == 2 + 4 + 1


def test_bytes_that_are_not_those_that_were_published_are_refused(
    registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a storage that changes a byte
    publish(registry, {"weights.bin": DATA})
    registry.tamper = lambda piece: piece[:-1] + bytes([piece[-1] ^ 1])
    assert packages(registry, "pull", "bert", "--to", tmp_path / "out")[0] == exits.FAILED
    assert "SHA-256" in capsys.readouterr().err
    assert here(tmp_path / "out") == {}


def test_a_file_in_place_stays_where_its_successor_is_damaged(registry: Registry, tmp_path: Path) -> None:
    publish(registry, {"weights.bin": DATA})
    write(tmp_path / "weights.bin", b"mine")
    registry.tamper = lambda piece: bytes(len(piece))
    assert packages(registry, "pull", "bert", "--to", tmp_path)[0] == exits.FAILED
    assert here(tmp_path) == {"weights.bin": b"mine"}


@pytest.mark.parametrize("tamper", [lambda piece: piece[:-1], lambda piece: piece + b"more"])
def test_a_range_of_another_length_is_refused(registry: Registry, tmp_path: Path, tamper: Any) -> None:
    publish(registry, {"weights.bin": DATA})
    registry.tamper = tamper
    assert packages(registry, "pull", "bert", "--to", tmp_path)[0] == exits.FAILED
    assert "weights.bin" not in here(tmp_path)


def test_another_file_than_the_version_declares_is_refused(registry: Registry, tmp_path: Path) -> None:
    # Given a download that is of other bytes, with a digest that fits them
    files = publish(registry, {"weights.bin": DATA, "other": b"evil"})
    seen = registry.of_version

    def swapped(method: str, key: tuple[str, str], rest: list[str], body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        status, found = seen(method, key, rest, body)
        return status, {**found, **files["other"]} if rest[:1] == ["files"] else found

    registry.of_version = swapped  # type: ignore[method-assign]
    assert packages(registry, "pull", "bert", "--file", "weights.bin", "--to", tmp_path)[0] == exits.FAILED
    assert here(tmp_path) == {}


@pytest.mark.parametrize("what", [500, 503, "drop", "cut", "slow"])
def test_what_fails_for_a_while_is_tried_again(registry: Registry, tmp_path: Path, what: int | str) -> None:
    publish(registry, FILES)
    registry.faults = [Fault(RANGE, what, times=4), Fault(r"GET .*/download", 503 if what in {500, "cut"} else what)]
    code, told = packages(registry, "pull", "bert", "--to", tmp_path)
    assert code == exits.PASSED, told
    assert here(tmp_path) == FILES
    assert not any(one.times for one in registry.faults)


def test_a_url_that_expires_is_asked_for_again(registry: Registry, tmp_path: Path) -> None:
    # Given a URL that expires when two ranges have come
    publish(registry, {"weights.bin": DATA})
    seen = registry.fault

    def fault(request: str) -> int | str | None:
        if registry.count(RANGE) == 3 and registry.epoch == 0:
            registry.expire()
        return seen(request)

    registry.fault = fault  # type: ignore[method-assign]
    assert packages(registry, "pull", "bert", "--to", tmp_path)[0] == exits.PASSED
    assert here(tmp_path) == {"weights.bin": DATA}
    assert registry.count(r"GET .*/download") == 2


@pytest.mark.parametrize("state", ["SCANNING", "QUARANTINED"])
def test_only_what_is_available_is_pulled(
    registry: Registry, tmp_path: Path, state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(registry, FILES, state)
    assert packages(registry, "pull", "bert", "--to", tmp_path / "out")[0] == exits.FAILED
    assert state in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_two_pulls_of_a_file_at_once_are_one_too_many(
    registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a pull that is at work
    publish(registry, {"weights.bin": DATA})
    registry.faults = [Fault(RANGE, "hold")]
    with process(registry, "pull", "bert", "--to", tmp_path) as child:
        assert registry.held.wait(30)

        # When another begins in the same folder / Then it is told, and the first is not disturbed
        assert packages(registry, "pull", "bert", "--to", tmp_path)[0] == exits.FAILED
        assert "Another pull" in capsys.readouterr().err
        registry.let_go.set()
        child.communicate()
    assert child.returncode == exits.PASSED
    assert here(tmp_path) == {"weights.bin": DATA}


HOSTILE = ["../evil", "/tmp/evil", "a/../../evil", "..", "a//b", "./a", "a/.", "C:evil", "a\\..\\b", "a\0b", "a\nb", ""]


@pytest.mark.parametrize("path", HOSTILE)
def test_a_path_that_leads_away_is_refused_before_anything_is_written(
    registry: Registry, tmp_path: Path, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a registry that lies / When its version is pulled / Then nothing at all is written
    publish(registry, {"fine": b"fine", path: b"evil"})
    assert packages(registry, "pull", "bert", "--to", tmp_path / "out")[0] == exits.FAILED
    assert "does not stay in the folder" in capsys.readouterr().err
    assert here(tmp_path) == {}


@pytest.mark.parametrize("name", ["../up", ".hidden", "a/b", ""])
def test_a_name_that_makes_no_folder_is_refused(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    publish(registry, FILES)
    registry.versions["bert", "1.0.0"]["name"] = name
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    assert packages(registry, "pull", "bert")[0] == exits.FAILED
    assert here(tmp_path) == {}


@pytest.mark.parametrize("link", ["sub", "sub/deep", "weights.bin", "weights.bin.part", "weights.bin.part.journal"])
def test_symbolic_links_in_the_way_are_not_followed(registry: Registry, tmp_path: Path, link: str) -> None:
    # Given a folder with a link to somewhere else in the place of a folder or a file
    publish(registry, FILES)
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    write(tmp_path / "elsewhere" / "mine", b"mine")
    target = tmp_path / "elsewhere" if link.startswith("sub") else tmp_path / "elsewhere" / "mine"
    place = tmp_path / "out" / link
    place.parent.mkdir(parents=True)
    place.symlink_to(target)

    # When it is pulled / Then it is refused, and nothing was written there
    assert packages(registry, "pull", "bert", "--to", tmp_path / "out")[0] == exits.FAILED
    assert here(tmp_path / "elsewhere") == {"mine": b"mine"}


def test_files_that_would_be_pulled_over_each_other_are_refused(
    registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(registry, {"a": b"1", "a.part": b"2"})
    assert packages(registry, "pull", "bert", "--to", tmp_path)[0] == exits.FAILED
    assert "a.part" in capsys.readouterr().err
    assert here(tmp_path) == {}


def test_a_file_that_there_is_not_is_told(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    publish(registry, FILES)
    assert packages(registry, "pull", "bert", "--file", "nothing")[0] == exits.FAILED
    assert "no file 'nothing'" in capsys.readouterr().err


def test_a_file_that_is_named_twice_is_pulled_once() -> None:
    version = {"name": "bert", "version": "1.0.0", "state": "AVAILABLE", "files": [{"path": "a"}, {"path": "b"}]}
    assert wanted_files(version, ["b", "b"]) == [{"path": "b"}]


MEASURED = """
import sys, tracemalloc
from client import packages_commands, weir
weir.main(["--help"])
tracemalloc.start()
code = weir.main(sys.argv[1:])
print("peak", tracemalloc.get_traced_memory()[1], file=sys.stderr)
sys.exit(code)
"""
MOST_BYTES = 24 * MIB
"""A buffer for each of 6 connections and 4 files, two to hash with, and what the calls of the API take."""


def test_memory_does_not_grow_with_the_file(registry: Registry, tmp_path: Path) -> None:
    # Given a file of 200 MB
    big = tmp_path / "model" / "big.bin"
    write(big)
    with big.open("r+b") as file:
        file.truncate(200_000_000)

    def measured(*arguments: object) -> int:
        """Peak bytes of a process that does one command."""
        command = [sys.executable, "-c", MEASURED, "--url", f"{registry.url}/v1", "packages", *map(str, arguments)]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert done.returncode == exits.PASSED, done.stderr
        return int(done.stderr.rsplit("peak ", 1)[1])

    # When it is pushed and pulled / Then no more than a few buffers are in memory
    assert measured("push", big.parent, "--name", "bert", "--version", "1.0.0") < MOST_BYTES
    assert measured("pull", "bert", "--to", tmp_path / "out") < MOST_BYTES
    assert (tmp_path / "out" / "big.bin").stat().st_size == 200_000_000
