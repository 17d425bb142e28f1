"""The shipped contract on an EVM that is not the embedded chain's: the arithmetic to the wei."""

import numpy as np
import pytest
from tests.settlement.consortia import (
    MOST,
    accounts,
    agreement,
    contributions,
    example,
    full,
    judged,
    judged_bonds,
    random_agreement,
    random_reports,
)
from tests.settlement.revm import Revm

from tradefl.settlement import Agreement, Report
from tradefl.settlement.stand_ins import stand_in

# 50 agreements of 2 to 8 organizations, 200 profiles each.
BATCHES, AGREEMENTS, PROFILES = 10, 5, 200


def assert_settles(chain, reports):
    """Hold the contract, the Python arithmetic and the judge to each other; return R."""
    agreed = chain.agreed
    places, paid = chain.settle(reports)
    expected = judged(agreed, reports)
    assert agreed.redistribution(reports) == expected
    assert [place["redistribution"] for place in places] == expected
    assert [place["score"] for place in places] == contributions(agreed, reports)
    assert paid == [a + wei for a, wei in zip(chain.deposits, expected, strict=True)]
    return expected


@pytest.mark.parametrize("batch", range(BATCHES))
def test_contract_arithmetic_and_judge_agree_to_the_wei(batch):
    rng = np.random.default_rng([1, batch])
    for _ in range(AGREEMENTS):
        agreed = random_agreement(rng, int(rng.integers(2, 9)))
        chain = Revm(agreed, excess=int(rng.choice([0, 0, 1, 10**18])))
        assert chain.bonds == judged_bonds(agreed)
        assert list(agreed.bonds) == chain.bonds
        caps = [chain.view("organization", i)["cap"] for i in range(len(agreed))]
        assert caps == list(agreed.caps)
        silence = float(rng.choice([0.0, 0.1, 0.5]))
        for _ in range(PROFILES):
            assert_settles(chain, random_reports(rng, agreed, silence))


def test_the_random_agreements_are_worth_the_trouble():
    rng = np.random.default_rng(2)
    drawn = [random_agreement(rng, int(rng.integers(2, 9))) for _ in range(300)]
    gammas = [column.rule.gamma for column in drawn]
    assert max(gammas) == 2**128 - 1
    assert min(gammas) == 0
    assert any(max(column.bonds) > MOST - 10**6 for column in drawn)
    assert all(max(column.bonds) <= MOST for column in drawn)
    assert any(max(column.caps) > 2**95 for column in drawn)
    rho = {rho for column in drawn for rho in column.rule.rho_ppb}
    assert {0, 1, 10**9} <= rho
    reports = [random_reports(rng, column) for column in drawn]
    received = [wei for a, b in zip(drawn, reports, strict=True) for wei in judged(a, b)]
    assert any(wei > 2**100 for wei in received)
    assert sum(0 < abs(wei) < 1000 for wei in received) > 10


@pytest.mark.parametrize(("size", "listings", "blocks"), [(60, 2, 1), (130, 4, 3)])
def test_several_blocks(size, listings, blocks):
    rng = np.random.default_rng([3, size])
    agreed = random_agreement(rng, size)
    assert len(agreed.organization_blocks) == listings
    assert len(agreed.pair_blocks) == blocks
    chain = Revm(agreed)
    assert chain.bonds == judged_bonds(agreed) == list(agreed.bonds)
    for silence in (0.0, 0.3, 1.0):
        received = assert_settles(chain, random_reports(rng, agreed, silence))
        assert any(received) == (silence < 1.0)


def test_the_worst_case_takes_the_whole_bond_and_no_more():
    # Whole quotients: everybody else gives all, the first is silent.
    s, levels = [10**9] * 4, [[10**9]] * 4
    agreed = agreement(s, levels, [10**9] * 6, gamma=10**18, lambda_ppb=10**9)
    chain = Revm(agreed)
    reports = [Report(data_ppb=0, cpu_hz=0)] + [Report(data_ppb=10**9, cpu_hz=10**9)] * 3
    received = assert_settles(chain, reports)
    assert received == [-3 * 2 * 10**9] + [2 * 10**9] * 3
    assert received[0] == -chain.bonds[0]


def test_the_largest_bond_that_the_contract_takes():
    # Two organizations; the weight is 10^9 * 2 * 10^18, so gamma = MOST * 10^36 / weight.
    terms = {"lambda_ppb": 10**9, "gamma": 2**128 - 1}
    largest = agreement([2**64 - 1] * 2, [[2**64 - 1]] * 2, [10**7], **terms)
    assert max(largest.bonds) > MOST
    gamma = MOST * 10**36 // (10**7 * largest.caps[0])
    largest = agreement([2**64 - 1] * 2, [[2**64 - 1]] * 2, [10**7], **(terms | {"gamma": gamma}))
    assert MOST - 1 <= max(largest.bonds) <= MOST
    chain = Revm(largest)
    silent, all_in = Report(data_ppb=0, cpu_hz=0), Report(data_ppb=10**9, cpu_hz=2**64 - 1)
    first, second = assert_settles(chain, [silent, all_in])
    assert -chain.bonds[0] <= first == -second <= 1 - chain.bonds[0]


# What web3 imports warns about itself.
@pytest.mark.filterwarnings("ignore:websockets.legacy:DeprecationWarning")
def test_the_embedded_chain_agrees():
    from tradefl.settlement.chains import EmbeddedChain
    from tradefl.settlement.session import established
    from tradefl.settlement.settle import Settlement

    consortium = example("banks_fraud")
    agreed = Agreement.of(consortium, [stand_in(i) for i in range(len(consortium))])
    reports = random_reports(np.random.default_rng(4), agreed)
    assert 0 < sum(report.silent for report in reports) < len(agreed)
    received = assert_settles(Revm(agreed), reports)

    chain = EmbeddedChain(len(agreed))
    contract = established(chain, agreed, chain.operator)
    reported = dict(zip(agreed.addresses, reports, strict=True))
    Settlement(chain, agreed, contract, reported).run(operator=chain.operator)
    places = [chain.read(contract, "organization", i) for i in range(len(agreed))]
    assert [place["redistribution"] for place in places] == received
    assert [place["bond"] for place in places] == judged_bonds(agreed)
    assert all(place["withdrawn"] for place in places)
    assert chain.balance(agreed.vault) == 0


def test_the_judge_cuts_toward_zero():
    agreed = agreement([10, 10], [[1], [1]], [10**9], gamma=10**17, lambda_ppb=0)
    ten, five = Report(data_ppb=10**9, cpu_hz=1), Report(data_ppb=5 * 10**8 - 10**8, cpu_hz=1)
    # 10^17 * 10^9 * (10 - 4) 10^9 / 10^36 = 0.6 wei
    assert judged(agreed, [ten, five]) == [0, 0]
    assert full([1, 2, 3], 3) == [[0, 1, 2], [1, 0, 3], [2, 3, 0]]
    assert len(set(accounts(200))) == 200
