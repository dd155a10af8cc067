"""What was uploaded is hashed again and scanned, however often it is asked for, and wherever it breaks off."""

from contextlib import suppress
from dataclasses import replace
from itertools import product

import pytest

from tests.unit.packages import evil
from tests.unit.packages.fake_table import FakeTable
from tests.unit.packages.filing import FAULTS, NAME, PATH, Died, Line, World, key, of, sha256
from tests.unit.packages.registry import Counted, Time, admin, asker
from weir.packages import scanning, scans
from weir.packages.deleting import delete
from weir.packages.errors import NotAvailable
from weir.packages.models import Declared, State, Upload
from weir.packages.opening import Asked, open_upload
from weir.packages.scanning import Progress, scan
from weir.packages.wiring import Deps
from weir.runtime.errors import Unavailable, WeirError

FAR = 1e9
EVIL = evil.system()
HONEST = evil.safetensors(evil.weights((0, 4)), bytes(4))


@pytest.fixture
def world(client: Counted, time: Time) -> World:
    return World(client, time)


def scanned(world: World, body: bytes, deps: Deps | None = None) -> scanning.Scanned:
    return scan(NAME, sha256(body), deps or world.deps, FAR)


def test_a_file_that_is_what_was_declared_comes_to_be_served(world: World) -> None:
    # Given a file that was committed
    world.register(of(HONEST))
    world.pushed(HONEST)
    # When it is scanned
    assert scanned(world, HONEST) == scanning.Scanned(Progress.DONE)
    # Then it and its version are served, with the hash that Weir made, and ``latest`` is that version
    file, version = world.file(), world.version()
    assert (file.state, file.verified_sha256, file.reason) == (State.AVAILABLE, sha256(HONEST), None)
    assert (version.state, version.verified) == (State.AVAILABLE, 1)
    package = world.deps.store.package(NAME)
    assert package is not None
    assert package.latest == "1.0.0"
    # And the audit tells, and nothing waits any more
    assert (world.told("file.verified"), world.told("version.available")) == (1, 1)
    assert list(scans.waiting(world.deps.store, NAME)) == []
    assert scans.leased_until(world.deps.store, NAME, sha256(HONEST)) is None
    # When it is scanned again, Then nothing changes
    before = world.rows()
    assert scanned(world, HONEST).progress is Progress.DONE
    assert world.rows() == before


def test_bytes_that_are_not_what_was_declared_are_quarantined_and_deleted(world: World) -> None:
    # Given an upload whose parts are others than its publisher declared as a whole
    declared = Declared(PATH, len(HONEST), sha256(b"something else"))
    world.register(declared)
    upload = _opened_as(world, declared)
    world.commits(upload, world.sends(upload, HONEST))
    # When it is scanned
    assert scan(NAME, declared.sha256, world.deps, FAR) == scanning.Scanned(Progress.DONE, quarantined=1)
    # Then the file and its version are quarantined, and tell both hashes
    file, version = world.file(), world.version()
    assert (file.state, version.state, version.quarantined) == (State.QUARANTINED, State.QUARANTINED, 1)
    assert file.verified_sha256 == sha256(HONEST)
    assert sha256(HONEST) in str(file.reason)
    assert version.reason == f"{PATH}: {file.reason}"
    # And of the bytes nothing is left, so that the right ones can come, by another version
    assert world.s3.objects == {}
    assert world.rows()[2] == []
    assert (world.told("file.quarantined"), world.told("version.quarantined")) == (1, 1)
    with pytest.raises(NotAvailable):
        _opened_as(world, declared)


def test_bytes_that_are_not_safe_are_quarantined_whatever_they_are_called(world: World) -> None:
    for number, path in enumerate(("model.pkl", "weights.bin", "README.md")):
        text = f"1.0.{number}"
        world.register(of(EVIL, path), text=text) if number == 0 else world.another_version(text, of(EVIL, path))
        world.pushed(EVIL, path, text)
        assert scanned(world, EVIL).quarantined == 1
        file = world.file(path, text)
        assert (file.state, world.version(text).state) == (State.QUARANTINED, State.QUARANTINED)
        assert "system" in str(file.reason)
        assert file.findings
        assert file.findings[0]["rule"] in str(file.reason)


