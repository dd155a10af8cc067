"""Pushing: parts side by side, resumed after whatever broke it off, and never a byte too many or too few."""

import hashlib
import signal
from pathlib import Path

import pytest

from client import exits
from tests.unit.client.fake_registry import Fault, Registry
from tests.unit.client.typing_in import MIB, bytes_of, killed, packages, process, quick, write

pytestmark = pytest.mark.usefixtures("quick")
__all__ = ["quick"]

NAMED = ("--name", "bert", "--version", "1.0.0")
PART = r"PUT /s3/part/\w+/\d+"
COMMIT = r"POST /v1/packages/.*/commit"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with a file of three parts, an empty one and one below."""
    folder = tmp_path / "model"
    write(folder / "weights.bin", bytes_of(2 * MIB + 5))
    write(folder / "empty")
    write(folder / "sub" / "vocab.txt", b"hello")
    return folder


def stored(registry: Registry, path: str) -> str:
    """SHA-256 of a file's bytes, as the storage has them."""
    return registry.blobs[registry.versions["bert", "1.0.0"]["files"][path]["sha256"]].sha256()


def is_whole(registry: Registry, model: Path) -> bool:
    """Whether the storage has every byte of the folder."""
    files = registry.versions["bert", "1.0.0"]["files"]
    assert set(files) == {"weights.bin", "empty", "sub/vocab.txt"}
    return all(
        one["state"] == "AVAILABLE"
        and stored(registry, path) == hashlib.sha256((model / path).read_bytes()).hexdigest()
        for path, one in files.items()
    )


def test_a_folder_becomes_a_version(registry: Registry, model: Path) -> None:
    # When a folder is pushed with all that can be told of it
    about = ("--description", "small", "--sensitivity", "restricted", "--group", "nlp", "--tag", "b", "--tag", "a")
    code, told = packages(registry, "push", model, *NAMED, *about, "--metadata", "license=mit")

    # Then every file is there, and the version says what was said
    assert code == exits.PASSED, told
    assert is_whole(registry, model)
    version = registry.versions["bert", "1.0.0"]
    assert (version["sensitivity"], version["allowed_groups"], version["tags"]) == ("restricted", ["nlp"], ["b", "a"])
    assert (version["description"], version["metadata"]) == ("small", {"license": "mit"})
    assert version["files"]["sub/vocab.txt"]["content_type"] == "text/plain"
    assert "AVAILABLE" in told

    # And each part was sent once
    assert registry.count(PART) == 3 + 1 + 1


def test_the_same_again_sends_nothing(registry: Registry, model: Path) -> None:
    packages(registry, "push", model, *NAMED)
    registry.asked.clear()
    assert packages(registry, "push", model, *NAMED)[0] == exits.PASSED
    assert registry.count(PART) == 0
    assert registry.count(r"POST .*/uploads.*") == 0


def test_bytes_that_are_there_already_are_not_sent(registry: Registry, model: Path) -> None:
    # Given another version with the same files / When it is pushed / Then the registry has the bytes
    packages(registry, "push", model, *NAMED)
    registry.asked.clear()
    assert packages(registry, "push", model, "--name", "bert", "--version", "1.0.1")[0] == exits.PASSED
    assert registry.count(PART) == 0


