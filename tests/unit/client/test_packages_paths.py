"""Which files of a folder are pushed, and under which paths: all of them, or none."""

import mimetypes
import os
import unicodedata
from pathlib import Path

import pytest

from client.packages_card import CardUnusable, read_card, spec_of
from client.packages_paths import LocalFile, PathRefused, local_files
from tests.unit.client.typing_in import write


def paths(root: Path, *, follow: bool = False) -> list[str]:
    return [one.path for one in local_files(root, follow=follow)]


def test_every_file_is_taken_hidden_ones_too(tmp_path: Path) -> None:
    for name in ("b", "a/x.bin", ".hidden", "a/.git/config", "weir.yaml"):
        write(tmp_path / name)
    assert paths(tmp_path) == [".hidden", "a/.git/config", "a/x.bin", "b", "weir.yaml"]


def test_a_file_alone_is_a_package_of_one(tmp_path: Path) -> None:
    assert paths(write(tmp_path / "sub" / "x.bin")) == ["x.bin"]


def test_what_a_name_says_does_not_depend_on_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a machine that knows a name which Python does not
    monkeypatch.setattr(mimetypes, "_db", mimetypes.MimeTypes())
    mimetypes.add_type("application/x-of-this-machine", ".safetensors")
    # Then the same folder is the same version on any other
    found = [LocalFile(tmp_path, name).content_type for name in ("a.safetensors", "b.json", "c")]
    assert found == ["application/octet-stream", "application/json", "application/octet-stream"]


def test_paths_are_in_normal_form_c(tmp_path: Path) -> None:
    # Given a name as macOS writes it, decomposed / Then its path is composed, and the place on the disk as it was
    name = unicodedata.normalize("NFD", "gewöhnlich.txt")
    write(tmp_path / name)
    (found,) = local_files(tmp_path)
    assert found.path == unicodedata.normalize("NFC", name) != name
    assert found.place.exists()


def test_two_names_that_are_one_are_refused(tmp_path: Path) -> None:
    for form in ("NFC", "NFD"):
        write(tmp_path / unicodedata.normalize(form, "ö"))
    if len(list(tmp_path.iterdir())) == 2:  # some file systems take them for one themselves
        with pytest.raises(PathRefused, match="normal form C"):
            paths(tmp_path)


def test_links_are_refused_or_followed(tmp_path: Path) -> None:
    write(tmp_path / "blob", b"x")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").symlink_to(tmp_path / "blob")
    with pytest.raises(PathRefused, match="--follow-links"):
        paths(tmp_path / "model")
    assert paths(tmp_path / "model", follow=True) == ["weights"]
    assert paths(tmp_path / "model" / "weights") == ["weights"]


@pytest.mark.parametrize("follow", [True, False])
def test_what_is_no_file_is_refused(tmp_path: Path, follow: bool) -> None:
    for number, make in enumerate((os.mkfifo, lambda place: place.symlink_to(tmp_path), lambda p: p.symlink_to("no"))):
        folder = tmp_path / str(number)
        write(folder / "fine")
        make(folder / "odd")
        with pytest.raises(PathRefused, match="odd"):
            paths(folder, follow=follow)


def test_nothing_is_no_package(tmp_path: Path) -> None:
    with pytest.raises(PathRefused, match="no file"):
        paths(tmp_path)
    with pytest.raises(PathRefused, match="can't be read"):
        paths(tmp_path / "missing")


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX alone")
def test_names_that_are_no_text_are_refused(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"\xff")).touch()
    except OSError:  # the file system takes none either
        return
    with pytest.raises(PathRefused, match="UTF-8"):
        paths(tmp_path)


CARD = "name: bert\nversion: '1.0'\ntags: [a]\nmetadata: {license: mit, layers: 12}\n"


def test_a_card_says_what_options_do_not(tmp_path: Path) -> None:
    write(tmp_path / "weir.yaml", CARD.encode())
    card = read_card(None, tmp_path)
    spec = spec_of(card, ["license=apache-2.0", "note=a=b"], name=None, version="2.0.0", tags=[], allowed_groups=["g"])
    assert spec == {
        "name": "bert",
        "version": "2.0.0",
        "tags": ["a"],
        "allowed_groups": ["g"],
        "metadata": {"license": "apache-2.0", "layers": 12, "note": "a=b"},
    }


@pytest.mark.parametrize(
    ("card", "pairs", "told"),
    [
        ("version: 1.0.0\n", [], "package's name"),
        ("{}", [], "name and version"),
        ("name: x\nversion: 1.0\n", [], "quotes"),
        ("name: x\nversion: 1.0.0\nfoo: 1\n", [], "foo"),
        ("- x\n", [], "mapping"),
        ("a: [", [], "not YAML"),
        ("name: x\nversion: 1.0.0\n", ["license"], "KEY=VALUE"),
        ("name: x\nversion: 1.0.0\n", ["=x"], "KEY=VALUE"),
        ("name: x\nversion: 1.0.0\nmetadata: [x]\n", ["a=b"], "mapping"),
    ],
)
def test_a_card_that_is_none_is_refused(tmp_path: Path, card: str, pairs: list[str], told: str) -> None:
    place = write(tmp_path / "card.yaml", card.encode())
    with pytest.raises(CardUnusable, match=told):
        spec_of(read_card(place, tmp_path), pairs)
