"""What other people wrote does not command the terminal, and a pipe gets names whole."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from client import exits
from client.packages_storage import _taken_back
from client.packages_view import show_packages
from tests.unit.client.fake_registry import Registry
from tests.unit.client.typing_in import packages, quick, write

pytestmark = pytest.mark.usefixtures("quick")
__all__ = ["quick"]

EVIL = "a\x1b]0;b\x07c\x9b31md\u202ee\x7ff\tg"
HARMLESS = r"a\u001b]0;b\u0007c\u009b31md\u202ee\u007ff\u0009g"


def push(registry: Registry, folder: Path, *options: str) -> tuple[int, str]:
    write(folder / "weights.bin", b"weights")
    return packages(registry, "push", folder, *options)


@pytest.mark.parametrize("command", [("list",), ("show", "bert"), ("show", "bert", "1.0.0")])
def test_a_description_does_not_command_the_terminal(
    registry: Registry, tmp_path: Path, command: tuple[str, ...]
) -> None:
    # Given a package whose description holds escape sequences of each kind
    push(registry, tmp_path, "--name", "bert", "--version", "1.0.0")
    registry.versions["bert", "1.0.0"]["description"] = EVIL

    # When it is shown / Then they are named, and none is sent
    told = packages(registry, *command)[1]
    assert HARMLESS in told
    assert told.replace("\n", "").isprintable()

    # And JSON has the same text, in escapes
    told = packages(registry, *command, "--json")[1]
    assert told.replace("\n", "").isprintable()
    assert HARMLESS.replace(r"\u0009", r"\t") in told
    found = json.loads(told)
    assert (found[0] if command == ("list",) else found)["description"] == EVIL


def test_an_error_does_not_command_the_terminal(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    registry.answer = lambda *_: (404, {"title": "Oops", "detail": EVIL})  # type: ignore[method-assign]
    assert packages(registry, "show", "bert")[0] == exits.FAILED
    assert HARMLESS in capsys.readouterr().err


def listed(*, tty: bool) -> str:
    about = {"owner": "o" * 30, "sensitivity": "internal", "tags": ["t" * 30], "description": "d" * 30}
    file = io.StringIO()
    console = Console(file=file, width=80, force_terminal=tty, color_system=None, legacy_windows=False)
    show_packages([{"name": "n" * 90, "latest": "1.0.0", **about}], console)
    assert console.width == 80
    return file.getvalue()


def test_a_pipe_gets_each_name_whole() -> None:
    assert "n" * 90 in listed(tty=False)


def test_a_terminal_gets_each_name_to_its_end() -> None:
    told = listed(tty=True)
    assert told.count("n") - told.count("owner") - told.count("internal") >= 90


@pytest.mark.parametrize("json_asked", [(), ("--json",)])
def test_a_folder_that_is_as_the_quarantined_version_fails(
    registry: Registry, tmp_path: Path, json_asked: tuple[str, ...]
) -> None:
    # Given a version that was quarantined after it was pushed / When the same folder is verified / Then it fails
    push(registry, tmp_path, "--name", "bert", "--version", "1.0.0")
    registry.versions["bert", "1.0.0"]["files"]["weights.bin"]["state"] = "QUARANTINED"
    code, told = packages(registry, "verify", tmp_path, "bert", "1.0.0", *json_asked)
    assert code == exits.FAILED
    assert "QUARANTINED" in told


@pytest.mark.parametrize(
    "line",
    ["tags: [2026-11-21]", "metadata: {a: .nan}", "tags: !!set {a}", "metadata: &a {b: *a}", "tags: " + "[" * 9000],
)
def test_a_card_that_is_no_json_is_told(
    registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    write(tmp_path / "weir.yaml", f"name: bert\nversion: 1.0.0\n{line}\n".encode())
    code, told = push(registry, tmp_path)
    assert code == exits.FAILED
    assert "weir.yaml" in capsys.readouterr().err
    assert "Hashing" not in told
    assert registry.asked == []


@pytest.mark.parametrize("named", [(), ("--name", "bert"), ("--version", "1.0.0")])
def test_a_push_that_names_nothing_is_not_understood(
    registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str], named: tuple[str, ...]
) -> None:
    with pytest.raises(SystemExit) as raised:
        push(registry, tmp_path, *named)
    assert raised.value.code == exits.USAGE
    assert "Say the package's" in capsys.readouterr().err


def test_a_registration_that_fails_is_told_as_one(registry: Registry, tmp_path: Path) -> None:
    push(registry, tmp_path, "--name", "bert", "--version", "1.0.0")
    write(tmp_path / "other", b"other")
    told = packages(registry, "push", tmp_path, "--name", "bert", "--version", "1.0.0")[1]
    ends = [line.split()[:2] for line in told.splitlines()]
    assert ["done", "Hashing"] in ends
    assert ["FAILED", "Registering"] in ends


def test_progress_that_is_broken_off_does_not_fall_below_nothing() -> None:
    # Given a phase that takes no more bytes, as after Ctrl-C
    told: list[int] = []

    def moved(count: int) -> None:
        if count > 0:
            raise KeyboardInterrupt
        told.append(count)

    # When bytes come / Then none are taken back that were never told of
    with pytest.raises(KeyboardInterrupt), _taken_back(moved) as counted:
        counted(5)
    assert sum(told) == 0
