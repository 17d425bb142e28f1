"""Stakes: what disputes move, by hand, conserved, and as the contract has it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.consortium.documents import document, save

import tradefl
from tradefl.settlement.accounts import embedded
from tradefl.settlement.audit import audit
from tradefl.settlement.rules import Report
from tradefl.settlement.stakes import Ruling, Stakes

SILENT = Report(data_ppb=0, cpu_hz=0)
HALF = Report(data_ppb=500_000_000, cpu_hz=10**9)
ALL = Report(data_ppb=10**9, cpu_hz=10**9)


def ruling(before, after, *, disputer=0, accused=1):
    """Return a ruling where the score is the share of data."""
    return Ruling(disputer, accused, before, after, before.data_ppb, after.data_ppb)


@pytest.mark.parametrize(
    ("case", "moved", "forfeit"),
    [
        (ruling(ALL, HALF), [100, -100, 0], 100),  # the score falls: the accused
        (ruling(ALL, SILENT), [100, -100, 0], 100),  # struck
        (ruling(HALF, HALF), [-100, 100, 0], 100),  # upheld: the disputer
        (ruling(HALF, ALL), [0, 0, 0], 0),  # the score rises: nobody
        (ruling(SILENT, HALF, accused=0), [0, 0, 0], 0),  # its own silence, made good
        (ruling(SILENT, SILENT, accused=0), [-100, 50, 50], 100),  # its own silence, confirmed
    ],
)
def test_who_forfeits(case, moved, forfeit):
    stakes = Stakes(100, [100, 100, 100])
    assert stakes.settle(case) == forfeit
    assert stakes.moved == moved


def test_an_equal_share_is_rounded_down_and_the_rest_stays_with_the_loser():
    stakes = Stakes(101, [101, 101, 101])
    assert stakes.settle(ruling(SILENT, SILENT, accused=0)) == 100
    assert stakes.moved == [-100, 50, 50]


def test_a_loser_forfeits_no_more_than_it_has_above_its_bond():
    stakes = Stakes(100, [250, 30, 0])
    assert stakes.settle(ruling(ALL, HALF)) == 30
    assert stakes.settle(ruling(ALL, HALF)) == 0
    assert stakes.moved == [30, -30, 0]


@given(
    st.integers(0, 10**20),
    st.lists(st.integers(0, 10**20), min_size=2, max_size=6),
    st.data(),
)
def test_stakes_are_conserved_and_never_touch_a_bond(stake, free, data):
    stakes = Stakes(stake, free)
    reports = st.sampled_from([SILENT, HALF, ALL])
    places = st.integers(0, len(free) - 1)
    for _ in range(data.draw(st.integers(0, 8))):
        disputer, accused = data.draw(places), data.draw(places)
        before = SILENT if disputer == accused else data.draw(reports)
        stakes.settle(ruling(before, data.draw(reports), disputer=disputer, accused=accused))
    assert sum(stakes.moved) == 0
    assert all(-moved <= own for moved, own in zip(stakes.moved, free, strict=True))


STAKE = 10**15


class Stopped(BaseException):
    pass


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A settlement with an arbiter on an embedded chain, in the window to dispute."""

    def make(silent=()):
        folder = tmp_path_factory.mktemp("disputes")
        settings = {"settlement.dispute_stake_wei": STAKE, "settlement.closing_blocks": 2}
        consortium = tradefl.load(save(folder, document(settings)))
        parties = embedded(_with_arbiter(consortium))
        agreement = parties.agreement
        reports = agreement.reports(tradefl.solve(parties.consortium).profile)
        known = {
            account: report
            for account, report in zip(agreement.addresses, reports, strict=True)
            if account not in {agreement.addresses[i] for i in silent}
        }
        settlement = parties.settlement(known)

        def watch(step):
            if step.step.call == "profileRecord":
                raise Stopped

        with pytest.raises(Stopped):
            settlement.run(operator=parties.operator, watch=watch)
        return parties, settlement

    return make


def _with_arbiter(consortium):
    """Return the consortium with the embedded chain's verifier account as its arbiter."""
    import dataclasses

    from tradefl.settlement.chains import EmbeddedChain

    arbiter = EmbeddedChain(len(consortium)).verifier
    section = consortium.settlement.model_copy(update={"arbiter": arbiter})
    return dataclasses.replace(consortium, settlement=section)


CASES = {
    "upheld": (0, 1, lambda report: report, [-STAKE, STAKE, 0]),
    "lowered": (
        0,
        1,
        lambda report: Report(data_ppb=report.data_ppb - 1, cpu_hz=report.cpu_hz),
        [STAKE, -STAKE, 0],
    ),
    "struck": (2, 1, lambda _: SILENT, [0, -STAKE, STAKE]),
}


@pytest.mark.parametrize("case", CASES)
def test_the_contract_moves_the_stakes_that_the_audit_recomputes(recorded, case):
    disputer, accused, ruled, moved = CASES[case]
    parties, settlement = recorded()
    agreement = parties.agreement
    who = agreement.addresses
    settlement.call(who[disputer], "disputeRaise", who[accused])
    _rule(parties, settlement, accused, ruled(settlement.state().places[accused].report))
    state = settlement.run(operator=parties.operator)
    assert [place.stakes for place in state.places] == moved
    _agrees(parties, settlement)


@pytest.mark.parametrize(
    ("ruled", "moved"), [(SILENT, [-STAKE, STAKE // 2, STAKE // 2]), (ALL, [0, 0, 0])]
)
def test_an_organization_disputes_its_own_silence(recorded, ruled, moved):
    parties, settlement = recorded(silent=[0])
    me = parties.agreement.addresses[0]
    settlement.call(me, "disputeRaise", me)
    levels = parties.agreement.cpu_levels_hz[0]
    if not ruled.silent:
        ruled = Report(data_ppb=10**9, cpu_hz=levels[-1])
    _rule(parties, settlement, 0, ruled)
    state = settlement.run(operator=parties.operator)
    assert [place.stakes for place in state.places] == moved
    _agrees(parties, settlement)


def test_without_a_ruling_every_stake_returns(recorded):
    parties, settlement = recorded()
    who = parties.agreement.addresses
    settlement.call(who[0], "disputeRaise", who[1])
    state = settlement.run(operator=parties.operator)
    assert state.phase.name == "SETTLED"
    assert [place.stakes for place in state.places] == [0, 0, 0]
    _agrees(parties, settlement)


def _rule(parties, settlement, accused, report):
    """Close the window to dispute and let the arbiter rule."""
    chain = parties.chain
    chain.pass_time(settlement.state().dispute_deadline)
    settlement.call(parties.operator, "windowClose")
    chain.mine(parties.agreement.closing_blocks, parties.operator)
    account = parties.agreement.addresses[accused]
    settlement.call(parties.agreement.arbiter, "rule", account, report.data_ppb, report.cpu_hz)


def _agrees(parties, settlement):
    verdict = audit(parties.chain, settlement.contract, parties.consortium)
    assert verdict.agrees, [str(difference) for difference in verdict.differences]
    assert verdict.stakes == tuple(place.stakes for place in settlement.state().places)
