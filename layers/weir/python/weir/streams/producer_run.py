"""One run of a producer: the loop that pulls, sends, and settles. ``producer.py`` says what it promises."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import heappop, heappush
from itertools import compress, islice, repeat
from operator import itemgetter
from random import Random

from weir.runtime.clock import Clock
from weir.streams.entries import AcceptedBatch, Entry, PutTally, Rejected, Stopped
from weir.streams.hashing import ShardMap
from weir.streams.pacing import Pace, Rate, Schedule
from weir.streams.producer_order import KeyOrder
from weir.streams.producer_outbox import Again, Outbox
from weir.streams.producer_packer import Packer, member_bytes, members
from weir.streams.producer_requests import Answer, Requests, failure
from weir.streams.producer_tally import Counts

_MOST_ENTRIES = 4_000
"""Two requests of 500 for each of four threads. More would be a queue in which records only grow old."""

_MOST_AGGREGATED_ENTRIES = 20_000
_MOST_BYTES = 32 * 1024 * 1024
_LARGEST_PULL = 500
_LARGEST_AGGREGATED_PULL = 1_000

_LINGER_SECONDS = 0.1
_PULL_SECONDS = 0.05
_TICK_SECONDS = 0.01
_BACKOFF_SECONDS = 0.1
_BACKOFF_MOST_SECONDS = 5.0
_JUST_ACTIVE_SECONDS = 10.0
"""A stream that was ACTIVE a moment ago may not be known everywhere: so long is 'not found' worth another try."""

_THROTTLED = "ProvisionedThroughputExceededException"
_ANSWER_MISMATCH = "AnswerMismatch"
_DEADLINE = "DeadlineExceeded"
_PREDECESSOR = "PredecessorRejected"

_data = itemgetter(1)


def _data_bytes(entries: Iterable[Entry]) -> int:
    return sum(map(len, map(_data, entries)))


class ProducerRun:
    """Holds the state of one run; ``execute`` is called once."""

    def __init__(
        self,
        *,
        entries: Iterator[Entry],
        requests: Requests,
        shard_map: ShardMap,
        clock: Clock,
        pace: Pace,
        ordered: bool,
        aggregate: bool,
        max_attempts: int,
        rng: Random,
        deadline: float,
        enough: Callable[[], bool],
        on_accepted: Callable[[AcceptedBatch], None],
        on_rejected: Callable[[list[Rejected]], None],
    ) -> None:
        self._entries = entries
        self._requests = requests
        self._monotonic = clock.monotonic
        self._rng = rng
        self._deadline = deadline
        self._enough = enough
        self._on_accepted = on_accepted
        self._on_rejected = on_rejected
        self._max_attempts = max_attempts
        self._schedule = Schedule(pace) if isinstance(pace, Rate) else None
        self._packer = Packer(shard_map) if aggregate else None
        self._shard_map = shard_map
        self._order = KeyOrder(self._shard_of if aggregate else itemgetter(0)) if ordered else None
        self._outbox = Outbox(shard_map, pace, requests)
        self._counts = Counts(aggregated=aggregate)
        self._most = _MOST_AGGREGATED_ENTRIES if aggregate else _MOST_ENTRIES
        self._largest_pull = _LARGEST_AGGREGATED_PULL if aggregate else _LARGEST_PULL
        self._retries: list[tuple[float, int, list[Again]]] = []
        self._retry_number = 0
        self._pulled = 0
        self._unsettled = 0
        self._unsettled_bytes = 0
        self._packing_since = 0.0
        self._slow_input = False
        self._exhausted = False
        self._input_error: BaseException | None = None
        self._stopped: Stopped = "end"
        self._started = self._monotonic()

    def execute(self) -> PutTally:
        """Run to the end; what it came to."""
        while not self._finished:
            now = self._monotonic()
            if now >= self._deadline:
                self._stop("deadline", _DEADLINE)
            self._exhausted = self._exhausted or self._enough()
            moved = self._collect(0.0)
            moved |= self._wake(now)
            moved |= self._outbox.serve(now)
            moved |= self._pull(now)
            moved |= self._flush(now)
            if not (moved or self._finished):
                self._collect(self._rest(now))
        if self._input_error is not None:
            raise self._input_error
        return self._counts.tally(
            requests=self._outbox.requests_sent,
            seconds=self._monotonic() - self._started,
            stopped=self._stopped,
        )

    @property
    def _done(self) -> bool:
        return self._exhausted or self._stopped != "end"

    @property
    def _finished(self) -> bool:
        return self._done and self._unsettled == 0

    @property
    def _may_pull(self) -> bool:
        return not self._done and self._unsettled < self._most and self._unsettled_bytes < _MOST_BYTES

    # Input

    def _pull(self, now: float) -> bool:
        """Take what may be taken of the input, at most one request's worth; whether there was anything."""
        if not self._may_pull or self._outbox.full:
            return False
        wanted = min(self._largest_pull, self._most - self._unsettled)
        if self._schedule is not None:
            wanted = min(wanted, self._schedule.due(now - self._started) - self._pulled)
        if wanted <= 0:
            return False
        entries = self._take(wanted, now)
        self._pulled += len(entries)
        self._unsettled += len(entries)
        self._unsettled_bytes += _data_bytes(entries)
        if self._packer is not None:
            if not self._packer.waiting:
                self._packing_since = now
            entries = self._packer.add(entries)
        self._send(entries, now)
        return True

    def _take(self, wanted: int, now: float) -> list[Entry]:
        """The next entries; fewer where the input is slow, so that what it gave does not wait for what it has not."""
        entries: list[Entry] = []
        until = now + _PULL_SECONDS
        monotonic = self._monotonic
        self._slow_input = False
        try:
            for entry in islice(self._entries, wanted):
                entries.append(entry)
                if monotonic() >= until:
                    self._slow_input = True
                    break
            else:
                self._exhausted = len(entries) < wanted
        except Exception as error:  # raised again by execute, when what came before it is settled
            self._input_error = error
            self._exhausted = True
        return entries

    def _shard_of(self, entry: Entry) -> str:
        return self._shard_map.shard_for(entry[0], entry[2])

    def _send(self, entries: list[Entry], now: float) -> None:
        if self._order is not None:
            entries, refused = self._order.admit(entries)
            self._reject([Again(entry, 0, _PREDECESSOR) for entry in refused])
        self._outbox.add(entries, now)

    def _wake(self, now: float) -> bool:
        """Give entries whose back-off is over to the outbox; whether there were any."""
        woken = False
        while self._retries and self._retries[0][0] <= now:
            items = heappop(self._retries)[2]
            self._counts.retried += self._counts.entries_in([item.entry for item in items])
            self._outbox.add_again(items, now)
            woken = True
        return woken

    def _flush(self, now: float) -> bool:
        """Send batches that are not full, where waiting for more would be in vain or has lasted long enough."""
        starved = not self._may_pull
        packer, outbox = self._packer, self._outbox
        hurry = starved or self._slow_input
        if packer is not None and packer.waiting and (hurry or now - self._packing_since >= _LINGER_SECONDS):
            self._send(packer.flush(), now)
        sent = outbox.submit()
        if outbox.gathered and not outbox.full and self._requests.has_slot():
            idle = self._schedule is not None and not self._requests.under_way
            late = now - outbox.opened_at >= _LINGER_SECONDS
            if idle or late or self._slow_input or (starved and not outbox.paced):
                outbox.close()
                sent = True
        return sent

    def _rest(self, now: float) -> float:
        """Seconds until there is something to do again, if no answer comes before."""
        waits = [1.0]
        if self._stopped == "end":
            waits.append(self._deadline - now)
        if self._retries:
            waits.append(self._retries[0][0] - now)
        if self._outbox.paced:
            waits.append(_TICK_SECONDS)
        if self._outbox.gathered and self._requests.has_slot():
            waits.append(self._outbox.opened_at + _LINGER_SECONDS - now)
        if self._packer is not None and self._packer.waiting:
            waits.append(self._packing_since + _LINGER_SECONDS - now)
        if self._schedule is not None and self._may_pull:
            due = self._schedule.time_of(self._pulled + 1) - (now - self._started)
            waits.append(max(due, _TICK_SECONDS / 2))
        return max(min(waits), 0.001)

    # Answers

    def _collect(self, seconds: float) -> bool:
        answers = self._requests.collect(seconds)
        if answers:
            now = self._monotonic()
            for answer in answers:
                self._settle(answer, now)
        return bool(answers)

    def _settle(self, answer: Answer, now: float) -> None:
        batch, results = answer.batch, answer.results
        if answer.error is not None:
            self._settle_failed(answer, answer.error, now)
            return
        if len(results) != len(batch.entries):
            self._retry_all(answer, _ANSWER_MISMATCH, now, uncertain=True)
            return
        shard_ids, numbers, codes = zip(*results, strict=True)
        attempts = list(islice(batch.attempts(), len(results)))
        if not any(codes):
            self._accept(AcceptedBatch(batch.entries, shard_ids, numbers, attempts))
            return
        taken = [not code for code in codes]
        columns = (batch.entries, shard_ids, numbers, attempts)
        self._accept(AcceptedBatch(*(list(compress(column, taken)) for column in columns)))
        rows = zip(batch.entries, attempts, codes, strict=True)
        failed = [Again(entry, tried, code) for entry, tried, code in rows if code]
        self._slow_down([item.entry for item in failed if item.code == _THROTTLED], answer.sent_at, now)
        self._retry(failed, now)

    def _settle_failed(self, answer: Answer, error: Exception, now: float) -> None:
        """A request that failed as a whole."""
        failed = failure(error)
        if failed.action == "split" and len(answer.batch.entries) > 1 and self._stopped == "end":
            self._outbox.send_halves(answer.batch)
        elif failed.action == "split":
            self._give_up(answer, failed.code)
        elif failed.action == "refused":
            self._stop("refused", failed.code)
            self._give_up(answer, failed.code)
        elif failed.action == "missing" and now - self._started > _JUST_ACTIVE_SECONDS:
            self._stop("stream_gone", failed.code)
            self._give_up(answer, failed.code)
        else:
            self._retry_all(answer, failed.code, now, uncertain=failed.uncertain, throttled=failed.throttled)

    def _give_up(self, answer: Answer, code: str) -> None:
        entries = answer.batch.entries
        self._counts.add_failed(entries, code)
        tries = answer.batch.attempts()
        self._reject([Again(entry, tried, code) for entry, tried in zip(entries, tries, strict=False)])

    def _retry_all(self, answer: Answer, code: str, now: float, *, uncertain: bool, throttled: bool = False) -> None:
        entries = answer.batch.entries
        if uncertain:
            self._counts.uncertain += self._counts.entries_in(entries)
        rows = zip(entries, answer.batch.attempts(), repeat(code), strict=False)
        failed = [Again(*row) for row in rows]
        if throttled:
            self._slow_down(entries, answer.sent_at, now)
        self._retry(failed, now)

    def _slow_down(self, throttled: Sequence[Entry], sent_at: float, now: float) -> None:
        self._counts.add_throttled(throttled, [self._shard_of(entry) for entry in throttled])
        for entry in throttled:
            self._outbox.throttled(entry, sent_at, now)

    def _retry(self, failed: list[Again], now: float) -> None:
        """Put off entries whose try failed; reject those that had their last."""
        self._counts.add_failed([item.entry for item in failed], [item.code for item in failed])
        again: list[Again] = []
        over: list[Again] = []
        for item in failed:
            (over if self._stopped != "end" or item.tried >= self._max_attempts else again).append(item)
        if again:
            tried = max(item.tried for item in again)
            most = min(_BACKOFF_MOST_SECONDS, _BACKOFF_SECONDS * 2.0 ** (tried - 1))
            self._retry_number += 1
            heappush(self._retries, (now + self._rng.uniform(0.5, 1.0) * most, self._retry_number, again))
        self._reject(over)

    # Reports

    def _accept(self, accepted: AcceptedBatch) -> None:
        if not accepted:
            return
        self._counts.add_accepted(accepted.entries, accepted.shard_ids)
        if self._order is not None:
            released = [entry for entry in map(self._order.accepted, accepted.entries) if entry is not None]
            self._outbox.add(released, self._monotonic())
        if self._packer is None:
            self._report(accepted, _data_bytes(accepted.entries))
            return
        for entry, shard_id, number, attempts in accepted:
            entries = members(entry)
            count = len(entries)
            batch = AcceptedBatch(entries, [shard_id] * count, [number] * count, [attempts] * count)
            self._report(batch, member_bytes(entry))

    def _report(self, accepted: AcceptedBatch, data_bytes: int) -> None:
        self._unsettled -= len(accepted)
        self._unsettled_bytes -= data_bytes
        self._on_accepted(accepted)

    def _reject(self, items: list[Again]) -> None:
        """Report entries as given up, and, in ordered mode, the held ones behind them."""
        if self._order is not None:
            behind = [held for item in items if item.code != _PREDECESSOR for held in self._order.rejected(item.entry)]
            items = items + [Again(entry, 0, _PREDECESSOR) for entry in behind]
        if not items:
            return
        self._counts.add_failed([item.entry for item in items if item.code == _PREDECESSOR], _PREDECESSOR)
        rejected = [Rejected(entry, item.code, item.tried) for item in items for entry in members(item.entry)]
        self._counts.rejected += len(rejected)
        self._unsettled -= len(rejected)
        self._unsettled_bytes -= _data_bytes([report.entry for report in rejected])
        self._on_rejected(rejected)

    def _stop(self, why: Stopped, code: str) -> None:
        """Pull and send nothing more: reject what is not under way. Only the first reason counts."""
        if self._stopped != "end":
            return
        self._stopped = why
        unsent = self._outbox.empty()
        for _, _, items in self._retries:
            unsent += items
        self._retries.clear()
        held = self._order.release_all() if self._order is not None else []
        packed = self._packer.flush() if self._packer is not None else []
        unsent += [Again(entry, 0, "") for entry in (*held, *packed)]
        self._counts.add_failed([item.entry for item in unsent if not item.code], code)
        self._reject([item if item.code else item._replace(code=code) for item in unsent])
