"""The client's packages and the import from a hub, on the deployed stack: as a person would."""

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import pytest_socket

from local import places
from tests.integration.conftest import Api, Json, People, Stack, a_key
from tests.integration.test_packages import MIB, WAIT_SECONDS, safetensors
from tests.unit.packages.stub_hub import REPO, StubHub, serving

Weir = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def publisher(people: People) -> Api:
    return people("publisher")


@pytest.fixture(scope="module")
def weir(deployed: Stack, publisher: Api) -> Weir:
    """The command line, with a key of the publisher's."""
    key = str(a_key(publisher, scopes=["packages:read", "packages:write"])["secret"])

    def run(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "client.weir", "--url", deployed.document["api_url"], *arguments]
        environment = {**os.environ, "WEIR_API_KEY": key, "NO_COLOR": "1"}
        done = subprocess.run(
            command, cwd=places.REPOSITORY, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run


def test_a_folder_is_pushed_pulled_verified_and_listed(api: Api, weir: Weir, tmp_path: Path) -> None:
    # Given a folder with weights of several parts, a card, and an empty file in a folder of its own
    name, source = f"it-{uuid.uuid4().hex[:12]}", tmp_path / "source"
    (source / "docs").mkdir(parents=True)
    (source / "model.safetensors").write_bytes(safetensors(17 * MIB))
    (source / "README.md").write_text("# A model\n")
    (source / "docs" / "empty.txt").write_bytes(b"")
    try:
        # When it is pushed, twice
        for _ in range(2):
            weir("packages", "push", str(source), "--name", name, "--version", "1.0.0", "--metadata", "license=mit")
        # Then it is listed, and pulled it is the same
        listed = json.loads(weir("packages", "list", "--json").stdout)
        assert name in [one["name"] for one in listed]
        target = tmp_path / "target"
        weir("packages", "pull", name, "--to", str(target))
        files = {path.relative_to(source): path.read_bytes() for path in source.rglob("*") if path.is_file()}
        assert {path.relative_to(target): path.read_bytes() for path in target.rglob("*") if path.is_file()} == files
        weir("packages", "verify", str(target), name, "1.0.0")
        # When a byte of it changes, Then that is told
        (target / "README.md").write_text("# Another\n")
        assert "README.md" in weir("packages", "verify", str(target), name, "1.0.0", code=1).stdout
    finally:
        assert api("DELETE", f"/packages/{name}/1.0.0").status_code in {202, 204, 404}


@pytest.fixture
def hub(deployed: Stack) -> Iterator[StubHub]:
    """A hub on loopback, at which the deployed functions look for this test."""
    client, function = deployed.client("lambda"), deployed.function("PackageImportFunction")
    before = client.get_function_configuration(FunctionName=function)["Environment"]
    stub = StubHub(files={"model.safetensors": safetensors(9 * MIB), "README.md": b"# tiny\n"})
    stub.lfs = {"model.safetensors"}
    with serving(stub):
        variables = {**before["Variables"], "WEIR_HUB_URL": stub.url}
        client.update_function_configuration(FunctionName=function, Environment={"Variables": variables})
        yield stub
    pytest_socket.enable_socket()  # the stub closes them behind it, as unit tests want it
    client.update_function_configuration(FunctionName=function, Environment=before)


def watched(publisher: Api, started: Json) -> Json:
    """An import as far as it has come."""
    answer = publisher("GET", f"/packages/imports/{started['import_id']}")
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


@pytest.mark.local_only
def test_a_model_is_imported_from_a_hub_weights_included(
    api: Api, publisher: Api, hub: StubHub, tmp_path: Path
) -> None:
    # Given a repository of a hub
    name = f"it-{uuid.uuid4().hex[:12]}"
    # When it is imported
    answer = publisher("POST", "/packages/import", {"source": "huggingface", "repo": REPO, "name": name})
    assert answer.status_code == 202, answer.text
    started: Json = answer.json()
    deadline = time.monotonic() + WAIT_SECONDS
    while (found := watched(publisher, started))["state"] not in {"DONE", "FAILED"}:
        assert time.monotonic() < deadline, found
        time.sleep(0.3)
    try:
        # Then all its files are a version's, hashed again, with where they came from
        assert found["state"] == "DONE", found
        place = f"/packages/{name}/{found['version']}"
        while (version := publisher("GET", place).json())["state"] not in {"AVAILABLE", "QUARANTINED"}:
            assert time.monotonic() < deadline, version
            time.sleep(0.3)
        assert version["state"] == "AVAILABLE", version
        assert {one["path"]: one["size"] for one in version["files"]} == {k: len(v) for k, v in hub.files.items()}
        assert REPO in json.dumps(version["source"])
    finally:
        assert api("DELETE", f"/packages/{name}/{found.get('version', '1.0.0')}").status_code in {202, 204, 404}
