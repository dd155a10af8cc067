"""Settings: the environment over a YAML file, every problem told at once, before anything runs."""

from pathlib import Path

import pytest

from tests.unit.runtime.conftest import Configure
from weir.runtime.settings import Settings, SettingsError, load, settings


def test_an_empty_environment_gives_the_defaults() -> None:
    # Given nothing / When loaded / Then every field has its default
    assert load({}) == Settings()


def test_each_kind_of_field_is_read_from_the_environment() -> None:
    # Given a text, a bool, an int and a float
    environ = {
        "WEIR_STAGE": "prod",
        "WEIR_TRACING": "True",
        "WEIR_WORKER_RECORDS_PER_SECOND": "2500",
        "WEIR_AWS_TIMEOUT_SECONDS": "2.5",
    }
    # When loaded
    loaded = load(environ)
    # Then each has its type
    assert (loaded.stage, loaded.tracing) == ("prod", True)
    assert (loaded.worker_records_per_second, loaded.aws_timeout_seconds) == (2500, 2.5)


def test_the_environment_wins_over_the_file() -> None:
    loaded = load({"WEIR_STAGE": "prod"}, {"stage": "dev", "service": "weir-two", "tracing": True})
    assert (loaded.stage, loaded.service, loaded.tracing) == ("prod", "weir-two", True)


@pytest.mark.parametrize(
    ("environ", "document", "region"),
    [
        ({"AWS_REGION": "eu-west-1"}, {"region": "eu-north-1"}, "eu-west-1"),
        ({"AWS_REGION": "eu-west-1", "WEIR_REGION": "us-west-2"}, None, "us-west-2"),
        ({}, {"region": "eu-north-1"}, "eu-north-1"),
    ],
)
def test_the_region_is_lambdas_own_unless_it_is_set(
    environ: dict[str, str], document: dict[str, object] | None, region: str
) -> None:
    assert load(environ, document).region == region


def test_all_problems_are_told_at_once() -> None:
    # Given an environment and a file with a mistake of each kind
    environ = {
        "WEIR_TRACING": "perhaps",
        "WEIR_WORKER_MEMORY_MB": "much",
        "WEIR_METRICS_WAIT_SECONDS": "-1",
        "WEIR_LOG_LEVEL": "LOUD",
        "WEIR_MAX_RUN_COST_USD": "five",
        "WEIR_AWS_TIMEOUT_SECONDS": "nan",
    }
    # When loaded
    with pytest.raises(SettingsError) as caught:
        load(environ, {"runs_tabel": "typo", "stage": ["a", "b"]})
    # Then each is named
    told = str(caught.value).splitlines()
    assert len(told) == 1 + 8
    for name in (*environ, "runs_tabel", "stage"):
        assert sum(line.strip().startswith(f"{name}:") for line in told) == 1, name


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("ACCESS_TOKEN_SECONDS", 60, 3600), ("REFRESH_TOKEN_DAYS", 1, 30), ("AWS_ATTEMPTS", 1, 10)],
)
def test_a_number_beyond_what_works_is_refused_at_the_start(name: str, least: int, most: int) -> None:
    for value in (least, most):
        assert getattr(load({f"WEIR_{name}": str(value)}), name.lower()) == value
    for value in (least - 1, most + 1):
        with pytest.raises(SettingsError, match=f"from {least} to {most}"):
            load({f"WEIR_{name}": str(value)})


def test_no_waiting_for_metrics_is_a_setting() -> None:
    assert load({"WEIR_METRICS_WAIT_SECONDS": "0"}).metrics_wait_seconds == 0


def test_an_empty_value_in_the_file_is_not_set() -> None:
    # Given `runs_table:` without a value, which YAML reads as null
    assert load({}, {"runs_table": None}).runs_table == ""


def test_the_file_is_read_where_the_environment_names_one(tmp_path: Path, configure: Configure) -> None:
    # Given a YAML file
    file = tmp_path / "weir.yaml"
    file.write_text("stage: dev\nworker_memory_mb: 2048\n", encoding="utf-8")
    # When it is named
    configure(config_file=str(file), stage="prod")
    # Then its values hold below the environment's
    assert (settings().stage, settings().worker_memory_mb) == ("prod", 2048)


@pytest.mark.parametrize("text", ["- a\n- b\n", "stage: [unclosed\n", None])
def test_a_file_that_is_no_mapping_of_settings_is_refused(
    text: str | None, tmp_path: Path, configure: Configure
) -> None:
    file = tmp_path / "weir.yaml"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    configure(config_file=str(file))
    with pytest.raises(SettingsError, match=r"weir\.yaml"):
        settings()


def test_what_a_function_needs_is_named_all_at_once(configure: Configure) -> None:
    # Given one of three needed settings
    configure(runs_bucket="bucket")
    # When a function asks for them
    with pytest.raises(SettingsError) as caught:
        settings(needs=("runs_table", "runs_bucket", "run_machine_arn"))
    # Then the two that are missing are named, and no other
    assert "WEIR_RUNS_TABLE: not set" in str(caught.value)
    assert "WEIR_RUN_MACHINE_ARN: not set" in str(caught.value)
    assert "BUCKET" not in str(caught.value)


def test_settings_are_read_once(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(stage="dev")
    first = settings()
    monkeypatch.setenv("WEIR_STAGE", "prod")
    assert settings() is first
