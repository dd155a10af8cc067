"""Layers are unpacked once, not for every process: a cold start on one small machine then costs half.

AWS mounts a layer's content read-only at /opt in every environment. The emulator unpacks every layer again, 22 MB of
ours, whenever it starts a worker. Here each distinct layer is unpacked once into the emulator's temporary folder, and
workers see it through links. What a function sees is the same.
"""

import hashlib
import tempfile
import threading
import types
import zipfile
from pathlib import Path
from typing import Any

from ministack.core import lambda_runtime

_LAYER = "layer_"
_unpacking = threading.Lock()


class LinkedLayers(zipfile.ZipFile):
    """A zip file that, where it is a layer, is unpacked into a shared folder and linked from the one asked for."""

    def extractall(self, path: Any = None, members: Any = None, pwd: Any = None) -> None:
        """Unpack, or link what was unpacked before."""
        if not Path(str(self.filename)).name.startswith(_LAYER):
            super().extractall(path, members, pwd)
            return
        shared = Path(
            tempfile.gettempdir(), "layers", hashlib.sha256(Path(str(self.filename)).read_bytes()).hexdigest()
        )
        with _unpacking:
            if not shared.exists():
                draft = shared.with_suffix(".draft")
                super().extractall(draft)
                draft.rename(shared)
        for entry in shared.iterdir():
            Path(path, entry.name).symlink_to(entry)


lambda_runtime.zipfile = types.SimpleNamespace(**{**vars(zipfile), "ZipFile": LinkedLayers})
