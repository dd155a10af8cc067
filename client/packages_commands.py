"""``weir packages``: push, pull, verify, list, show and validate."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from client import exits, packages_view
from client.here import AsJson, Here, group, here
from client.packages_api import Registry
from client.packages_card import CardUnusable, Unnamed, read_card, spec_of
from client.packages_crew import JOBS, Crew
from client.packages_hash import Changed
from client.packages_paths import Folder, PathRefused, local_files
from client.packages_pull import Mismatch, NotServed, pull, wanted_files
from client.packages_push import push, wait_until_settled
from client.packages_storage import StorageRefused
from client.packages_verify import compare
from client.plain import Text, print_json
from client.watching import Left

__all__ = ["TOLD", "packages"]

TOLD = (CardUnusable, Changed, Mismatch, NotServed, PathRefused, StorageRefused, OSError)
"""What ends a command with a message and no trace."""

packages = group("model packages: push, pull, verify, list")

Name = Annotated[str, typer.Argument(metavar="NAME")]
VersionOf = Annotated[str, typer.Argument(metavar="VERSION", help="a version, or an alias such as latest")]
Jobs = Annotated[int, typer.Option(metavar="N", min=1, max=64, help="connections at once")]
FollowLinks = Annotated[bool, typer.Option("--follow-links", help="symbolic links are the files that they point at")]


@packages.command("push")
def push_command(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="a file, or a folder with all that is in it")],
    name: Annotated[str | None, typer.Option(help="the package's name; else as weir.yaml says")] = None,
    version: Annotated[str | None, typer.Option(help="SemVer, such as 1.2.0")] = None,
    description: Annotated[str | None, typer.Option()] = None,
    sensitivity: Annotated[str | None, typer.Option(help="public, internal or restricted")] = None,
    groups: Annotated[list[str] | None, typer.Option("--group", metavar="GROUP", help="who may see it; repeat")] = None,
    tags: Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="repeat")] = None,
    metadata: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="such as license=mit; repeat")] = None,
    card: Annotated[Path | None, typer.Option(help="a YAML file with any of these; else PATH/weir.yaml")] = None,
    follow_links: FollowLinks = False,
    jobs: Jobs = JOBS,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="do not wait until it is scanned")] = False,
    json: AsJson = False,
) -> int:
    """Push files as a version. The same command goes on with a push that was broken off."""
    options = {"name": name, "version": version, "description": description, "sensitivity": sensitivity}
    try:
        spec = spec_of(read_card(card, path), metadata or (), **options, allowed_groups=groups, tags=tags)
    except Unnamed as error:
        raise typer.BadParameter(str(error)) from error
    files = local_files(path, follow=follow_links)
    at = here(context)
    registry = Registry(at.api)
    with _broken_off(), _bars(at, json=json) as told, Crew(told, jobs=jobs) as crew:
        at.api.sleep = crew.sleep  # or a thread that waits for the API would hear of no Ctrl-C
        pushed = push(registry, crew, spec, files)
        found = registry.version(*pushed) if no_wait else wait_until_settled(registry, pushed, crew)
    at.show(found, packages_view.show_version, json=json)
    return exits.FAILED if found["state"] in {"QUARANTINED", "REJECTED"} else exits.PASSED


@packages.command("pull")
def pull_command(
    context: typer.Context,
    name: Name,
    version: VersionOf = "latest",
    to: Annotated[Path | None, typer.Option(metavar="FOLDER", help="where to; ./NAME-VERSION if left out")] = None,
    files: Annotated[list[str] | None, typer.Option("--file", metavar="PATH", help="this file alone; repeat")] = None,
    jobs: Jobs = JOBS,
) -> int:
    """Pull a version's files. The same command goes on with a pull that was broken off."""
    at = here(context)
    registry = Registry(at.api)
    found = registry.version(name, version)
    wanted = wanted_files(found, files or ())
    folder = Folder(to or Path(f"{_plain(found['name'])}-{_plain(found['version'])}"))
    with _broken_off(), _bars(at) as told, Crew(told, jobs=jobs) as crew:
        at.api.sleep = crew.sleep
        if found.get("yanked"):
            told.say(f"{found['name']} {found['version']} was yanked: {found['yanked']}")
        pull(registry, crew, found, wanted, folder)
    told_of = f"{found['name']} {found['version']}: {len(wanted):,} files in {folder.root}, each with its SHA-256."
    at.console.print(Text(told_of), soft_wrap=True)
    return exits.PASSED


