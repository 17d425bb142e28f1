"""The efficient rule in integers: arithmetic, bytes, hash, bounds, the contract, and the audit."""

import dataclasses
import itertools
import json
import re
from fractions import Fraction

import numpy as np
import pytest
from eth_abi import encode as abi_encode
from hypothesis import given
from hypothesis import strategies as st
from tests.settlement.consortia import (
    ZERO,
    account,
    accounts,
    agreement,
    annex,
    below,
    consortium,
    cut,
    efficient,
    example,
    full,
    organization,
)
from tests.support import examples, random_profile, seeds

from tradefl.design import design
from tradefl.errors import InputError
from tradefl.game import EfficientRule, Schedule
from tradefl.negotiation.in_process import negotiate
from tradefl.negotiation.knowledge import known_game, private_figures
from tradefl.settlement import Agreement, arithmetic, quantization_bounds, wei_statement
from tradefl.settlement.accounts import embedded
from tradefl.settlement.audit import audit
from tradefl.settlement.contract import deployment
from tradefl.settlement.ethereum import keccak
from tradefl.settlement.published import drafted
from tradefl.settlement.rules import EfficientTerms, Published, Report

PPB = 10**9
MOST = 2**95 - 1
SILENT = Report(data_ppb=0, cpu_hz=0)
wei = st.integers(-MOST, MOST) | st.sampled_from([-MOST, -1, 0, 1, MOST])


# --- agreements of the efficient rule -------------------------------------------------------------


def schedule(rng, most=MOST):
    """Return breakpoints of any number and magnitude, as far as the contract takes them."""
    inner = sorted({1 + below(rng, PPB - 1) for _ in range(int(rng.integers(0, 31)))})
    shares = [0, *inner, PPB]
    scale = 1 + below(rng, most)
    values = sorted(below(rng, 2 * scale + 1) - scale for _ in shares)
    return tuple(zip(shares, values, strict=True))


def efficient_agreement(rng, size, **terms):
    pairs = size * (size - 1) // 2
    rule = EfficientTerms(
        schedules=tuple(schedule(rng) for _ in range(size)),
        constants=tuple(
            [0, MOST, -MOST, below(rng, 2 * MOST) - MOST, below(rng, 10**18)][int(rng.integers(5))]
            for _ in range(pairs)
        ),
    )
    names = [f"o{i}" for i in range(1, size + 1)]
    levels = [sorted({int(f) for f in rng.integers(1, 10**10, 3)}) for _ in range(size)]
    base = agreement([1 + below(rng, 2**63) for _ in range(size)], levels, [0] * pairs)
    return dataclasses.replace(base, rule=rule, annex=annex(names, "efficient"), **terms)


def random_reports(rng, agreed):
    return [
        SILENT
        if rng.random() < 0.2
        else Report(data_ppb=int(rng.integers(agreed.min_data_ppb, PPB + 1)), cpu_hz=levels[0])
        for levels in agreed.cpu_levels_hz
    ]


def value(points, d):
    """Return the value of a schedule at a share, in fractions, rounded down: written again."""
    for (left, low), (right, high) in itertools.pairwise(points):
        if left <= d <= right:
            exact = low + Fraction(high - low) * (d - left) / (right - left)
            return exact.numerator // exact.denominator
    raise AssertionError(d)


def judged(agreed, reports):
    """Return every R, wei: each pair from both of its sides."""
    rule, n = efficient(agreed), len(agreed)
    phi = [
        value(points, report.data_ppb)
        for points, report in zip(rule.schedules, reports, strict=True)
    ]
    magnitudes = full(rule.constants, n)
    return [
        sum(
            cut(phi[i] - phi[j], n - 1) + (magnitudes[i][j] if i < j else -magnitudes[i][j])
            for j in range(n)
            if j != i
        )
        for i in range(n)
    ]


# --- the arithmetic -------------------------------------------------------------------------------


def test_a_value_by_hand():
    points = ((0, -10), (4, 0), (PPB, 999_999_996))
    assert [arithmetic.value_at(points, d) for d in range(6)] == [-10, -8, -5, -3, 0, 1]
    assert arithmetic.value_at(points, PPB - 1) == 999_999_995
    assert arithmetic.value_at(points, PPB) == 999_999_996


