"""The ledger against a naive oracle that remembers every record."""

import json
from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from weir.runs.ledger import Ledger

Record = tuple[int, str, int]
RECORDS = st.lists(st.tuples(st.integers(0, 2), st.sampled_from("abc"), st.integers(0, 12)), max_size=80)


class Oracle:
    """What the ledger must say, worked out from sets."""

    def __init__(self) -> None:
        self.seen: dict[tuple[int, str], set[int]] = defaultdict(set)
        self.duplicates = 0
        self.reordered = 0

    def add(self, slice_index: int, key: str, sequence: int) -> bool:
        seen = self.seen[slice_index, key]
        if sequence in seen:
            self.duplicates += 1
            return False
        self.reordered += any(later > sequence for later in seen)
        seen.add(sequence)
        return True

    @property
    def unique(self) -> int:
        return sum(map(len, self.seen.values()))

    def compare(self, slice_index: int, produced: dict[str, int], rejected: dict[str, list[int]]) -> tuple[int, int]:
        lost = beyond = 0
        for key, count in produced.items():
            missing = set(range(count)) - self.seen[slice_index, key] - set(rejected.get(key, ()))
            lost += len(missing)
        for (its_slice, key), seen in self.seen.items():
            if its_slice == slice_index:
                beyond += sum(one >= produced.get(key, 0) for one in seen)
        return lost, beyond


def filled(records: list[Record]) -> Ledger:
    ledger = Ledger()
    for record in records:
        ledger.add(*record)
    return ledger


def oracle_of(records: list[Record]) -> Oracle:
    oracle = Oracle()
    for record in records:
        oracle.add(*record)
    return oracle


def assert_agree(ledger: Ledger, oracle: Oracle) -> None:
    for (slice_index, key), seen in oracle.seen.items():
        spelled = [one for start, end in ledger.ranges(slice_index, key) for one in range(start, end)]
        assert spelled == sorted(seen)
    assert ledger.unique == oracle.unique
    assert ledger.has_gaps == any(seen != set(range(len(seen))) for seen in oracle.seen.values())


@given(RECORDS)
def test_every_record_is_entered_as_a_set_would(records: list[Record]) -> None:
    # Given records in any order, any of them more than once
    ledger, oracle = Ledger(), Oracle()
    # When entered / Then each is told to be new or not, and all counts agree
    for record in records:
        assert ledger.add(*record) == oracle.add(*record)
    assert_agree(ledger, oracle)
    assert (ledger.duplicates, ledger.reordered) == (oracle.duplicates, oracle.reordered)


@given(RECORDS, st.dictionaries(st.sampled_from("abcd"), st.integers(0, 15), max_size=4), st.data())
def test_losses_are_what_was_written_less_what_was_seen_and_refused(
    records: list[Record], produced: dict[str, int], data: st.DataObject
) -> None:
    # Given what readers saw, what the writer of slice 1 says, and what Kinesis refused of it
    ledger, oracle = filled(records), oracle_of(records)
    rejected = {
        key: data.draw(st.lists(st.integers(0, count - 1), unique=True), label=f"rejected of {key}")
        for key, count in produced.items()
        if count
    }
    # When compared
    found = ledger.compare(1, produced, rejected)
    # Then lost and beyond are the sets' sizes
    assert (found.lost, found.beyond) == oracle.compare(1, produced, rejected)
    assert bool(found.examples) == bool(found.lost)


@given(st.lists(RECORDS, max_size=4), st.permutations(range(4)))
def test_ledgers_of_several_readers_merge_in_any_order(parts: list[list[Record]], order: list[int]) -> None:
    # Given what several readers saw, perhaps the same records
    oracle = oracle_of([record for part in parts for record in part])
    # When their ledgers are merged, whichever comes first
    merged = Ledger()
    for index in order:
        if index < len(parts):
            merged.merge(filled(parts[index]))
    # Then nothing is counted twice, and what several saw is a duplicate
    assert_agree(merged, oracle)
    assert merged.duplicates == oracle.duplicates
    assert merged.reordered == sum(filled(part).reordered for part in parts)


@given(RECORDS, RECORDS)
def test_a_merge_leaves_the_other_ledger_as_it_was(ours: list[Record], theirs: list[Record]) -> None:
    ledger, other = filled(ours), filled(theirs)
    before = json.dumps(other.to_dict(), sort_keys=True)
    ledger.merge(other)
    for record in ours:
        ledger.add(*record)
    assert json.dumps(other.to_dict(), sort_keys=True) == before


@given(RECORDS, RECORDS)
def test_a_checkpoint_goes_on_as_if_nothing_had_happened(before: list[Record], after: list[Record]) -> None:
    # Given a ledger that was stored as JSON in the middle
    resumed = Ledger.from_dict(json.loads(json.dumps(filled(before).to_dict())))
    # When the rest is entered / Then it is what one ledger would have been
    for record in after:
        resumed.add(*record)
    assert resumed.to_dict() == filled(before + after).to_dict()


@given(RECORDS)
def test_the_hottest_keys(records: list[Record]) -> None:
    oracle = oracle_of(records)
    totals: dict[str, int] = defaultdict(int)
    for (_, key), seen in oracle.seen.items():
        totals[key] += len(seen)
    expected = sorted(totals.items(), key=lambda pair: (-pair[1], pair[0]))
    assert filled(records).hottest(2) == expected[:2]


def test_examples_name_slice_key_and_first_missing_record() -> None:
    # Given a key of which 2 and 3 are missing / Then the first is named
    ledger = filled([(4, "k", 0), (4, "k", 1), (4, "k", 4)])
    assert ledger.compare(4, {"k": 5}, {}).examples == ((4, "k", 2),)


def test_memory_follows_keys_and_not_records() -> None:
    # Given a hundred thousand records in order, of ten keys
    ledger = Ledger()
    for number in range(100_000):
        ledger.add(0, f"key-{number % 10}", number // 10)
    # Then the ledger is ten numbers
    assert len(json.dumps(ledger.to_dict())) < 400
    assert not ledger.has_gaps


def test_many_refused_records_are_compared_in_good_time() -> None:
    # Given a key of which every other record was refused: as many gaps as refusals
    count = 40_000
    ledger = filled([(0, "k", number) for number in range(0, count, 2)])
    # When compared / Then it is no loss (and a comparison of each with each would outlast this suite)
    assert ledger.compare(0, {"k": count}, {"k": list(range(1, count, 2))}).lost == 0
