"""Semantic versions: what is one, and that the text by which the table sorts them says what the standard says."""

from functools import cmp_to_key

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weir.packages import semver

NUMBERS = st.integers(0, 12) | st.integers(0, 10**30)
LETTERS = "ABCXYZabcxyz-"
NUMERIC = NUMBERS.map(str)
ALPHANUMERIC = st.text(LETTERS + "019", min_size=1, max_size=6).filter(lambda text: not text.isdigit())
IDENTIFIERS = st.lists(NUMERIC | ALPHANUMERIC, min_size=1, max_size=4)
BUILDS = st.lists(st.text(LETTERS + "0129", min_size=1, max_size=4), max_size=2)


@st.composite
def versions(draw: st.DrawFn) -> str:
    numbers = ".".join(str(draw(NUMBERS)) for _ in range(3))
    pre = draw(st.just([]) | IDENTIFIERS)
    build = draw(BUILDS)
    return numbers + ("-" + ".".join(pre) if pre else "") + ("+" + ".".join(build) if build else "")


def compared(one: str, other: str) -> int:
    """Section 11 of Semantic Versioning 2.0.0, word for word: -1, 0 or 1."""
    # 11.1: build metadata does not figure into precedence
    (core, _, pre), (other_core, _, other_pre) = (text.partition("+")[0].partition("-") for text in (one, other))
    # 11.2: major, minor and patch are compared numerically, left to right
    numbers, others = ([int(part) for part in text.split(".")] for text in (core, other_core))
    if numbers != others:
        return -1 if numbers < others else 1
    # 11.3: a pre-release has a lower precedence than the normal version
    if not pre or not other_pre:
        return (not pre) - (not other_pre)
    fields, other_fields = pre.split("."), other_pre.split(".")
    for field, other_field in zip(fields, other_fields, strict=False):
        if field == other_field:
            continue
        if field.isdigit() and other_field.isdigit():  # 11.4.1: only digits: numerically
            return -1 if int(field) < int(other_field) else 1
        if field.isdigit() != other_field.isdigit():  # 11.4.3: numeric ones are lower
            return -1 if field.isdigit() else 1
        return -1 if field < other_field else 1  # 11.4.2: lexically in ASCII order
    # 11.4.4: a larger set of fields is higher, if all of the preceding are equal
    return (len(fields) > len(other_fields)) - (len(fields) < len(other_fields))


@given(versions(), versions())
def test_the_order_of_two_is_what_the_standard_says(one: str, other: str) -> None:
    first, second = semver.order(one).encode(), semver.order(other).encode()
    assert (first > second) - (first < second) == compared(one, other)


@given(st.lists(versions(), max_size=12))
def test_a_list_sorted_by_the_text_is_sorted_as_the_standard_says(texts: list[str]) -> None:
    by_standard = sorted(texts, key=cmp_to_key(compared))
    assert [semver.order(text) for text in sorted(texts, key=semver.order)] == [
        semver.order(text) for text in by_standard
    ]


def test_the_standards_own_examples_are_in_order() -> None:
    texts = [
        *("1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11"),
        *("1.0.0-rc.1", "1.0.0", "2.0.0", "2.1.0", "2.1.1", "10.0.0"),
    ]
    assert sorted({*texts}, key=semver.order) == texts


def test_a_shorter_prerelease_comes_first_whatever_a_longer_identifier_goes_on_with() -> None:
    texts = ["1.0.0-a", "1.0.0-a.0", "1.0.0-a.b", "1.0.0-a-", "1.0.0-a-.0", "1.0.0-a0", "1.0.0-aB", "1.0.0-ab"]
    assert sorted(texts, key=semver.order) == sorted(texts, key=cmp_to_key(compared)) == texts


@given(versions())
def test_no_versions_text_is_the_beginning_of_anothers(text: str) -> None:
    # Keys of files are order#path: whatever has the order for its beginning is of this version
    assert "#" not in semver.order(text)


def test_build_metadata_makes_no_other_version() -> None:
    assert semver.order("1.0.0+a") == semver.order("1.0.0+b.7") == semver.order("1.0.0")


@pytest.mark.parametrize(
    "text",
    [
        *("", "1", "1.2", "v1.2.3", "1.2.3.4", "01.2.3", "1.02.3", "1.2.03", "1.2.3-", "1.2.3-01", "1.2.3-a..b"),
        *("1.2.3+", "1.2.3+a+b", "1.2.3-a_b", " 1.2.3", "1.2.3\n", "1.2.3-é", "latest", "-1.2.3", "१.0.0"),
        "1.0.0-" + "a" * 123,
    ],
)
def test_what_is_no_version_is_none(text: str) -> None:
    assert not semver.is_version(text)
    with pytest.raises(ValueError, match="no semantic version"):
        semver.order(text)


@pytest.mark.parametrize("text", ["0.0.0", "1.2.3-0", "1.2.3--", "1.2.3-0a", "1.2.3+001", "1.0.0-" + "a" * 122])
def test_what_is_unusual_and_a_version_all_the_same(text: str) -> None:
    assert semver.is_version(text)


def test_a_prerelease_is_told_from_a_release_with_a_hyphen_in_its_build() -> None:
    assert semver.is_prerelease("1.0.0-rc.1+b")
    assert not semver.is_prerelease("1.0.0+not-one")
