"""SHA-256 in pieces: the same as hashlib's, wherever it is put down and taken up."""

import _ctypes
import _hashlib
import hashlib
import struct
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from weir.packages import hashing
from weir.packages.hashing import ForeignState, NoHash, Sha256


@hypothesis_settings(deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=300), st.booleans())))
def test_any_pieces_make_the_digest_of_the_whole(pieces: list[tuple[bytes, bool]]) -> None:
    # Given bytes in pieces, after some of which the hash is stored and taken up again
    hashed, whole = Sha256(), b""
    for piece, stored in pieces:
        hashed.update(piece)
        whole += piece
        if stored:
            hashed = Sha256.from_state(hashed.state())
        assert hashed.hexdigest() == hashlib.sha256(whole).hexdigest()
        assert hashed.count == len(whole)


def test_known_digests() -> None:
    # FIPS 180-2, appendix B
    empty, abc, million = Sha256(), Sha256(), Sha256()
    abc.update(b"abc")
    million.update(b"a" * 1_000_000)

    assert empty.hexdigest() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert abc.hexdigest() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert million.hexdigest() == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"


def test_a_state_outlives_its_process() -> None:
    # Given a hash that another process has begun
    program = (
        "import sys; from weir.packages.hashing import Sha256; h = Sha256(); h.update(b'x' * 1000);"
        "sys.stdout.write(h.state().hex())"
    )
    paths = [one for one in sys.path if one.endswith("layers/weir/python")]
    told = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": paths[0]}, capture_output=True, text=True, check=True
    )

    hashed = Sha256.from_state(bytes.fromhex(told.stdout))
    hashed.update(b"y")

    assert hashed.hexdigest() == hashlib.sha256(b"x" * 1000 + b"y").hexdigest()


def test_the_count_goes_beyond_32_bits() -> None:
    # Given the state after 2^40 bytes: counted in bits, in two words
    hashed = Sha256()
    hashed.update(bytes(64))
    state = bytearray(hashed.state())
    count = (1 << 40) + 64
    state[18:26] = struct.pack("<Q", count)
    state[26 + 32 : 26 + 40] = struct.pack("=2I", count * 8 & 0xFFFFFFFF, count * 8 >> 32)

    resumed = Sha256.from_state(bytes(state))
    resumed.update(b"z")

    assert resumed.count == count + 1
    assert Sha256.from_state(resumed.state()).hexdigest() == resumed.hexdigest()


def changed_states() -> Iterator[bytes]:
    hashed = Sha256()
    hashed.update(b"a" * 100)
    state = hashed.state()
    yield b""
    yield state[:-1]
    yield state + b"\0"
    yield bytes(len(state))
    yield state.replace(b"weir-sha256\x01", b"weir-sha256\x02")
    yield state.replace(b"weir-sha256\x01", b"weir-sha512\x01")
    yield state.replace(b"little", b"big\0\0\0")
    for at, value in ((18, 101), (58, 1), (26 + 104, 200), (26 + 104, 64), (26 + 108, 20)):  # count, bits, num, md_len
        wrong = bytearray(state)
        wrong[at] = value
        yield bytes(wrong)


@pytest.mark.parametrize("state", list(changed_states()))
def test_a_state_of_anything_else_is_refused(state: bytes) -> None:
    # A wrong num would make OpenSSL write outside of the context: none but those that fit are let in
    with pytest.raises(ForeignState):
        Sha256.from_state(state)


@given(st.binary(max_size=200))
def test_any_other_bytes_are_refused(state: bytes) -> None:
    with pytest.raises(ForeignState):
        Sha256.from_state(state)


@pytest.fixture
def _fresh() -> Iterator[None]:
    hashing._openssl.cache_clear()
    yield
    hashing._openssl.cache_clear()


@pytest.mark.usefixtures("_fresh")
def test_the_systems_openssl_is_the_second_place(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a hashlib whose own OpenSSL can't be loaded
    libraries = {"crypto": _hashlib.__file__}
    monkeypatch.setattr("_hashlib.__file__", "/nowhere/_hashlib.so")
    monkeypatch.setattr("ctypes.util.find_library", libraries.pop)

    assert Sha256().hexdigest() == hashlib.sha256().hexdigest()
    assert not libraries


@pytest.mark.usefixtures("_fresh")
@pytest.mark.parametrize("place", ["/nowhere/libcrypto.so", _ctypes.__file__])
def test_without_openssl_there_is_one_clear_error(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    # Given no library, or one of something else
    monkeypatch.setattr("weir.packages.hashing._places", lambda: [place])

    with pytest.raises(NoHash, match="no OpenSSL"):
        Sha256()


@pytest.mark.usefixtures("_fresh")
def test_a_library_that_hashes_otherwise_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given an OpenSSL that gives another digest for a known text
    monkeypatch.setattr("weir.packages.hashing.sha256", hashlib.sha384)

    with pytest.raises(NoHash):
        Sha256()
