"""What a file's name tells of its format: whether it holds weights, and whether loading it can run code.

For measures and rules over a whole version. What a scanner sees inside a file decides whether it is served (``formats``
and ``scanners``); this is for what names alone can tell.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Format:
    """A format. ``is_weights``: it holds a model's parameters. ``can_run``: loading it can run code of its author."""

    name: str
    suffixes: tuple[str, ...]
    is_weights: bool = False
    can_run: bool = False


FORMATS = (
    Format("safetensors", (".safetensors",), is_weights=True),
    Format("gguf", (".gguf", ".ggml"), is_weights=True),
    Format("onnx", (".onnx", ".onnx_data"), is_weights=True),
    Format("tflite", (".tflite",), is_weights=True),
    Format("flax", (".msgpack",), is_weights=True),
    Format("coreml", (".mlmodel",), is_weights=True),
    # An array of objects is a pickle: https://numpy.org/doc/stable/reference/generated/numpy.load.html
    Format("numpy", (".npy", ".npz"), is_weights=True, can_run=True),
    Format("pytorch", (".pt", ".pth", ".bin", ".ckpt"), is_weights=True, can_run=True),
    Format("pickle", (".pkl", ".pickle", ".joblib", ".dill"), is_weights=True, can_run=True),
    # Lambda layers are marshalled code, and a TensorFlow graph may read and write files.
    Format("keras", (".h5", ".hdf5", ".keras"), is_weights=True, can_run=True),
    Format("tensorflow", (".pb",), is_weights=True, can_run=True),
    Format("archive", (".zip", ".tar", ".gz", ".tgz", ".mar", ".nemo", ".whl"), can_run=True),
    Format("source", (".py", ".ipynb", ".sh", ".bat", ".ps1", ".js"), can_run=True),
    Format("program", (".exe", ".dll", ".so", ".dylib", ".msi", ".jar"), can_run=True),
    Format("tokenizer", (".model", ".spm", ".tiktoken", ".vocab")),
    Format("json", (".json", ".jsonl")),
    Format("yaml", (".yaml", ".yml")),
    Format("text", (".md", ".txt", ".rst", ".csv", ".tsv", ".jinja", ".template")),
    Format("image", (".png", ".jpg", ".jpeg", ".svg", ".webp", ".gif")),
    Format("table", (".parquet", ".arrow")),
)
NAMES = tuple(one.name for one in FORMATS)

_BY_SUFFIX = {suffix: one for one in FORMATS for suffix in one.suffixes}
_TEXTS = {"license", "notice", "readme", "copying", "authors", "changelog", ".gitattributes", ".gitignore"}
"""Names that are known without a suffix."""


def format_of(path: str) -> Format | None:
    """The format that a file's name tells; None where it tells none that is known here."""
    last = path.rpartition("/")[2].lower()
    if last in _TEXTS:
        return _BY_SUFFIX[".txt"]
    _, dot, suffix = last.rpartition(".")
    return _BY_SUFFIX.get(f".{suffix}") if dot else None
