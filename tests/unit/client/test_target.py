"""Which API is spoken to."""

import json
from pathlib import Path

import pytest

from client.target import TargetUnknown, find_target


def test_a_url_wins_over_the_stack_file(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text(json.dumps({"api_url": "http://127.0.0.1:1/v1"}))
    assert find_target("https://api.example.com/v1/", tmp_path / "stack.json").url == "https://api.example.com/v1"
    assert find_target(None, tmp_path / "stack.json").url == "http://127.0.0.1:1/v1"


@pytest.mark.parametrize("url", ["api.example.com/v1", "ftp://x/v1", "https://", ""])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(TargetUnknown, match="is not the address of an API"):
        find_target(url)


@pytest.mark.parametrize(
    "url",
    ["http://api.example.com/v1", "HTTP://10.0.0.7/v1", "http://localhost@evil.example/v1", "http://127.0.0.1.nip.io"],
)
def test_nothing_secret_goes_to_another_machine_in_the_clear(url: str, tmp_path: Path) -> None:
    # Given an address without TLS that is not of this machine / Then it is refused, whoever names it
    (tmp_path / "stack.json").write_text(json.dumps({"api_url": url}))
    for named in (url, None):
        with pytest.raises(TargetUnknown, match="https://"):
            find_target(named, tmp_path / "stack.json")


@pytest.mark.parametrize("url", ["http://127.0.0.1:4566/v1", "http://localhost:1/v1", "http://[::1]:1/v1"])
def test_this_machine_needs_no_tls(url: str) -> None:
    assert find_target(url).url == url


def test_without_a_stack_it_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(TargetUnknown, match="`make up` starts a local one"):
        find_target(None, tmp_path / "stack.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_a_stack_file_that_is_broken_says_how_to_mend_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "stack.json").write_text(text)
    with pytest.raises(TargetUnknown, match="`make up` writes it anew"):
        find_target(None, tmp_path / "stack.json")
