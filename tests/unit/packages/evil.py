"""Files that would do harm, and honest ones of the same kinds, built byte by byte: nothing here is ever executed.

Pickles are put together from opcodes, for ``pickle.dumps`` of an object that calls ``os.system`` writes only what one
version of pickle writes.
"""

import io
import json
import pickle
import struct
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

PROTO = b"\x80\x02"
SENTINEL = "touch /tmp/weir-scanner-was-fooled"


class Bytes:
    """A file in memory that counts what is read of it."""

    def __init__(self, content: bytes, size: int | None = None) -> None:
        self.content = content
        self.size = len(content) if size is None else size
        self.reads: list[tuple[int, int]] = []

    def read(self, offset: int, length: int) -> bytes:
        self.reads.append((offset, length))
        found = self.content[offset : offset + length]
        return found + bytes(min(length, self.size - offset) - len(found))  # a size beyond the content reads as zeros

    @property
    def bytes_read(self) -> int:
        return sum(length for _, length in self.reads)

    @property
    def largest(self) -> int:
        return max((length for _, length in self.reads), default=0)


# Pickles


def text(value: str) -> bytes:
    """SHORT_BINUNICODE."""
    return b"\x8c" + bytes([len(value.encode())]) + value.encode()


def global_(module: str, name: str) -> bytes:
    """GLOBAL."""
    return f"c{module}\n{name}\n".encode()


def stack_global(module: str, name: str) -> bytes:
    """STACK_GLOBAL."""
    return text(module) + text(name) + b"\x93"


def called(what: bytes, *arguments: bytes) -> bytes:
    """REDUCE of what an opcode string leaves on the stack."""
    return what + b"(" + b"".join(arguments) + b"tR"


def system(module: str = "os") -> bytes:
    """A whole pickle that runs a command."""
    return PROTO + called(global_(module, "system"), text(SENTINEL)) + b"."


def through_memo() -> bytes:
    """``builtins.eval``, its name and its module's fetched from the memo after decoys were put and popped."""
    names = text("eval") + b"\x94" + b"0" + text("builtins") + b"\x94" + b"0"
    decoys = text("collections") + b"0" + text("OrderedDict") + b"0"
    return b"\x80\x04" + names + decoys + b"h\x01h\x00\x93" + text("1") + b"\x85R."


def through_text_memo() -> bytes:
    """The same with protocol 0's PUT and GET, and names as quoted strings."""
    return b"S'system'\np7\n0S'posix'\np8\n0g8\ng7\n\x93" + b"(S'id'\ntR."


def with_dup() -> bytes:
    """A name that is the module's as well."""
    return b"\x80\x04" + text("eval") + b"2\x93)R."


def computed_name() -> bytes:
    """The name of what is imported is a value that can't be told before it is made."""
    return b"\x80\x04" + text("os") + called(global_("_codecs", "encode"), text("system"), text("ascii")) + b"\x93)R."


def inst() -> bytes:
    return b"(S'id'\nios\nsystem\n."


def obj() -> bytes:
    return b"(" + global_("os", "system") + b"S'id'\no."


def newobj_ex() -> bytes:
    return b"\x80\x04" + stack_global("subprocess", "Popen") + text("id") + b"\x85}\x92."


def ext(code: bytes = b"\x82\x01") -> bytes:
    return PROTO + code + b")R."


def by_copyreg() -> bytes:
    return PROTO + called(global_("copyreg", "__newobj__"), global_("subprocess", "Popen"), text("id")) + b"."


def by_getattr() -> bytes:
    getter = called(global_("builtins", "getattr"), global_("collections", "OrderedDict"), text("fromkeys"))
    return PROTO + getter + b")R."


def class_changed() -> bytes:
    """BUILD on a class that may be imported: everybody's tensors have another method from then on."""
    return PROTO + global_("torch", "Tensor") + b"N}" + text("backward") + global_("torch", "Size") + b"s\x86b."


def called_result() -> bytes:
    return PROTO + called(called(global_("collections", "OrderedDict")), text("id")) + b"."


def nested(depth: int = 1, payload: bytes | None = None) -> bytes:
    """A pickle in the bytes of a pickle that by itself does nothing."""
    inner = system() if payload is None else payload
    for _ in range(depth):
        inner = b"\x80\x03B" + struct.pack("<I", len(inner)) + inner + b"."
    return inner


def nested_as_text() -> bytes:
    """The same as protocol 2 writes bytes: as text, to be encoded to Latin-1."""
    held = system().decode("latin-1").encode("utf-8")
    encoded = called(global_("_codecs", "encode"), b"X" + struct.pack("<I", len(held)) + held, text("latin1"))
    return PROTO + encoded + b"."


def loads() -> bytes:
    inner = system()
    return PROTO + called(global_("pickle", "loads"), b"B" + struct.pack("<I", len(inner)) + inner) + b"."


# Honest pickles, with the globals of libraries that are not installed


def tensor(key: str = "0") -> bytes:
    """What torch.save writes for a tensor: its storage by a persistent id, and how to rebuild it."""
    storage = b"(" + text("storage") + global_("torch", "FloatStorage") + text(key) + text("cpu") + b"K\x04tQ"
    hooks = called(global_("collections", "OrderedDict"))
    return called(
        global_("torch._utils", "_rebuild_tensor_v2"), storage, b"K\x00", b"K\x04\x85", b"K\x01\x85\x89", hooks
    )


def state_dict(*names: str) -> bytes:
    """The data.pkl of a state dict, ``_metadata`` set on it as torch does."""
    entries = b"".join(text(one) + tensor(str(number)) for number, one in enumerate(names or ("weight", "bias")))
    state = b"}" + text("_metadata") + called(global_("collections", "OrderedDict")) + b"s"
    return PROTO + called(global_("collections", "OrderedDict")) + b"q\x00(" + entries + b"u" + state + b"b."