def test_other_bytes_are_another_version(registry: Registry, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packages(registry, "push", model, *NAMED)
    write(model / "sub" / "vocab.txt", b"other")
    assert packages(registry, "push", model, *NAMED)[0] == exits.FAILED
    assert "version-exists" in capsys.readouterr().err


def test_a_push_that_was_killed_goes_on(registry: Registry, model: Path) -> None:
    # Given a push that is killed while its third part is on the way
    registry.faults = [Fault(r"PUT /s3/part/0{32}/3", "hold")]
    alone = model / "weights.bin"
    killed(registry, process(registry, "push", alone, *NAMED, "--jobs", "1"))
    assert len(registry.uploads) == 1
    arrived = set(next(iter(registry.uploads.values())).parts)
    assert {1, 2} <= arrived
    assert registry.blobs == {}

    # When it is pushed again
    registry.asked.clear()
    code, told = packages(registry, "push", alone, *NAMED)

    # Then what had arrived was not sent again, and the file is whole
    assert code == exits.PASSED, told
    assert registry.count(PART) == 3 - len(arrived)
    assert stored(registry, "weights.bin") == hashlib.sha256(alone.read_bytes()).hexdigest()


def test_ctrl_c_ends_a_push_at_once(registry: Registry, model: Path) -> None:
    # Given a push whose parts are all on the way, to a storage that does not answer
    registry.faults = [Fault(PART, "hold", times=99)]
    with process(registry, "push", model, *NAMED) as child:
        assert registry.held.wait(30)

        # When the person presses Ctrl-C / Then nobody waits for the storage
        child.send_signal(signal.SIGINT)
        told = child.communicate(timeout=30)[0]
    assert child.returncode == exits.INTERRUPTED, told
    assert "Traceback" not in told
    assert "the same command goes on" in told
    assert not registry.let_go.is_set()


def test_a_part_that_arrived_damaged_is_sent_again(registry: Registry, model: Path) -> None:
    # Given a push that was broken off, with a part there that is not the file's
    registry.faults = [Fault(COMMIT, 400, times=99)]
    assert packages(registry, "push", model / "weights.bin", *NAMED)[0] == exits.FAILED
    upload = next(iter(registry.uploads.values()))
    upload.parts[2] = (b"other", '"other"', "b3RoZXI=")
    registry.faults.clear()
    registry.asked.clear()

    # When it goes on / Then that part alone is sent
    assert packages(registry, "push", model / "weights.bin", *NAMED)[0] == exits.PASSED
    assert registry.count(PART) == 1


@pytest.mark.parametrize("what", [500, 503, 429, "drop", "lost", "slow"])
def test_what_fails_for_a_while_is_tried_again(registry: Registry, model: Path, what: int | str) -> None:
    # Given a storage and a registry that fail now and then, before or after they did what they were asked
    registry.faults = [
        Fault(PART, what, times=3),
        Fault(r"POST .*/parts", 503 if what == 500 else what),
        Fault(COMMIT, what),
        Fault(r"POST /v1/packages/bert/1.0.0/uploads", 503 if what == 500 else what),
    ]
    code, told = packages(registry, "push", model, *NAMED)
    assert code == exits.PASSED, told
    assert is_whole(registry, model)
    assert not any(one.times for one in registry.faults)


def test_what_fails_for_good_is_told(registry: Registry, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    registry.faults = [Fault(PART, 503, times=10_000)]
    assert packages(registry, "push", model, *NAMED)[0] == exits.FAILED
    told = capsys.readouterr().err
    assert "503" in told
    assert "the same command goes on" in told
    assert "Traceback" not in told
    assert registry.blobs == {}


def test_urls_that_expire_are_asked_for_again_together(registry: Registry, tmp_path: Path) -> None:
    # Given a file of 12 parts, and URLs that expire when the third part comes
    big = write(tmp_path / "big.bin", bytes_of(12 * MIB))

    seen = registry.fault

    def fault(request: str) -> int | str | None:
        if request.startswith("PUT") and registry.count(PART) == 3 and registry.epoch == 0:
            registry.expire()
        return seen(request)

    registry.fault = fault  # type: ignore[method-assign]

    # When it is pushed / Then all that are left are asked for once more, at once
    code, told = packages(registry, "push", big, *NAMED, "--jobs", "2")
    assert code == exits.PASSED, told
    # (the part that the other worker was sending when they expired is among them, or has arrived)
    assert registry.batches in ([12, 10], [12, 11])
    assert stored(registry, "big.bin") == hashlib.sha256(big.read_bytes()).hexdigest()


def test_urls_that_are_refused_for_good_end_it(
    registry: Registry, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.faults = [Fault(PART, 403, times=10_000)]
    assert packages(registry, "push", model / "weights.bin", *NAMED, "--jobs", "1")[0] == exits.FAILED
    assert "403" in capsys.readouterr().err
    assert registry.count(PART) < 40


def test_an_upload_that_ended_meanwhile_is_opened_again(registry: Registry, model: Path) -> None:
    # Given an upload that somebody aborts before it is committed
    seen = registry.fault

    def fault(request: str) -> int | str | None:
        if request.endswith("/commit") and len(registry.uploads) == 1:
            next(iter(registry.uploads.values())).state = "ABORTED"
        return seen(request)

    registry.fault = fault  # type: ignore[method-assign]
    assert packages(registry, "push", model / "weights.bin", *NAMED)[0] == exits.PASSED
    assert len(registry.uploads) == 2
    assert registry.count(PART) == 6


def test_a_commit_whose_answer_is_lost_is_asked_for_again(registry: Registry, model: Path) -> None:
    # Given commits that are done, and answered with nothing or with an error that tells nothing
    registry.faults = [Fault(COMMIT, "lost", times=7), Fault(COMMIT, 500, times=2)]
    assert packages(registry, "push", model / "weights.bin", *NAMED)[0] == exits.PASSED
    assert registry.count(COMMIT) == 10


def test_a_commit_that_is_under_way_is_waited_for(registry: Registry, model: Path) -> None:
    # Given a file that another push, which may have died, is committing
    registry.busy = 4
    assert packages(registry, "push", model / "weights.bin", *NAMED)[0] == exits.PASSED
    assert registry.count(r"POST .*/uploads") == 5


def test_parts_of_another_size_are_hashed_again(registry: Registry, model: Path) -> None:
    # Given a registry that cuts files as no document says
    registry.part_size = lambda _: MIB // 2
    assert packages(registry, "push", model, *NAMED)[0] == exits.PASSED
    assert is_whole(registry, model)
    assert registry.count(PART) == 5 + 1 + 1


def test_a_file_that_changes_while_it_is_sent_is_refused(
    registry: Registry, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given somebody who writes the file between its hashing and its sending
    seen = registry.fault

    def fault(request: str) -> int | str | None:
        if request.endswith("/uploads"):
            write(model / "weights.bin", bytes_of(2 * MIB + 5, seed=2))
        return seen(request)

    registry.fault = fault  # type: ignore[method-assign]
    assert packages(registry, "push", model / "weights.bin", *NAMED)[0] == exits.FAILED
    assert "BadDigest" in capsys.readouterr().err
    assert registry.blobs == {}


def test_what_is_quarantined_fails_the_command(registry: Registry, model: Path) -> None:
    registry.scan = lambda file: "QUARANTINED" if file["path"] == "weights.bin" else "AVAILABLE"
    code, told = packages(registry, "push", model, *NAMED)
    assert code == exits.FAILED
    assert "QUARANTINED" in told
    assert "reason: a pickle" in told


def test_nobody_waits_who_does_not_want_to(registry: Registry, model: Path) -> None:
    registry.scan = lambda _: "SCANNING"
    code, told = packages(registry, "push", model, *NAMED, "--no-wait")
    assert code == exits.PASSED
    assert "SCANNING" in told


def test_a_push_waits_until_it_is_scanned(registry: Registry, model: Path) -> None:
    # Given a scan that ends after the version was asked for three times
    registry.scan = lambda _: "SCANNING"
    seen = registry.view

    def view(version: dict[str, object]) -> dict[str, object]:
        if registry.count("GET /v1/packages/bert/1.0.0") == 3:
            for one in version["files"].values():  # type: ignore[attr-defined]
                one["state"] = "AVAILABLE"
        return seen(version)

    registry.view = view  # type: ignore[method-assign]
    assert packages(registry, "push", model, *NAMED)[0] == exits.PASSED
    assert registry.count("GET /v1/packages/bert/1.0.0") == 3
