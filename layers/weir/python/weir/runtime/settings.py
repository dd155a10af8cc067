"""Configuration, from the environment and, below it, a YAML file named by ``WEIR_CONFIG_FILE``.

The only module that reads ``os.environ``. A handler calls ``settings(needs=...)`` when it is loaded, so that a
wrong or missing value stops the function at its start with one error that lists everything that is wrong.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

PREFIX = "WEIR_"
_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_RANGES = {
    "access_token_seconds": (60, 3600),
    "refresh_token_days": (1, 30),  # what the signing secret signs holds through one rotation, every 30 days
    "aws_attempts": (1, 10),
    "gateway_seconds": (10, 900),
}
_MONEY = re.compile(r"[0-9]{1,9}(\.[0-9]{1,12})?")


class SettingsError(Exception):
    """The configuration can't be used; the message lists every problem, a line each."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Each field is ``WEIR_<FIELD>`` in the environment, or ``<field>`` in the YAML file."""

    stage: str = "local"
    stack: str = "weir"
    service: str = "weir"
    region: str = "us-east-1"
    log_level: str = "INFO"
    tracing: bool = False
    metrics_namespace: str = "Weir"
    cursor_secret_arn: str = ""
    idempotency_table: str = ""
    runs_table: str = ""
    runs_bucket: str = ""
    run_machine_arn: str = ""
    cleanup_machine_arn: str = ""
    settle_queue_url: str = ""
    alerts_topic_arn: str = ""
    identity_table: str = ""
    signing_secret_arn: str = ""
    key_pepper_secret_arn: str = ""
    admin_secret_arn: str = ""
    providers_secret_arn: str = ""
    token_issuer: str = ""
    token_audience: str = "weir"  # noqa: S105 - a name, no secret
    access_token_seconds: int = 900
    refresh_token_days: int = 14
    oauth_clients: str = ""
    self_registration: bool = False
    public_url: str = ""
    packages_table: str = ""
    packages_bucket: str = ""
    scan_queue_url: str = ""
    import_machine_arn: str = ""
    hub_url: str = "https://huggingface.co"
    usage_table: str = ""
    llm_table: str = ""
    provider_secret_prefix: str = ""
    provider_secret_kms_key: str = ""
    default_caps: str = "day requests 1000, day tokens 100000, day cost 10"
    caps_kept_seconds: int = 30
    usage_kept_days: int = 400
    caps_topic_arn: str = ""
    counter_store: str = ""
    gateway_seconds: int = 900
    analyses_table: str = ""
    analyses_bucket: str = ""
    analysis_machine_arn: str = ""
    analysis_model: str = ""
    run_stream_prefix: str = "weir-run-"
    max_run_cost_usd: str = "5.00"
    worker_records_per_second: int = 10_000
    worker_memory_mb: int = 1792
    metrics_wait_seconds: int = 300
    aws_timeout_seconds: float = 10.0
    aws_attempts: int = 4
    aws_direct: bool = False


def load(environ: Mapping[str, str], document: Mapping[str, Any] | None = None) -> Settings:
    """Settings from an environment over a YAML document's values. SettingsError lists every problem."""
    values: dict[str, Any] = {}
    known = {field.name: type(field.default) for field in fields(Settings)}
    unknown = sorted(set(document or {}) - set(known))
    problems = [f"{name}: no such setting (known: {', '.join(known)})" for name in unknown]
    for name, kind in known.items():
        raw = environ.get(PREFIX + name.upper())
        if raw is None and name == "region":
            raw = environ.get("AWS_REGION")
        if raw is None and document is not None and document.get(name) is not None:
            raw = str(document[name])
            if isinstance(document[name], list | dict):
                problems.append(f"{name}: {raw} is not one value")
                continue
        if raw is None:
            continue
        try:
            values[name] = _parse(raw, kind)
        except ValueError:
            problems.append(f"{PREFIX}{name.upper()}: {raw!r} is no {kind.__name__}")
            continue
        if wrong := _wrong(name, values[name]):
            problems.append(f"{PREFIX}{name.upper()}: {raw!r} {wrong}")
    if problems:
        raise SettingsError("Weir's configuration can't be used:\n  " + "\n  ".join(problems))
    return Settings(**values)


def _parse(raw: str, kind: type) -> Any:
    if kind is bool:
        lowered = raw.strip().lower()
        if lowered not in {"true", "false", "1", "0"}:
            raise ValueError(raw)
        return lowered in {"true", "1"}
    return kind(raw)


def _wrong(name: str, value: Any) -> str | None:
    """What is wrong with a value of the right type: told at the start, where it would otherwise stop a request."""
    if name == "log_level" and value.upper() not in _LOG_LEVELS:
        return f"is none of {', '.join(_LOG_LEVELS)}"
    if name == "max_run_cost_usd" and not _MONEY.fullmatch(value):
        return "is no amount of US dollars, such as 5.00"
    if name in _RANGES and not _RANGES[name][0] <= value <= _RANGES[name][1]:
        return "is not from {} to {}".format(*_RANGES[name])
    may_be_zero = name == "metrics_wait_seconds"
    if type(value) in {int, float} and not (0 < value < float("inf") or (value == 0 and may_be_zero)):
        return "must be a number above 0"
    return None


@lru_cache(maxsize=1)
def _from_process() -> Settings:
    path = os.environ.get(PREFIX + "CONFIG_FILE")
    document = None
    if path:
        import yaml  # only where a file is configured: the import costs every cold start otherwise

        try:
            document = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError) as error:
            raise SettingsError(f"Weir's configuration can't be used:\n  {path}: {error}") from error
        if not isinstance(document, dict):
            raise SettingsError(f"Weir's configuration can't be used:\n  {path}: not a mapping of settings")
    return load(os.environ, document)


def settings(needs: tuple[str, ...] = ()) -> Settings:
    """The process's settings, read on first use.

    Parameters
    ----------
    needs
        Names of fields that this function can't work without; SettingsError names all that are empty.
    """
    loaded = _from_process()
    missing = [name for name in needs if not getattr(loaded, name)]
    if missing:
        lines = "\n  ".join(f"{PREFIX}{name.upper()}: not set" for name in missing)
        raise SettingsError(f"Weir's configuration can't be used:\n  {lines}")
    return loaded


def forget() -> None:
    """Read the environment again at the next use (for tests that change it)."""
    _from_process.cache_clear()


def aws_environment() -> Mapping[str, str]:
    """What of the environment is AWS's: endpoints and credentials."""
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