def array_pickle(protocol: int = 2) -> bytes:
    """What NumPy writes for an array: an empty one rebuilt, and its state set."""
    empty = called(
        global_("numpy.core.multiarray", "_reconstruct"),
        global_("numpy", "ndarray"),
        b"K\x00\x85",
        called(global_("_codecs", "encode"), text("b"), text("latin1")),
    )
    dtype = (
        called(global_("numpy", "dtype"), text("f4"), b"\x89\x88")
        + b"(K\x03"
        + text("<")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    data = called(global_("_codecs", "encode"), text("\0\0\x80?"), text("latin1"))
    return bytes([0x80, protocol]) + empty + b"(K\x01K\x01\x85" + dtype + b"\x89" + data + b"tb."


def plain_pickles() -> list[bytes]:
    """What ``pickle`` itself writes for plain values, in all its protocols."""
    values = [
        1,
        -(1 << 70),
        1.5,
        "ü",
        b"abc" * 200,
        [1, [2]],
        {"a": {1, 2}, "b": (None, True)},
        bytearray(b"x"),
        2 + 1j,
    ]
    values += [OrderedDict(a=1), frozenset({1}), slice(1, 2), "x" * 1000]
    return [pickle.dumps(values, protocol) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)]


def torch_legacy(payload: bytes | None = None) -> bytes:
    """A file of torch.save before its ZIP format: five pickles, then raw storages."""
    magic = pickle.dumps(0x1950A86A20F9469CFC6C, 2)
    head = magic + pickle.dumps(1001, 2) + pickle.dumps({"little_endian": True, "protocol_version": 1001}, 2)
    return head + (payload or state_dict()) + pickle.dumps(["0", "1"], 2) + struct.pack("<Q4f", 4, 0, 1, 2, 3) * 2


# safetensors


def safetensors(header: Any, data: bytes = b"", *, length: int | None = None) -> bytes:
    """A file with a header as JSON, or as text; ``length`` where the file lies about it."""
    held = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(held) if length is None else length) + held + data


def weights(*spans: tuple[int, int], dtype: str = "U8") -> dict[str, Any]:
    """A header with a tensor for each span."""
    return {
        f"t{number}": {"dtype": dtype, "shape": [end - begin], "data_offsets": [begin, end]}
        for number, (begin, end) in enumerate(spans)
    }


# .npy


def npy(descr: Any, shape: tuple[int, ...], data: bytes, *, version: int = 1) -> bytes:
    header = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(header)) + header + data


# ZIP


def zipped(members: Mapping[str, bytes] | Iterable[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    """An archive as Python writes it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items() if isinstance(members, Mapping) else members:
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return file.getvalue()


def torch_zip(data: bytes | None = None, *, pickle_name: str = "data.pkl", method: int = zipfile.ZIP_STORED) -> bytes:
    """What torch.save writes today."""
    members = {
        f"archive/{pickle_name}": state_dict() if data is None else data,
        "archive/byteorder": b"little",
        "archive/data/0": struct.pack("<4f", 0, 1, 2, 3),
        "archive/data/1": b"\x80\x02" + b"\xff" * 14,  # numbers that begin as a pickle does
        "archive/version": b"3\n",
        "archive/.data/serialization_id": b"0636457737946401051300000025273995036293",
    }
    return zipped(members, method)


def linked() -> bytes:
    """A member that is a symbolic link out of the folder."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        link = zipfile.ZipInfo("weights")
        link.create_system = 3
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    return file.getvalue()


def local(name: bytes, data: bytes, size: int, crc: int, *, method: int = 8, flags: int = 0) -> bytes:
    head = struct.pack("<4s5H3L2H", b"PK\3\4", 20, flags, method, 0, 0, crc, len(data), size, len(name), 0)
    return head + name + data


def central(
    name: bytes, compressed: int, size: int, crc: int, offset: int, *, method: int = 8, flags: int = 0
) -> bytes:
    numbers = (20, 20, flags, method, 0, 0, crc, compressed, size, len(name), 0, 0, 0, 0, 0, offset)
    return struct.pack("<4s6H3L5H2L", b"PK\1\2", *numbers) + name


def end(count: int, size: int, offset: int, comment: bytes = b"") -> bytes:
    return struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, size, offset, len(comment)) + comment


def deflated(content: bytes) -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflater.compress(content) + deflater.flush()


def one_member(content: bytes, *, said: int | None = None, name: bytes = b"a.bin") -> bytes:
    """An archive of one deflated member, which may say another size than it has."""
    data, size = deflated(content), len(content) if said is None else said
    crc = zlib.crc32(content)
    body = local(name, data, size, crc)
    listed = central(name, len(data), size, crc, 0)
    return body + listed + end(1, len(listed), len(body))


def quoted(count: int = 5, kernel: int = 20_000) -> bytes:
    """A bomb whose members lie over each other: each has the headers of those after it as its own first bytes.

    https://www.bamsoftware.com/hacks/zipbomb/, "quoted overlap"
    """
    content = bytes(kernel)
    data = deflated(content)
    body = b""
    made: list[tuple[bytes, int, int, int, int]] = []
    for name in (b"%d.bin" % number for number in range(count)):
        if body:
            head = body[: 30 + len(name)]  # the header of the member that follows, as a block that is not compressed
            data = struct.pack("<BHH", 0, len(head), len(head) ^ 0xFFFF) + body
            content = head + content
        body = local(name, data, len(content), zlib.crc32(content))
        made.append((name, len(data), len(content), zlib.crc32(content), len(body)))
    listed = b"".join(central(name, packed, size, crc, len(body) - back) for name, packed, size, crc, back in made)
    return body + listed + end(count, len(listed), len(body))