def test_a_payment_by_hand():
    assert arithmetic.efficient_compensation(3, 10, 1, 0) == 3
    assert arithmetic.efficient_compensation(3, 1, 10, -5) == -8
    assert arithmetic.efficient_compensation(4, 7, 0, 0) == 1
    assert arithmetic.efficient_compensation(4, 0, 7, 0) == -1


@examples(300)
@given(seeds(), st.integers(0, PPB))
def test_a_value_is_the_quotient_rounded_down(seed, d):
    points = schedule(np.random.default_rng(seed))
    assert arithmetic.is_schedule(points)
    assert arithmetic.value_at(points, d) == value(points, d)
    assert points[0][1] <= arithmetic.value_at(points, d) <= points[-1][1]
    assert arithmetic.value_at(points, max(d - 1, 0)) <= arithmetic.value_at(points, d)


@pytest.mark.parametrize(
    "points",
    [
        ((0, 0),),
        ((1, 0), (PPB, 0)),
        ((0, 0), (PPB - 1, 0)),
        ((0, 0), (5, 0), (5, 0), (PPB, 0)),
        ((0, 0), (5, -1), (PPB, 0)),
        ((0, -(2**95)), (PPB, 0)),
        ((0, 0), (PPB, 2**95)),
        (*((k, 0) for k in range(32)), (PPB, 0)),
    ],
)
def test_what_is_no_schedule(points):
    assert not arithmetic.is_schedule(points)


@examples(200)
@given(st.integers(1, 1023), wei, wei, wei)
def test_what_j_pays_i_is_what_i_receives_from_j(rivals, phi_i, phi_j, k):
    paid = arithmetic.efficient_compensation(rivals, phi_i, phi_j, k)
    assert arithmetic.efficient_compensation(rivals, phi_j, phi_i, -k) == -paid
    assert paid == cut(phi_i - phi_j, rivals) + k


@examples(100)
@given(seeds(), st.integers(2, 8))
def test_redistributions_sum_to_zero_and_bonds_cover_them(seed, size):
    rng = np.random.default_rng(seed)
    agreed = efficient_agreement(rng, size)
    received = agreed.redistribution(reports := random_reports(rng, agreed))
    assert received == judged(agreed, reports)
    assert sum(received) == 0
    assert all(bond + r >= 0 for bond, r in zip(agreed.bonds, received, strict=True))
    assert max(agreed.bonds) <= arithmetic.MAX_DEPOSIT


@examples(60)
@given(seeds(), st.integers(2, 6))
def test_a_bond_is_the_worst_case_to_the_wei(seed, size):
    rng = np.random.default_rng(seed)
    agreed = efficient_agreement(rng, size)
    for i in range(size):
        most = [Report(data_ppb=PPB, cpu_hz=1) for _ in range(size)]
        most[i] = SILENT
        assert agreed.bonds[i] == max(0, -judged(agreed, most)[i])


# --- bytes, hash, documents -----------------------------------------------------------------------


def test_canonical_bytes_by_hand():
    rule = EfficientTerms(
        schedules=(((0, -1), (PPB, 2)), ((0, 0), (5, 1), (PPB, 1))), constants=(-3,)
    )
    agreed = dataclasses.replace(agreement([7, 8], [[1], [2]], [0]), rule=rule)
    (block,) = agreed.organization_blocks
    assert block.hex() == (
        "00000000000000000000000000000000a0000000" "0000000000000007" "01" "0000000000000001"
        "02" "00000000" "ffffffffffffffffffffffffffffffff"
        "3b9aca00" "00000000000000000000000000000002"
        "00000000000000000000000000000000a0000001" "0000000000000008" "01" "0000000000000002"
        "03" "00000000" "00000000000000000000000000000000"
        "00000005" "00000000000000000000000000000001"
        "3b9aca00" "00000000000000000000000000000001"
    )  # fmt: skip
    assert agreed.pair_blocks == (bytes.fromhex("fffffffffffffffffffffffffffffffd"),)
    assert agreed.terms[:3] == (2, 0, 0)


