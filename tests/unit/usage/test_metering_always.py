"""Whatever happens in whatever order, counters say what records and reservations say, and no cap is passed."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from tests.unit.usage.metered import EVERYBODY, PICO, World, cap
from weir.llm.models import Bound, Tokens
from weir.usage.caps import CapExceeded
from weir.usage.counters import CLOSED_KEPT_SECONDS, Place
from weir.usage.expiring import amount_of
from weir.usage.metering import Admission, Outcome
from weir.usage.models import Caller, Subject
from weir.usage.windows import MEASURES, buckets

USERS = ("ann", "bob")
LIMITS = {"requests": 12, "tokens": 900, "cost": PICO // 100}
PLACES = [*(Place(Subject("user", one)) for one in USERS), Place(EVERYBODY)]


class Metering(RuleBasedStateMachine):
    """Two users, a cap on each measure for everyone, and calls that end well, badly, twice, late or never."""

    under_way: Bundle[Admission] = Bundle("under_way")
    ended: Bundle[Admission] = Bundle("ended")

    def __init__(self) -> None:
        super().__init__()
        self.world = World(*(cap(limit, name, subject=EVERYBODY) for name, limit in LIMITS.items()))  # type: ignore[arg-type]
        self.back_from_the_dead = False

    @rule(target=under_way, user=st.sampled_from(USERS), tokens=st.integers(1, 200), output=st.integers(1, 100))
    def admit(self, user: str, tokens: int, output: int) -> object:
        bound = Bound(tokens, output, tokens // 4, output // 2, "")
        try:
            return self.world.admit(Caller(user, user), bound)
        except CapExceeded:
            return None

    @rule(target=ended, admission=consumes(under_way), part=st.floats(0, 1), is_cut=st.booleans())
    def settle(self, admission: Admission | None, part: float, is_cut: bool) -> object:
        # (who was taken for dead an hour ago, and lives, is not corrected any more: no function runs for so long)
        if admission is None or self._is_forgotten(admission):
            return None
        bound = admission.call.bound
        assert bound.output is not None
        tokens = Tokens(int(bound.input * part), int(bound.output * part), estimated=is_cut)
        self.back_from_the_dead |= self._written(admission)
        self.world.meter.settle(admission, Outcome(200, tokens, cut=is_cut))
        return admission

    @rule(admission=ended)
    def settle_again(self, admission: Admission | None) -> None:
        if admission is not None:
            self.world.meter.settle(admission, Outcome(200, Tokens(1, 1)))

    @rule(admission=consumes(under_way))
    def die(self, admission: Admission | None) -> None:
        pass

    @rule(admission=consumes(under_way))
    def die_after_the_record(self, admission: Admission | None) -> None:
        # (who was taken for dead, and dies amid the correction, leaves the counters uncorrected: that is not held)
        if admission is not None and not self._written(admission):
            self.world.recorder.write(self.world.meter._record(admission, Outcome(200, Tokens(1, 1))))

    @rule(seconds=st.sampled_from([1, 45, 95, 1800]))
    def time_passes(self, seconds: int) -> None:
        self.world.time.pass_by(seconds)

    @rule(place=st.sampled_from(PLACES))
    def expire(self, place: Place) -> None:
        self.world.meter.expire([place])

    @invariant()
    def no_cap_is_passed(self) -> None:
        # Who was taken for dead, and then tells what they used, may: it is used already
        if not self.back_from_the_dead:
            count = self.world.count(EVERYBODY)
            for bucket in buckets(self.world.clock.now()).values():
                if bucket.startswith("d"):
                    assert all(count.used(bucket, one) <= LIMITS[one] for one in MEASURES)

    @invariant()
    def what_is_counted_for_a_user_is_written_down_or_set_aside(self) -> None:
        for user in USERS:
            count = self.world.count(Subject("user", user))
            written = {one.record_id: one for one in self.world.records() if one.caller.user == user}
            open_ = {one.reservation_id for one in count.reservations.values() if not one.closed}
            for measure in MEASURES:
                told = sum(getattr(amount_of(one), measure) for key, one in written.items() if key not in open_)
                assert count.used("m202611", measure) == told + count.reserved("m202611", measure)

    def _is_forgotten(self, admission: Admission) -> bool:
        deadline = max(one.reservation.deadline for one in admission.held)
        return self.world.clock.epoch() >= deadline + CLOSED_KEPT_SECONDS

    def _written(self, admission: Admission) -> bool:
        user = admission.call.caller.user
        return self.world.recorder.get(user, admission.admitted_at, admission.admission_id) is not None

    def teardown(self) -> None:
        # When all that is under way is past its deadline / Then nothing is set aside, and all counters agree
        self.world.time.pass_by(100)
        self.world.meter.expire(PLACES)
        counts = [self.world.counters.read([one])[0] for one in PLACES]
        assert not [one for count in counts for one in count.reservations.values() if not one.closed]
        for measure in MEASURES:
            told = sum(getattr(amount_of(one), measure) for one in self.world.records())
            *users, everyone = (one.used("m202611", measure) for one in counts)
            assert sum(users) == everyone == told


TestMetering = Metering.TestCase
TestMetering.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
