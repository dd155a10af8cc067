"""Files of a package on this machine: those of a folder to push, and a folder to pull into.

A path comes from a server that may lie. It is taken only if it stays below the folder, and each folder on the way is
opened by itself, from its parent's descriptor and never through a symbolic link, so that nothing which is swapped in
meanwhile leads elsewhere (openat(2), O_NOFOLLOW).
"""

import errno
import mimetypes
import os
import stat
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Folder", "LocalFile", "PathRefused", "Spot", "checked", "local_files"]

_BINARY = "application/octet-stream"
_TYPES = mimetypes.MimeTypes()
"""Python's own, without those of this machine: a push that was broken off goes on from another one, too."""


class PathRefused(Exception):
    """A file or a path can't be part of a package on this machine; the message says which and why."""


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file to push: where it is, and its path in the package (relative, ``/``, NFC)."""

    place: Path
    path: str

    @property
    def content_type(self) -> str:
        """What its name says that it is."""
        return _TYPES.guess_type(self.path)[0] or _BINARY


def local_files(root: Path, *, follow: bool = False) -> list[LocalFile]:
    """Every file of a folder, or the one that ``root`` is, in the order of their paths.

    Nothing is left out: what can't be part of a package is refused. ``follow`` takes symbolic links to files for
    what they point at.

    Raises
    ------
    PathRefused
        Symbolic links, what is neither file nor folder, names that are no text, two names that are one in NFC, or
        nothing there at all.
    """
    if not root.is_dir():
        _refuse_odd(root, follow=True)  # the person has named it
        return [LocalFile(root, _name(root.name, root))]
    found: dict[str, LocalFile] = {}
    for place in _walked(root):
        _refuse_odd(place, follow=follow)
        path = "/".join(_name(part, place) for part in place.relative_to(root).parts)
        if path in found:
            raise PathRefused(f"{found[path].place} and {place} have the same name in Unicode's normal form C.")
        found[path] = LocalFile(place, path)
    if not found:
        raise PathRefused(f"{root} holds no file.")
    return [found[path] for path in sorted(found)]


def checked(path: str) -> tuple[str, ...]:
    """The segments of a package's path. PathRefused unless it stays below the folder, on any system."""
    segments = tuple(path.split("/"))
    odd = any(ord(one) < 32 or one in "\\:\x7f" for one in path)
    if odd or any(segment in {"", ".", ".."} for segment in segments):
        raise PathRefused(
            f"The registry names a file {path!r}, which does not stay in the folder: nothing was written."
        )
    return segments


class Spot:
    """The place of one file below a folder: names in an open directory, none of which is followed if it is a link."""

    def __init__(self, directory: int, name: str) -> None:
        self._directory, self._name = directory, name

    def open(self, flags: int, suffix: str = "") -> int:
        """A descriptor of the file, or of the one beside it. PathRefused for a link, or for what is no file."""
        flags |= os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # the last, or a FIFO would be waited for
        try:
            file = os.open(self._name + suffix, flags, 0o666, dir_fd=self._directory)
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.EISDIR, errno.ENXIO}:
                raise PathRefused(f"{self._name + suffix} is in the way: it is no ordinary file.") from error
            raise
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise PathRefused(f"{self._name + suffix} is in the way: it is no ordinary file.")
        return file

    def size(self, suffix: str = "") -> int | None:
        """Bytes of the file, None where there is none. PathRefused for a link, or for what is no file."""
        found = self._found(suffix)
        if found is not None and not stat.S_ISREG(found.st_mode):
            raise PathRefused(f"{self._name + suffix} is in the way: it is no ordinary file.")
        return None if found is None else found.st_size

    def is_still(self, file: int, suffix: str) -> bool:
        """Whether an open file is the one that stands there now."""
        found, opened = self._found(suffix), os.fstat(file)
        return found is not None and (found.st_dev, found.st_ino) == (opened.st_dev, opened.st_ino)

    def put_in_place(self, suffix: str) -> None:
        """Rename the file with the suffix to the name without, and have the disk remember it."""
        self.size()
        os.replace(self._name + suffix, self._name, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        os.fsync(self._directory)

    def remove(self, suffix: str) -> None:
        """Delete the file with the suffix, if it is there."""
        with suppress(FileNotFoundError):
            os.unlink(self._name + suffix, dir_fd=self._directory)

    def _found(self, suffix: str) -> os.stat_result | None:
        try:
            return os.stat(self._name + suffix, dir_fd=self._directory, follow_symlinks=False)
        except FileNotFoundError:
            return None


class Folder:
    """A folder to pull into; it is made where it is not there."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextmanager
    def spot(self, path: str) -> Iterator[Spot]:
        """The place of a package's file, with the folders on the way to it made. PathRefused; OSError."""
        *folders, name = checked(path)
        self.root.mkdir(parents=True, exist_ok=True)
        directory = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for folder in folders:
                inner = _inner(directory, folder, path)
                os.close(directory)
                directory = inner
            yield Spot(directory, name)
        finally:
            os.close(directory)


def _inner(directory: int, name: str, path: str) -> int:
    with suppress(FileExistsError):
        os.mkdir(name, dir_fd=directory)
    try:
        return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENOTDIR}:
            raise PathRefused(f"{name} is in the way of {path}: it is no ordinary folder.") from error
        raise


def _walked(root: Path) -> Iterator[Path]:
    def told(error: OSError) -> None:
        raise PathRefused(f"{error.filename} can't be read: {error.strerror}.") from error

    onerror: Callable[[OSError], None] = told
    for folder, folders, files in os.walk(root, onerror=onerror):
        place = Path(folder)
        # os.walk does not go into links to folders: they are told of as what they are.
        links = [name for name in folders if (place / name).is_symlink()]
        yield from (place / name for name in sorted((*files, *links)))


def _refuse_odd(place: Path, *, follow: bool) -> None:
    try:
        itself, pointed = place.lstat(), place.stat()
    except OSError as error:
        raise PathRefused(f"{place} can't be read: {error.strerror}.") from error
    if stat.S_ISLNK(itself.st_mode) and not follow:
        raise PathRefused(f"{place} is a symbolic link; --follow-links pushes the file that it points at.")
    if not stat.S_ISREG(pointed.st_mode):
        raise PathRefused(f"{place} is no ordinary file: it can't be part of a package.")


def _name(name: str, place: Path) -> str:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise PathRefused(f"{os.fsencode(place)!r} has a name that is no UTF-8.") from error
    return unicodedata.normalize("NFC", name)
