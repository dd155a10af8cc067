"""Liveness: this process answers. No dependency, no library, nothing that could be slow or missing."""

from typing import Final

ALIVE: Final = {"status": "ok"}