def test_files_of_the_same_bytes_are_scanned_once_and_each_under_its_own_name(world: World) -> None:
    # Given the same honest bytes in three versions, one of them under a name that promises another format
    world.register(of(HONEST))
    world.another_version("1.1.0", of(HONEST, "again.safetensors"))
    world.another_version("1.2.0", of(HONEST, "weights.npy"))
    world.pushed(HONEST)
    world.pushed(HONEST, "again.safetensors", "1.1.0")
    world.pushed(HONEST, "weights.npy", "1.2.0")
    world.s3.called.clear()
    # When they are scanned
    assert scanned(world, HONEST).quarantined == 1
    # Then the bytes were read once for the hash and once by the scanners
    assert world.s3.called.count("get_object") == 2
    # And those that are called what they are are served, the other one is not
    assert [world.version(text).state for text in ("1.0.0", "1.1.0", "1.2.0")] == [
        State.AVAILABLE,
        State.AVAILABLE,
        State.QUARANTINED,
    ]
    assert "weights.npy" in str(world.version("1.2.0").reason)
    # And the bytes stay for those that have them
    assert len(world.s3.objects) == 1
    # When a later version declares them, Then it is served at once, or quarantined for its name
    for text, path, state in (("2.0.0", PATH, State.AVAILABLE), ("2.1.0", "x.gguf", State.QUARANTINED)):
        world.another_version(text, of(HONEST, path))
        assert _attached(world, HONEST, path, text) is state
        assert world.version(text).state is state


def test_a_large_file_is_hashed_over_many_invocations(
    world: World, monkeypatch: pytest.MonkeyPatch, time: Time
) -> None:
    # Given a file of eleven reads, each of which takes a minute, and invocations of three minutes
    body = bytes(range(256)) * 40 + b"end"
    monkeypatch.setattr(scanning, "CHUNK", 1000)
    monkeypatch.setattr(scanning, "SCAN_SECONDS", 0)
    world.register(of(body, "data.bin"))
    world.pushed(body, "data.bin")
    reads: list[str] = []

    def slow(operation: str, request: dict[str, object]) -> None:
        if operation == "get_object":
            reads.append(str(request["Range"]))
            time.pass_by(60)

    world.s3.before = slow
    # When it is scanned, again and again
    invocations = 0
    while scan(NAME, sha256(body), world.deps, time.clock.monotonic() + 180).progress is Progress.AGAIN:
        invocations += 1
        assert invocations < 20
    # Then it took several, none of them began anew, and the hash is that of the whole
    assert invocations >= 3
    hashed_twice = len([one for one in reads if one == "bytes=0-999"])
    assert hashed_twice == 1
    assert world.file("data.bin").verified_sha256 == sha256(body)
    assert world.version().state is State.AVAILABLE


def test_of_a_scan_whose_version_was_deleted_meanwhile_nothing_stays(world: World) -> None:
    # Given a scan that is to go on in another invocation, and whose version is deleted before that
    world.register(of(HONEST), versions=1)
    world.pushed(HONEST)
    assert scan(NAME, sha256(HONEST), world.deps, -1).progress is Progress.AGAIN
    assert delete(NAME, "1.0.0", admin(), world.deps)
    # When it goes on, Then it is over, and no row tells of it
    assert scanned(world, HONEST) == scanning.Scanned(Progress.DONE)
    assert scans.kept(world.deps.store, NAME, sha256(HONEST)) is None