@packages.command("verify")
def verify_command(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="a folder that was pulled, or is to be pushed")],
    name: Name,
    version: VersionOf = "latest",
    follow_links: FollowLinks = False,
    json: AsJson = False,
) -> int:
    """Compare a folder with a version, digest by digest, and tell who has signed the version."""
    at = here(context)
    registry = Registry(at.api)
    found = registry.version(name, version)
    local = local_files(folder, follow=follow_links)
    with _bars(at, json=json) as told:
        told.begin("Hashing", sum(one.place.stat().st_size for one in local))
        compared = compare(local, found, told.moved)
    signature = registry.signature(found["name"], found["version"])
    same = all(one.verdict == "same" for one in compared)
    if json:
        files = [{"path": one.path, "verdict": one.verdict, "detail": one.detail} for one in compared]
        about = {"name": found["name"], "version": found["version"], "state": found["state"]}
        print_json({**about, "same": same, "files": files, "signature": signature}, at.console)
    else:
        packages_view.show_compared(compared, found, at.console)
        packages_view.show_signature(signature, at.console)
    return exits.PASSED if same and found["state"] == "AVAILABLE" else exits.FAILED


@packages.command("list")
def list_command(
    context: typer.Context,
    query: Annotated[str | None, typer.Argument(metavar="WORDS", help="words that are all in it")] = None,
    name: Annotated[str | None, typer.Option(help="how the name begins")] = None,
    pattern: Annotated[str | None, typer.Option(help="names, such as 'bert-*'")] = None,
    owner: Annotated[str | None, typer.Option()] = None,
    tag: Annotated[str | None, typer.Option()] = None,
    json: AsJson = False,
) -> int:
    """List the packages that you may see."""
    at = here(context)
    wanted = {"query": query, "name": name, "pattern": pattern, "owner": owner, "tag": tag}
    filters = {key: value for key, value in wanted.items() if value}
    at.show(list(Registry(at.api).search(filters)), packages_view.show_packages, json=json)
    return exits.PASSED


@packages.command("show")
def show_command(
    context: typer.Context,
    name: Name,
    version: Annotated[str | None, typer.Argument(metavar="VERSION", help="with its files; else all versions")] = None,
    json: AsJson = False,
) -> int:
    """Show a package, or one of its versions."""
    at = here(context)
    registry = Registry(at.api)
    if version is not None:
        at.show(registry.version(name, version), packages_view.show_version, json=json)
        return exits.PASSED
    card: dict[str, Any] = {**registry.package(name), "versions": list(registry.versions(name))}
    at.show(card, packages_view.show_package, json=json)
    return exits.PASSED


@packages.command("validate")
def validate_command(context: typer.Context, name: Name, version: VersionOf, json: AsJson = False) -> int:
    """Hold a version against the registry's rules."""
    at = here(context)
    registry = Registry(at.api)
    held = registry.version(name, version)  # the rules' route takes no alias
    found = registry.validate(held["name"], held["version"])
    at.show(found, packages_view.show_report, json=json)
    return exits.PASSED if found["verdict"] == "passed" else exits.FAILED


@contextmanager
def _broken_off() -> Iterator[None]:
    """Tells a person who presses Ctrl-C how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        raise Left("Left; what has arrived is kept: the same command goes on.") from None


def _bars(at: Here, *, json: bool = False) -> packages_view.Bars | packages_view.Lines:
    """Bars or lines; on standard error where standard output is JSON for a program."""
    return packages_view.bars_for(Console(stderr=True, highlight=False) if json else at.console)


def _plain(word: str) -> str:
    """A name or version of the registry as part of a folder's name."""
    if not word or any(not (one.isalnum() or one in "._+-") for one in word) or word.startswith("."):
        raise PathRefused(f"The registry calls it {word!r}, which makes no folder: name one with --to.")
    return word
