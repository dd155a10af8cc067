"""The globals that a pickle of weights may name; whatever is not here is not allowed.

An allow-list, because anything that is importable can be called by a pickle, and lists of what is bad have been got
round again and again (https://github.com/mmaitre314/picklescan/issues/66). PyTorch's own list of what
``torch.load(weights_only=True)`` accepts, the constructors of NumPy arrays, and plain values. What is here builds
values: it imports, reads and runs nothing else. That is why ``torch.storage._load_from_bytes``, which unpickles its
argument, ``builtins.getattr`` and ``copyreg.__newobj__`` are not.
https://github.com/pytorch/pytorch/blob/main/torch/_weights_only_unpickler.py
"""

_NUMBERS = (
    *("Bool", "Byte", "Char", "Short", "Int", "Long", "Half", "Float", "Double", "BFloat16"),
    *("ComplexFloat", "ComplexDouble", "QInt8", "QUInt8", "QInt32", "QUInt4x2", "QUInt2x4"),
)

_TENSORS = ("Bool", "Byte", "Char", "Short", "Int", "Long", "Half", "Float", "Double", "BFloat16")

_DTYPES = (
    *("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
    *("half", "float", "double", "float16", "float32", "float64", "bfloat16"),
    *("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu", "float4_e2m1fn_x2"),
    *("complex32", "complex64", "complex128", "cfloat", "cdouble", "chalf"),
    *("qint8", "quint8", "qint32", "quint4x2", "quint2x4", "short", "int", "long"),
    *(f"{sign}int{bits}" for sign in ("u", "") for bits in range(1, 8)),
)

_QUANTIZED = (
    *("per_tensor_affine", "per_tensor_symmetric", "per_channel_affine", "per_channel_symmetric"),
    "per_channel_affine_float_qparams",
)

_REBUILD = (
    *("_rebuild_parameter", "_rebuild_parameter_with_state", "_rebuild_qtensor", "_rebuild_tensor"),
    *("_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_sparse_tensor", "_rebuild_meta_tensor_no_storage"),
    *("_rebuild_wrapper_subclass", "_rebuild_device_tensor_from_numpy", "_rebuild_device_tensor_from_cpu_tensor"),
)

_ARRAYS = ("_reconstruct", "scalar")

_PLAIN = ("bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "range", "set", "slice")

_ALLOWED: dict[str, tuple[str, ...]] = {
    "torch": (
        *("Size", "Tensor", "device"),
        *_DTYPES,
        *_QUANTIZED,
        *(f"{one}Storage" for one in _NUMBERS),
        *(f"{one}Tensor" for one in _TENSORS),
    ),
    "torch.cuda": (*(f"{one}Storage" for one in _NUMBERS), *(f"{one}Tensor" for one in _TENSORS)),
    "torch.sparse": tuple(f"{one}Tensor" for one in _TENSORS),
    "torch.storage": ("TypedStorage", "UntypedStorage"),
    "torch.nn.parameter": ("Parameter", "Buffer"),
    "torch._utils": _REBUILD,
    "torch._tensor": ("_rebuild_from_type_v2",),
    "torch.serialization": ("_get_layout",),
    "numpy": ("dtype", "ndarray"),
    "numpy.core.multiarray": _ARRAYS,
    "numpy._core.multiarray": _ARRAYS,
    "numpy.core.numeric": ("_frombuffer",),
    "numpy._core.numeric": ("_frombuffer",),
    "collections": ("Counter", "OrderedDict", "defaultdict", "deque"),
    "datetime": ("date", "datetime", "time", "timedelta", "timezone"),
    "decimal": ("Decimal",),
    "fractions": ("Fraction",),
    "uuid": ("UUID",),
    "argparse": ("Namespace",),
    "_codecs": ("encode",),
    "builtins": _PLAIN,
    "__builtin__": _PLAIN,
}

ALLOWED = frozenset((module, name) for module, names in _ALLOWED.items() for name in names)
"""Module and name, as a pickle gives them. A name with a dot, which reaches into a class, is not among them."""
