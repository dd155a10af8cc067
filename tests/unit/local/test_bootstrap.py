from local.bootstrap import uv_settings


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