def test_the_hash_is_that_of_an_independent_encoder_and_of_no_other_rule():
    agreed = efficient_agreement(np.random.default_rng(1), 30)
    types = [
        "bytes32",
        "(uint16,uint128,uint64,uint32,uint128,address,address,address,uint32,uint32,uint32,uint32,"
        "uint32,uint128,uint32,uint16,uint32,bytes32)",
        "bytes32[]",
        "bytes32[]",
    ]
    blocks = [
        [keccak(block) for block in agreed.organization_blocks],
        [keccak(block) for block in agreed.pair_blocks],
    ]
    encoded = abi_encode(types, [b"efficient".ljust(32, b"\0"), agreed.terms, *blocks])
    assert agreed.hash == "0x" + keccak(encoded).hex()
    assert agreed.hash != "0x" + keccak(abi_encode(types[1:], [agreed.terms, *blocks])).hex()


@pytest.mark.parametrize(
    ("size", "listings", "blocks"), [(12, 1, 1), (41, 2, 1), (91, 3, 1), (92, 3, 2)]
)
def test_blocks_break_where_the_contract_breaks_them(size, listings, blocks):
    agreed = efficient_agreement(np.random.default_rng(size), size)
    assert len(agreed.organization_blocks) == listings
    assert len(agreed.pair_blocks) == blocks
    assert len(agreed.pair_blocks[0]) == 16 * min(size * (size - 1) // 2, 4096)


@examples(15)
@given(seeds(), st.integers(2, 100))
def test_what_a_contract_publishes_is_the_agreement_again(seed, size):
    agreed = efficient_agreement(np.random.default_rng(seed), size)
    listed = []
    for index, points in enumerate(efficient(agreed).schedules):
        shares, values = zip(*points, strict=True)
        listed.append({"index": index, "shares": shares, "values": values})
    events = {"ScheduleListed": listed[::-1]}
    rule = EfficientTerms.published(Published(agreed.terms, agreed.pair_blocks, events))
    members = list(zip(agreed.addresses, agreed.data_bits, agreed.cpu_levels_hz, strict=True))
    again = Agreement.decode(agreed.terms, members, rule, agreed.annex)
    assert again == agreed
    assert again.hash == agreed.hash


def test_an_annex_of_another_rule_is_refused():
    agreed = efficient_agreement(np.random.default_rng(2), 3)
    linear = agreement([1, 2, 3], [[1]] * 3, [0] * 3)
    members = list(zip(agreed.addresses, agreed.data_bits, agreed.cpu_levels_hz, strict=True))
    with pytest.raises(ValueError, match="expected the rule linear, got 'efficient'"):
        Agreement.decode(agreed.terms, members, linear.rule, agreed.annex)
    with pytest.raises((ValueError, KeyError)):
        Agreement.decode(agreed.terms, members, agreed.rule, linear.annex)


def test_the_creation_says_whose_contract_it_is():
    rng = np.random.default_rng(3)
    ours = deployment(efficient_agreement(rng, 3).settlement_creation_code)
    theirs = deployment(agreement([1, 2], [[1], [1]], [0]).settlement_creation_code)
    assert (ours.rule, theirs.rule) == ("efficient", "linear")
    assert deployment(b"\x60\x80neither") is None


def test_the_json_of_an_agreement():
    agreed = efficient_agreement(np.random.default_rng(4), 4)
    document = json.loads(json.dumps(agreed.to_dict()))
    assert document["rule"] == "efficient"
    assert not {"gamma", "lambda_ppb", "rho_ppb"} & document.keys()
    rule = efficient(agreed)
    for entry, points in zip(document["organizations"], rule.schedules, strict=True):
        assert [(share, int(whole)) for share, whole in entry["schedule"]] == list(points)
    listed = {(a, b): int(k) for a, b, k in document["constants_wei"]}
    for (i, j), k in zip(arithmetic.pairs(4), rule.constants, strict=True):
        assert listed.get((agreed.names[i], agreed.names[j]), 0) == k


# --- a consortium in integers ---------------------------------------------------------------------


def built(seed=0, size=4, wei_per_payoff=10**15, scale=1.0):
    """Return a consortium under the efficient rule, its figures of many digits."""
    rng = np.random.default_rng(seed)
    schedules = []
    for _ in range(size):
        inner = np.unique(np.round(rng.uniform(0.001, 0.999, int(rng.integers(0, 12))), 9))
        shares = np.array([0.0, *inner, 1.0])
        slopes = np.sort(rng.uniform(0.1, 9.0, shares.size - 1))[::-1]
        values = np.concatenate([[0.0], np.cumsum(slopes * np.diff(shares))])
        schedules.append(Schedule(shares, scale * (values - rng.uniform(0.0, values[-1]))))
    constants = rng.normal(0.0, scale, size)
    extra = ((0, 1, float(rng.normal(0.0, scale))),)
    members = [organization(f"o{i}", address=account(i)) for i in range(size)]
    plain = consortium(
        members, 0.05, settlement={"wei_per_payoff": wei_per_payoff, "join_seconds": 1000}
    )
    return plain.designed(EfficientRule(tuple(schedules), constants, extra))


def test_the_integers_are_those_of_the_rule():
    one = built()
    agreed, rule = Agreement.of(one), one.game.rule
    terms = efficient(agreed)
    for mine, points in zip(rule.schedules, terms.schedules, strict=True):
        assert [share for share, _ in points] == [round(b * PPB) for b in mine.shares]
        assert [whole for _, whole in points] == [
            round(Fraction(repr(v)) * 10**15) for v in mine.values.tolist()
        ]
    for (i, j), whole in zip(arithmetic.pairs(4), terms.constants, strict=True):
        assert whole == round(Fraction(repr(rule.constant(i, j))) * 10**15)
    assert terms.constant(4, 1, 0) == -terms.constant(4, 0, 1)
    assert json.loads(agreed.annex)["rule"] == "efficient"


def test_what_does_not_fit_is_told():
    with pytest.raises(InputError, match=r"2\^95.*a smaller settlement.wei_per_payoff helps"):
        Agreement.of(built(wei_per_payoff=10**30))
    with pytest.raises(InputError, match=r"a larger settlement\.wei_per_payoff helps"):
        Agreement.of(built(wei_per_payoff=1))


@examples(150)
@given(seeds(), seeds(), st.integers(9, 24))
def test_the_integers_stay_within_the_bound(seed, profile_seed, digits):
    one = built(seed, wei_per_payoff=10**digits)
    agreed, rule = Agreement.of(one), one.game.rule
    profile = random_profile(one.game, profile_seed)
    received = agreed.redistribution(agreed.reports(profile))
    for i, bound in enumerate(quantization_bounds(one, agreed)):
        real = rule.received(one.game, profile, i)[1].tolist()
        exact = sum(map(Fraction, real)) * agreed.wei_per_payoff
        assert abs(received[i] - exact) <= bound


def test_the_bound_is_of_the_size_of_the_worst_difference():
    one = built(1, wei_per_payoff=10**9)
    agreed, rule = Agreement.of(one), one.game.rule
    bounds, share = quantization_bounds(one, agreed), 0.0
    for seed in range(60):
        profile = random_profile(one.game, seed)
        received = agreed.redistribution(agreed.reports(profile))
        for i, bound in enumerate(bounds):
            exact = sum(map(Fraction, rule.received(one.game, profile, i)[1].tolist())) * 10**9
            share = max(share, float(abs(received[i] - exact)) / bound)
    assert share > 0.1


def test_the_statement_in_wei():
    one = built(2)
    agreed = Agreement.of(one)
    profile = random_profile(one.game, 2)
    reports = [SILENT, *agreed.reports(profile)[1:]]
    expected = judged(agreed, reports)
    for i in range(4):
        statement = wei_statement(agreed, reports, i, expected[i] / 10**15, 10)
        assert statement.redistribution_wei == expected[i]
        assert len(statement.lines) == 3
        for line in statement.lines:
            phi_i, phi_j, k = (line.inputs[key] for key in ("phi_i", "phi_j", "constant_wei"))
            assert line.wei == cut(phi_i - phi_j, 3) + k
            assert line.calculation == f"({phi_i} - {phi_j}) / 3 + {k}"
        document = json.loads(json.dumps(statement.to_dict()))
        assert document["rule"] == "efficient"
        assert document["schedule_wei"] == str(statement.score)
        text = str(statement)
        assert text.count("Eq. (9e)") == 3
        assert f"= {statement.score} wei" in text


# --- on the chain ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_contract_and_arithmetic_agree_to_the_wei(seed):
    one = built(seed, size=5)
    parties = embedded(one)
    agreed = parties.agreement
    rng = np.random.default_rng(seed)
    reports = random_reports(rng, agreed)
    settlement = parties.settlement(dict(zip(agreed.addresses, reports, strict=True)))
    state = settlement.run(operator=parties.operator)
    expected = judged(agreed, reports)
    assert [place.redistribution for place in state.places] == expected
    assert [place.bond for place in state.places] == list(agreed.bonds)
    assert [place.score for place in state.places] == [
        value(points, report.data_ppb)
        for points, report in zip(efficient(agreed).schedules, reports, strict=True)
    ]
    assert parties.chain.balance(agreed.vault) == 0
    _, deployed = drafted(parties.chain, settlement.contract)
    assert deployed.rule == "efficient"
    verdict = audit(parties.chain, settlement.contract, parties.consortium)
    assert verdict.agrees, verdict.differences
    assert list(verdict.redistribution) == expected
    assert verdict.agreement == agreed

    other = dataclasses.replace(
        parties.consortium,
        mechanism=parties.consortium.mechanism.model_copy(update={"rule": "linear"}),
    )
    places = [
        str(difference)
        for difference in audit(parties.chain, settlement.contract, other).differences
    ]
    assert any("rule: expected linear, the chain has efficient" in place for place in places)


def test_an_audit_names_the_schedule_and_the_constant_that_differ():
    one = built(4, size=3)
    parties = embedded(one)
    settlement = parties.settlement(dict.fromkeys(parties.agreement.addresses, SILENT))
    settlement.run(operator=parties.operator)
    rule = parties.consortium.game.rule
    first, second = rule.schedules[:2]
    lower = second.values - 1e-9 * (np.arange(len(second.values)) == 0)
    changed = EfficientRule(
        (
            Schedule(first.shares, first.values - 1e-9),
            Schedule(second.shares, lower),
            *rule.schedules[2:],
        ),
        rule.constants,
        ((0, 1, rule.extra[0][2] + 1e-6),),
    )
    other = parties.consortium.designed(changed)
    found = audit(parties.chain, settlement.contract, other).differences
    places = [log_.place for log_ in found]
    assert any(place.endswith("o0: schedule") for place in places)
    # Of two schedules that differ in one breakpoint no more is told than that one.
    (told,) = [log_ for log_ in found if log_.place.endswith("o1: schedule")]
    for text in (told.expected, told.found):
        assert re.fullmatch(r"-[\d,]+ wei at 0 ppb", text)
    assert told.expected != told.found
    assert any(place.endswith("constant_wei of o0 and o1") for place in places)
    assert not any(place.endswith("constant_wei of o0 and o2") for place in places)


# --- the game as one knows it ---------------------------------------------------------------------


def test_an_agent_knows_the_rule_from_the_agreement_alone():
    loaded = example("drug_discovery")
    designed = loaded.designed(design(loaded.game).rule)
    agreed = Agreement.of(designed, accounts(len(designed)))
    assert agreed.verifier == ZERO
    profile = random_profile(designed.game, 5)
    for i in (0, 7):
        known = known_game(agreed, private_figures(designed, i))
        mine = designed.game.rule.received(designed.game, profile, i)[1].sum()
        theirs = known.rule.received(known, profile, i)[1].sum()
        assert theirs == pytest.approx(mine, abs=1e-12)


def test_agents_who_know_the_agreement_and_their_own_figures_reach_what_was_designed():
    loaded = example("drug_discovery")
    made = design(loaded.game)
    designed = loaded.designed(made.rule)
    agreed = Agreement.of(designed, accounts(len(designed)))
    standing, _ = negotiate(designed, agreed)
    shares = [round(d * PPB) for d in made.agreed.profile.data_fraction.tolist()]
    for report, share in zip(standing.reports, shares, strict=True):
        assert abs(report.data_ppb - share) <= 1
