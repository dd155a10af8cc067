"""Which format a file is of, by its first and last bytes, and which formats a name promises.

Formats that have a scanner are told from those that have none; of these some hold no code that a reader of them would
run, as far as is known, and some may.
"""

from typing import NamedTuple

from weir.packages.scan_npy import MAGIC as NPY_MAGIC
from weir.packages.scan_pickle import begins_as_pickle
from weir.packages.scan_safetensors import begins_as_safetensors
from weir.packages.zip_directory import END_MAGIC, LOCAL_MAGIC, ends_as_zip

HEAD_BYTES = 4096
TAIL_BYTES = 65_557
"""An end of a ZIP directory with the longest comment."""


class Unscanned(NamedTuple):
    """A format without a scanner. ``rule`` is that of the finding which says so."""

    name: str
    rule: str
    evidence: str


def _quiet(name: str, evidence: str) -> Unscanned:
    return Unscanned(name, "no-executable-content-known", evidence)


def _unknown(name: str, evidence: str) -> Unscanned:
    return Unscanned(name, "no-scanner", evidence)


def _packed(name: str) -> Unscanned:
    return _unknown(name, f"{name} holds other files, pickles perhaps, that are not looked into")


_SIGNATURES: tuple[tuple[int, bytes, Unscanned], ...] = (
    (0, b"GGUF", _quiet("gguf", "GGUF holds tensors and metadata; a chat template in it is Jinja, and not checked")),
    (0, b"tjgg", _quiet("ggml", "GGML holds tensors and a vocabulary")),
    (0, b"lmgg", _quiet("ggml", "GGML holds tensors and a vocabulary")),
    (4, b"TFL3", _quiet("tflite", "TensorFlow Lite holds a graph of operators; custom ones are not checked")),
    (0, b"\x89PNG\r\n\x1a\n", _quiet("png", "an image")),
    (0, b"\xff\xd8\xff", _quiet("jpeg", "an image")),
    (0, b"GIF8", _quiet("gif", "an image")),
    (0, b"PAR1", _quiet("parquet", "Parquet holds a table")),
    (0, b"ARROW1", _quiet("arrow", "Arrow holds a table")),
    (0, b"\x89HDF\r\n\x1a\n", _unknown("hdf5", "HDF5 of Keras may hold layers with code; there is no scanner for it")),
    (0, b"\x7fELF", _unknown("elf", "machine code")),
    (0, b"MZ\x90\0", _unknown("windows-program", "machine code")),
    (0, b"\xcf\xfa\xed\xfe", _unknown("mach-o", "machine code")),
    (0, b"\xca\xfe\xba\xbe", _unknown("mach-o", "machine code, or Java's")),
    (0, b"\0asm", _unknown("wasm", "machine code")),
    (0, b"\x1f\x8b\x08", _packed("gzip")),
    (0, b"BZh", _packed("bzip2")),
    (0, b"\xfd7zXZ\0", _packed("xz")),
    (0, b"\x28\xb5\x2f\xfd", _packed("zstandard")),
    (0, b"\x04\x22\x4d\x18", _packed("lz4")),
    (0, b"7z\xbc\xaf\x27\x1c", _packed("7z")),
    (0, b"Rar!\x1a\x07", _packed("rar")),
    (257, b"ustar", _packed("tar")),
)

KERAS = "an archive of Keras may hold layers with code; there is no scanner for it"

_BY_NAME: dict[str, Unscanned] = {
    ".keras": _unknown("keras", KERAS),
    ".onnx": _unknown("onnx", "ONNX holds a graph of operators, custom ones perhaps; there is no scanner for it"),
    ".pb": _unknown("tensorflow", "a TensorFlow graph may read and write files; there is no scanner for it"),
    ".msgpack": _quiet("msgpack", "MessagePack holds values"),
    ".tar": _packed("tar"),
    **dict.fromkeys((".so", ".dll", ".dylib", ".exe"), _unknown("program", "machine code")),
    **dict.fromkeys((".pyc", ".pyo"), _unknown("python-bytecode", "code; there is no scanner for it")),
    **dict.fromkeys((".py", ".pyw", ".ipynb", ".sh", ".bat", ".ps1", ".js", ".jar", ".lua", ".r", ".rb", ".pl"),
                    _unknown("source", "code; there is no scanner for it")),
}  # fmt: skip

_TEXT = _quiet("text", "text; templates in it are not checked")
_ANYTHING = _unknown("unknown", "neither the content nor the name is one that there is a scanner for")

PICKLE_NAMES = frozenset({
    *(".pkl", ".pickle", ".pk", ".p", ".pt", ".pth", ".ckpt", ".joblib", ".dill", ".cloudpickle", ".pdparams"),
    *(".pdopt", ".sav", ".pickled"),
})  # fmt: skip
"""Ends of names of what people unpickle: the content has to be a pickle, or PyTorch's ZIP file."""

_PROMISED: dict[str, frozenset[str]] = {
    **dict.fromkeys(PICKLE_NAMES, frozenset({"pickle", "zip"})),
    ".safetensors": frozenset({"safetensors"}),
    ".npy": frozenset({"npy"}),
    **dict.fromkeys((".npz", ".zip", ".keras", ".mar", ".whl", ".jar"), frozenset({"zip"})),
    ".gguf": frozenset({"gguf"}),
    **dict.fromkeys((".h5", ".hdf5"), frozenset({"hdf5"})),
    **dict.fromkeys((".json", ".jsonl", ".txt", ".md", ".yaml", ".yml", ".toml", ".csv", ".py"), frozenset({"text"})),
}


def suffix(path: str) -> str:
    """The end of a name, from its last dot on, in lower case."""
    _, dot, after = path.rsplit("/", 1)[-1].rpartition(".")
    return f".{after}".lower() if dot else ""


def promised(path: str) -> frozenset[str]:
    """The formats of which a file of this name must be; empty where the name promises none."""
    return _PROMISED.get(suffix(path), frozenset())


def of_head(head: bytes, size: int) -> str | Unscanned | None:
    """The format that the first bytes tell: the name of one that has a scanner, or one that has none."""
    if head.startswith(NPY_MAGIC):
        return "npy"
    if head.startswith((LOCAL_MAGIC, END_MAGIC)):
        return "zip"
    if begins_as_safetensors(head, size):
        return "safetensors"
    if begins_as_pickle(head):
        return "pickle"
    if _is_text(head):
        return None
    return next((one for at, magic, one in _SIGNATURES if head.startswith(magic, at)), None)


def of_tail(tail: bytes) -> str | None:
    """``zip`` where the last bytes are the end of a ZIP directory, whatever the first ones are."""
    return "zip" if ends_as_zip(tail) else None


def otherwise(path: str, head: bytes) -> Unscanned:
    """What a file is taken for whose content tells nothing."""
    return by_name(path) or (_TEXT if _is_text(head) else _ANYTHING)


def by_name(path: str) -> Unscanned | None:
    """What a file's name says that it is, of what has no scanner."""
    return _BY_NAME.get(suffix(path))


def _is_text(head: bytes) -> bool:
    """Whether bytes are UTF-8 without controls; a character that is cut off at the end doesn't matter."""
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if len(head) < HEAD_BYTES or error.start < len(head) - 3:
            return False
        text = head[: error.start].decode("utf-8")
    return not any(one < " " and one not in "\t\n\r\f" for one in text)
