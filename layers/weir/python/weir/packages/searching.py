"""Finding packages: by how the name begins, a pattern, the owner, a tag, words. Never a Scan, and all pages.

A package is stored once more under each of its words and tags, with what is asked of it there: whose it is, who may see
it, its tags and words. These copies change with it, in its transaction; what changes with every version of it (counts,
``latest``) is read from the package itself, for those that are answered.

One page reads a bounded number of items, whatever there is. What the caller may not see is left out, so a page may be
short, even empty, and there may be more all the same: the position tells.
"""

import fnmatch
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from weir.packages import items
from weir.packages.models import Package
from weir.packages.store import Store
from weir.packages.table import PACKAGES, Key, package_key, tag_key, word_key
from weir.packages.visibility import may_see
from weir.runtime.dynamodb import Item, Write
from weir.runtime.http import Principal

MOST_WORDS = 32
MOST_TAGS = 16
"""With the words: a change of all of them fits into one transaction, of at most 100 writes."""

MOST_LOOKED_THROUGH = 1_000
"""Items that one page looks through for those that are asked for, before it is answered as it is."""

_LONGEST_WORD = 40
_PAGE = 200
_BATCH = 100
_WORD = re.compile(r"[^\W_]+")
_WILD = re.compile(r"[*?]")

Position = dict[str, str]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for; all of it must hold. ``begins`` and ``pattern`` are of the normalized name."""

    words: tuple[str, ...] = ()
    begins: str = ""
    pattern: str | None = None
    owner: str | None = None
    tag: str | None = None

    @property
    def literal(self) -> str:
        """How the name of whatever is wanted begins."""
        of_pattern = "" if self.pattern is None else _WILD.split(self.pattern, maxsplit=1)[0]
        return max(self.begins, of_pattern, key=len)


def words(*texts: str) -> tuple[str, ...]:
    """The words of some texts, each once, as they are searched for: letters and digits, without case."""
    found: dict[str, None] = {}
    for text in texts:
        for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold()):
            found[word[:_LONGEST_WORD]] = None
    return tuple(found)


def words_of(package: Package) -> tuple[str, ...]:
    """The words that find a package: of its name, its tags and its description, the first 32."""
    return words(package.name, *package.tags, package.description)[:MOST_WORDS]


def added(package: Package) -> list[Write]:
    """The writes that make a new package be found by its words and tags."""
    return [Write(put=item) for item in _copies(package)]


def moved(before: Package, after: Package) -> list[Write]:
    """The writes by which a changed package is found as it is now."""
    if _seen_by(before) == _seen_by(after):
        return []
    kept = {(item["pk"], item["sk"]) for item in _copies(after)}
    gone = [{"pk": item["pk"], "sk": item["sk"]} for item in _copies(before) if (item["pk"], item["sk"]) not in kept]
    return [*added(after), *(Write(key=key) for key in gone)]


def page(
    store: Store, caller: Principal, wanted: Wanted, limit: int, after: Position | None = None
) -> tuple[list[Package], Position | None]:
    """Packages by name that the caller may see, and where to go on; None at the end."""
    fits = _Fits(wanted, caller)
    of = _source(wanted)
    start: Item | None = None if after is None else of.start(after["after"])
    found: list[Package] = []
    looked, size = 0, limit + 1
    while True:
        read, start = store.table.page(of.where, of.values, limit=size, after=start, index=of.index, names=of.names)
        for number, item in enumerate(read, start=1):
            package = items.package_of(item)
            if fits(package, item["words"] if of.copies else words_of(package)):
                found.append(package)
            if len(found) == limit or looked + number == MOST_LOOKED_THROUGH:
                ends = number == len(read) and start is None
                return _answered(store, fits, of, found), None if ends else {"after": package.name}
        if start is None:
            return _answered(store, fits, of, found), None
        looked += len(read)
        size = _PAGE


def _answered(store: Store, fits: "_Fits", of: "_Source", found: Sequence[Package]) -> list[Package]:
    """Packages that copies told of, as they are themselves."""
    if not of.copies:
        return list(found)
    names = [one.name for one in found]
    rows: list[Item] = []
    for first in range(0, len(names), _BATCH):
        rows += store.table.get_many([package_key(name) for name in names[first : first + _BATCH]])
    packages = sorted((items.package_of(row) for row in rows), key=lambda one: one.name)
    return [one for one in packages if fits(one, words_of(one))]


class _Fits:
    """Whether a package is one that is wanted, and that the caller may see."""

    def __init__(self, wanted: Wanted, caller: Principal) -> None:
        self._wanted, self._caller = wanted, caller
        self._pattern = None if wanted.pattern is None else re.compile(fnmatch.translate(wanted.pattern))

    def __call__(self, package: Package, held: Iterable[str]) -> bool:
        wanted = self._wanted
        return (
            package.name.startswith(wanted.begins)
            and (self._pattern is None or self._pattern.match(package.name) is not None)
            and wanted.owner in {None, package.owner}
            and (wanted.tag is None or wanted.tag in package.tags)
            and set(wanted.words) <= set(held)
            and may_see(self._caller, package)
        )


@dataclass(frozen=True, slots=True)
class _Source:
    """Where packages are read from: a query, and how its keys follow from a name. ``copies`` of words and tags."""

    by: tuple[str, str]
    key: Any
    literal: str
    index: str | None = None

    @property
    def copies(self) -> bool:
        return self.index is None

    @property
    def sort(self) -> str:
        return "sk" if self.copies else "at"

    @property
    def where(self) -> str:
        return "#of = :of" + (" AND begins_with(#sort, :begin)" if self.literal else "")

    @property
    def values(self) -> dict[str, str]:
        return {"of": self.by[1]} | ({"begin": self.literal} if self.literal else {})

    @property
    def names(self) -> dict[str, str]:
        return {"of": self.by[0]} | ({"sort": self.sort} if self.literal else {})

    def start(self, name: str) -> Item:
        """The key after which a page goes on."""
        if self.copies:
            return dict(self.key(name))
        return {**self.key(name), self.by[0]: self.by[1], "at": name}


def _source(wanted: Wanted) -> _Source:
    if wanted.words:
        word = max(wanted.words, key=len)  # the longest is the rarest, more often than not
        return _Source(("pk", word_key(word, "")["pk"]), lambda name: word_key(word, name), wanted.literal)
    if wanted.tag is not None:
        tag = wanted.tag
        return _Source(("pk", tag_key(tag, "")["pk"]), lambda name: tag_key(tag, name), wanted.literal)
    if wanted.owner is not None:
        return _Source(("owner", wanted.owner), package_key, wanted.literal, "owned")
    return _Source(("list", PACKAGES), package_key, wanted.literal, "listing")


def _copies(package: Package) -> list[Item]:
    held = words_of(package)
    stored = items.package_item(package)
    told = {
        name: value for name, value in stored.items() if name not in {"list", "at"}
    }  # in no index: it is there once
    told |= {"description": "", "words": list(held)}
    keys: list[Key] = [word_key(word, package.name) for word in held]
    keys += [tag_key(tag, package.name) for tag in package.tags]
    return [{**told, **key} for key in keys]


def _seen_by(package: Package) -> tuple[object, ...]:
    return words_of(package), package.tags, package.sensitivity, package.allowed_groups
