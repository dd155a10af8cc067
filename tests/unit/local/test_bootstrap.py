import os
from pathlib import Path

from local.bootstrap import is_ready, uv_settings


def test_uv_follows_what_pip_is_configured_to_do() -> None:
    # Given pip's own listing of its configuration
    listing = "\n".join(
        [
            "global.index-url='https://mirror.example/simple'",
            ":env:.cert='/etc/ssl/own.crt'",
            "install.find-links='/wheels'",
        ]
    )
    # When it is said to uv
    # Then index and certificates are followed, and nothing else
    assert uv_settings(listing, {}) == {
        "UV_DEFAULT_INDEX": "https://mirror.example/simple",
        "SSL_CERT_FILE": "/etc/ssl/own.crt",
    }


def test_what_is_said_to_uv_itself_wins() -> None:
    # Given a person who configured both
    environ = {"UV_DEFAULT_INDEX": "https://own.example/simple"}
    # When pip's configuration is read
    # Then uv's stands
    assert uv_settings("global.index-url='https://mirror.example/simple'", environ) == {}


def test_an_unconfigured_pip_changes_nothing() -> None:
    # Given no configuration at all, When it is read, Then there is nothing to say
    assert uv_settings("", {}) == {}


def test_an_environment_is_ready_until_its_lock_changes(tmp_path: Path) -> None:
    # Given a lock and no environment
    lock, environment = tmp_path / "dev.txt", tmp_path / "env"
    lock.write_text("")
    assert not is_ready(environment, lock)
    # When the environment is made, then it is ready
    environment.mkdir()
    (environment / ".ready").touch()
    assert is_ready(environment, lock)
    # And when the lock changes, then it is not
    later = (environment / ".ready").stat().st_mtime + 1
    os.utime(lock, (later, later))
    assert not is_ready(environment, lock)