def test_a_scan_that_somebody_is_at_is_left_to_them_until_they_are_dead(world: World, time: Time) -> None:
    # Given a scan that somebody has taken
    world.register(of(HONEST))
    world.pushed(HONEST)
    blob = world.blob(HONEST)
    assert blob is not None
    taken = scans.take(world.deps.store, blob)
    assert taken is not None
    # When another comes, Then it is held
    assert scanned(world, HONEST).progress is Progress.HELD
    # When its holder must be dead, Then the next one does it, and the dead one can write no more
    time.pass_by(scans.LEASE.total_seconds() + 1)
    assert scanned(world, HONEST).progress is Progress.DONE
    assert not scans.save(world.deps.store, replace(taken, hashed=1))
    assert world.version().state is State.AVAILABLE


def test_a_scanner_that_does_not_end_in_an_invocation_quarantines(
    world: World, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a file whose scanner reads beyond the time of a whole invocation
    monkeypatch.setattr(scanning, "SCAN_SECONDS", 0)
    world.register(of(HONEST))
    world.pushed(HONEST)
    reads: list[int] = []

    def slow(operation: str, _: dict[str, object]) -> None:
        if operation == "get_object":
            reads.append(1)
            time.pass_by(0 if len(reads) == 1 else 1000)

    real = scanning.look_into
    monkeypatch.setattr(scanning, "look_into", lambda ranges, path: (ranges.read(0, 1), real(ranges, path))[1])
    world.s3.before = slow
    # When it is scanned, Then it fails closed
    assert scan(NAME, sha256(HONEST), world.deps, time.clock.monotonic() + 900).quarantined == 1
    assert "within the time" in str(world.version().reason)


def test_bytes_that_are_gone_quarantine_what_waits_for_them(world: World) -> None:
    # Given a committed file whose object somebody has deleted
    world.register(of(HONEST))
    world.pushed(HONEST)
    world.s3.objects.clear()
    # When it is scanned, Then it says so
    assert scanned(world, HONEST).quarantined == 1
    assert "no longer" in str(world.file().reason)


@pytest.mark.parametrize("body", [HONEST, EVIL], ids=["honest", "evil"])
def test_a_scan_that_breaks_at_any_call_is_finished_by_the_next(body: bytes, time: Time) -> None:
    # Given every call that a scan makes
    path, cases = "model.pkl" if body == EVIL else PATH, 0

    def committed() -> World:
        made = World(FakeTable(), time)
        made.register(of(body, path))
        made.pushed(body, path)
        return made

    made, line = committed(), Line()
    scan(NAME, sha256(body), made.process(line), FAR)
    wanted, told = made.version().state, _told(made, path)
    for at, fault in product(range(len(line.made)), FAULTS):
        cases += 1
        made = committed()
        # When it breaks there, and the next one comes once the lease has passed
        with suppress(Died, WeirError):
            scan(NAME, sha256(body), made.process(Line(at=at, fault=fault)), FAR)
        time.pass_by(scans.LEASE.total_seconds() + 1)
        assert scan(NAME, sha256(body), made.deps, FAR).progress is Progress.DONE
        # Then all is as if nothing had happened
        version, file = made.version(), made.file(path)
        assert (version.state, version.verified + version.quarantined) == (wanted, 1), (line.made[at], fault)
        assert file.state is wanted
        assert _told(made, path) == told, (line.made[at], at, fault)
        assert scans.leased_until(made.deps.store, NAME, sha256(body)) is None
        assert list(scans.waiting(made.deps.store, NAME)) == []
        assert made.told("file.verified") + made.told("file.quarantined") == 1
        assert (key(body) in made.s3.objects) == (wanted is State.AVAILABLE)
    assert cases >= 40


def _told(world: World, path: str) -> tuple[object, ...]:
    """What is told of a file and its version, and why."""
    file = world.file(path)
    return file.reason, file.findings, file.verified_sha256, world.version().reason


def test_a_failure_lets_the_next_try_go_on_at_once(world: World) -> None:
    # Given a scan that meets an S3 that does not answer
    world.register(of(HONEST))
    world.pushed(HONEST)

    def fails(operation: str, _: dict[str, object]) -> None:
        if operation == "get_object":
            raise Unavailable("S3 does not answer.")

    world.s3.before = fails
    with pytest.raises(Unavailable):
        scanned(world, HONEST)
    # When the message comes again, Then it is not held by the try that failed
    world.s3.before = lambda *_: None
    assert scanned(world, HONEST).progress is Progress.DONE
    assert world.version().state is State.AVAILABLE


def test_files_of_bytes_that_were_deleted_are_settled_though_the_right_ones_have_come_since(world: World) -> None:
    # Given a file of which the wrong bytes came, and a scan that deleted them and died before it told the file
    declared = Declared(PATH, len(HONEST), sha256(HONEST))
    wrong = bytes(reversed(HONEST))
    world.register(declared)
    upload = _opened_as(world, declared)
    world.commits(upload, world.sends(upload, wrong))

    def dies(operation: str, _: dict[str, object]) -> None:
        if operation == "delete_object":
            world.s3.before = lambda *_: None
            del world.s3.objects[key(HONEST)]
            raise Died(operation)

    world.s3.before = dies
    with pytest.raises(Died):
        scanned(world, HONEST)
    # And another version that brought the right bytes meanwhile, under the same key
    world.another_version("2.0.0", of(HONEST))
    world.pushed(HONEST, text="2.0.0")
    world.time.pass_by(scans.LEASE.total_seconds() + 1)
    # When they are scanned
    assert scanned(world, HONEST).progress is Progress.DONE
    # Then the one is quarantined, for its bytes are gone, and the other is served
    assert (world.version().state, world.version("2.0.0").state) == (State.QUARANTINED, State.AVAILABLE)
    assert list(scans.waiting(world.deps.store, NAME)) == []


def test_a_late_scan_of_bytes_that_are_gone_leaves_those_that_came_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a scan that finds no bytes, and a commit of the right ones right after that look
    world.register(of(HONEST))
    sent = world.sent(HONEST)
    looked = world.deps.store.blob

    def then_a_commit(name: str, digest: str) -> object:
        found = looked(name, digest)
        monkeypatch.undo()
        world.commits(*sent)
        return found

    monkeypatch.setattr(world.deps.store, "blob", then_a_commit)
    assert scanned(world, HONEST) == scanning.Scanned(Progress.DONE)
    # Then the file still waits, and is served once it is scanned
    assert world.file().state is State.SCANNING
    scanned(world, HONEST)
    assert world.version().state is State.AVAILABLE


def test_what_a_name_says_of_bytes_is_found_under_whatever_name_they_came_first(world: World) -> None:
    # Given source code that came as a text, and then as what it is
    code = b"import os\n"
    world.register(of(code, "notes.txt"))
    world.pushed(code, "notes.txt")
    assert scanned(world, code).quarantined == 0
    assert "no-scanner" not in {one["rule"] for one in world.file("notes.txt").findings}
    # When it is attached by a name that programs run, Then that is found
    for text, path in (("2.0.0", "setup.py"), ("2.1.0", "model.onnx")):
        world.another_version(text, of(code, path))
        _attached(world, code, path, text)
        assert "no-scanner" in {one["rule"] for one in world.file(path, text).findings}


def test_bytes_that_only_took_too_long_stay(world: World, time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "look_into", _never_ends)
    world.register(of(HONEST))
    world.pushed(HONEST)
    assert scanned(world, HONEST).quarantined == 1
    assert key(HONEST) in world.s3.objects
    assert world.blob(HONEST) is not None


def _never_ends(*_: object) -> None:
    raise scanning.OutOfTime


def _opened_as(world: World, declared: Declared) -> Upload:
    asked = Asked(declared.path, declared.size, declared.sha256)
    upload = open_upload(NAME, "1.0.0", asked, asker(), world.deps).upload
    assert upload is not None
    return upload


def _attached(world: World, body: bytes, path: str, text: str) -> State:
    opened = open_upload(NAME, text, Asked(path, len(body), sha256(body)), asker(), world.deps)
    assert opened.upload is None
    return opened.file.state
