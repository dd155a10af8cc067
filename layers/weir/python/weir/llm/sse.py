"""Server-sent events, decoded as their bytes come.

The rules of https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation: lines end in
CR, LF or CRLF, an empty line ends an event, ``data`` lines are joined by LF, comments and unknown fields are skipped,
and an event that the stream breaks off in is none. ``id`` and ``retry`` are of no use to a gateway.
"""

from typing import NamedTuple

MOST_BYTES = 32 * 1024 * 1024
"""Of one event. Whoever sends more without an end has lost the format."""

_CR, _LF = 0x0D, 0x0A
_BOM = b"\xef\xbb\xbf"


class BrokenStream(Exception):
    """Bytes that are not of the format; nothing that follows them can be read."""


class Event(NamedTuple):
    """One event: its name (empty where it has none) and its data."""

    name: str
    data: bytes


class SseDecoder:
    """Fed with bytes as they come; answers the events that have ended."""

    def __init__(self) -> None:
        self._rest = bytearray()  # a line that has not ended
        self._name = ""
        self._data: list[bytes] = []
        self._held = 0
        self._after_cr = False
        self._begun = False

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that end in ``chunk``.

        Raises
        ------
        BrokenStream
            An event passes ``MOST_BYTES``.
        """
        if self._after_cr and chunk:
            self._after_cr = False
            if chunk[0] == _LF:
                chunk = chunk[1:]
        cut = max(chunk.rfind(b"\n"), chunk.rfind(b"\r")) + 1
        if not cut:
            self._rest += chunk
            self._refuse_endless()
            return []
        self._after_cr = chunk[cut - 1] == _CR and cut == len(chunk)
        lines = bytes(self._rest + chunk[:cut]).splitlines()  # of bytes: at LF, CR and CRLF alone
        self._rest = bytearray(chunk[cut:])
        if not self._begun and lines:
            self._begun = True
            lines[0] = lines[0].removeprefix(_BOM)
        events = [event for line in lines if (event := self._line(line)) is not None]
        self._refuse_endless()
        return events

    def _line(self, line: bytes) -> Event | None:
        if not line:
            event = Event(self._name, b"\n".join(self._data)) if self._data else None
            self._name, self._held = "", 0
            self._data.clear()
            return event
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
            self._held += len(value)
        elif field == b"event":
            self._name = value.decode("utf-8", "replace")
        return None

    def _refuse_endless(self) -> None:
        if len(self._rest) + self._held > MOST_BYTES:
            raise BrokenStream(f"an event of more than {MOST_BYTES} bytes")


def encode(name: str, data: bytes) -> bytes:
    """One event, its data on one line (JSON has no line ends outside of strings, where they are escaped)."""
    return (b"event: " + name.encode() + b"\n" if name else b"") + b"data: " + data + b"\n\n"
