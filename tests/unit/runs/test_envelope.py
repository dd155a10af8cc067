"""The envelope: what is packed is read back, and a changed byte is found."""

import zlib

from hypothesis import given
from hypothesis import strategies as st

from weir.runs.envelope import HEADER_BYTES, Header, read, run_tag, seal

U32, U64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
TAG = run_tag("run-1")


def test_the_header_is_36_bytes_as_documented() -> None:
    # Given a record whose parts are known / Then every byte is where the layout says
    data = seal(b"TAGTAGTA", 1, 2, 3, b"payload")
    assert HEADER_BYTES == 36
    assert data[32:] == zlib.crc32(b"payload").to_bytes(4, "big") + b"payload"
    assert data[:32] == b"WEIRTAGTAGTA" + (1).to_bytes(4, "big") + (2).to_bytes(8, "big") + (3).to_bytes(8, "big")


@given(U32, U64, U64, st.binary(max_size=200))
def test_what_is_sealed_is_read(slice_index: int, sequence: int, produced_us: int, payload: bytes) -> None:
    # Given any record / When sealed and read / Then nothing has changed
    found = read(seal(TAG, slice_index, sequence, produced_us, payload))
    assert found == (Header(TAG, slice_index, sequence, produced_us, zlib.crc32(payload)), payload)


@given(st.binary(min_size=1, max_size=64), st.data())
def test_a_changed_byte_of_the_payload_does_not_fit_the_crc(payload: bytes, data: st.DataObject) -> None:
    # Given a sealed record with one byte changed
    sealed = bytearray(seal(TAG, 0, 0, 0, payload))
    index = data.draw(st.integers(HEADER_BYTES, len(sealed) - 1))
    sealed[index] ^= data.draw(st.integers(1, 255))
    # When read / Then the CRC differs
    found = read(bytes(sealed))
    assert found is not None
    assert zlib.crc32(found[1]) != found[0].crc


@given(st.binary(max_size=80))
def test_what_bears_no_envelope_is_none_of_ours(data: bytes) -> None:
    # Given any bytes / When read / Then a header comes out only where the magic and its length are there
    assert (read(data) is not None) == (data[:4] == b"WEIR" and len(data) >= HEADER_BYTES)


def test_runs_have_tags_of_their_own() -> None:
    tags = {run_tag(f"run-{index}") for index in range(10_000)}
    assert len(tags) == 10_000
    assert all(len(tag) == 8 for tag in tags)
