"""The shipped contract on an EVM that is not the embedded chain's: the mirror to the wei."""

import numpy as np
import pyrevm
import pytest
from tests.settlement.consortia import (
    MOST,
    account,
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

from tradefl.settlement import Agreement, Report
from tradefl.settlement.contract import Phase, creation_code, decoded_result, encoded_call
from tradefl.settlement.stand_ins import stand_in

START = 1_700_000_000
STRANGER = account(99_999)
# 50 agreements of 2 to 8 organizations, 200 profiles each.
BATCHES, AGREEMENTS, PROFILES = 10, 5, 200


class Revm:
    """A contract on revm, from its deployment to Open, and any number of ways on from there."""

    def __init__(self, agreed: Agreement, excess: int = 0) -> None:
        self.agreed, self.evm = agreed, pyrevm.EVM(gas_limit=30_000_000)
        self.deposits = [min(bond + excess, MOST) for bond in agreed.bonds]
        for who in agreed.addresses:
            self.evm.set_balance(who, MOST)
        self.time(START)
        self.contract = self.evm.deploy(STRANGER, creation_code(agreed))
        self("annexPublish", agreed.annex)
        for k, block in enumerate(agreed.organization_blocks):
            self("organizationsPublish", k, block)
        for k, block in enumerate(agreed.pair_blocks):
            self("pairsPublish", k, block)
        self.bonds = [self.view("organization", i)["bond"] for i in range(len(agreed))]
        hash_ = bytes.fromhex(agreed.hash[2:])
        for who, deposit in zip(agreed.addresses, self.deposits, strict=True):
            self("depositSubmit", hash_, sender=who, value=deposit)
        assert self.view("phase") == Phase.OPEN
        assert self.view("agreementHash") == hash_

    def __call__(self, name, *arguments, sender=STRANGER, value=0):
        call = encoded_call(name, *arguments)
        return bytes(self.evm.message_call(sender, self.contract, call, value=value))

    def view(self, name, *arguments):
        return decoded_result(name, self(name, *arguments))

    def time(self, now):
        block = pyrevm.BlockEnv(number=1, timestamp=now, gas_limit=30_000_000)
        self.evm.set_block_env(block)

    def settle(self, reports):
        """Return what the contract knows of everybody at the end, and what each was paid."""
        agreed = self.agreed
        before = self.evm.snapshot()
        for who, report in zip(agreed.addresses, reports, strict=True):
            if not report.silent:
                call = ("contributionSubmit", report.data_ppb, report.cpu_hz, bytes(32), b"")
                self(*call, sender=who)
        self.time(START + agreed.report_seconds + 1)
        self("profileRecord")
        for k, block in enumerate(agreed.pair_blocks):
            self("payoffCalculate", k, block)
        self("payoffTransfer")
        places = [self.view("organization", i) for i in range(len(agreed))]
        paid = []
        for who in agreed.addresses:
            had = self.evm.get_balance(who)
            self("withdraw", sender=who)
            paid.append(self.evm.get_balance(who) - had)
        assert self.evm.get_balance(self.contract) == 0
        self.evm.revert(before)
        self.time(START)
        return places, paid


def assert_settles(chain, reports):
    """Hold the contract, the mirror and the judge to each other; return R."""
    agreed = chain.agreed
    places, paid = chain.settle(reports)
    expected = judged(agreed, reports)
    assert agreed.redistribution(reports) == expected
    assert [place["redistribution"] for place in places] == expected
    assert [place["score"] for place in places] == contributions(agreed, reports)
    assert paid == [a + wei for a, wei in zip(chain.deposits, expected, strict=True)]
    return expected


@pytest.mark.parametrize("batch", range(BATCHES))
def test_contract_mirror_and_judge_agree_to_the_wei(batch):
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
    gammas = [one.rule.gamma for one in drawn]
    assert max(gammas) == 2**128 - 1
    assert min(gammas) == 0
    assert any(max(one.bonds) > MOST - 10**6 for one in drawn)
    assert all(max(one.bonds) <= MOST for one in drawn)
    assert any(max(one.caps) > 2**95 for one in drawn)
    rho = {rho for one in drawn for rho in one.rule.rho_ppb}
    assert {0, 1, 10**9} <= rho
    reports = [random_reports(rng, one) for one in drawn]
    received = [wei for a, b in zip(drawn, reports, strict=True) for wei in judged(a, b)]
    assert any(wei > 2**100 for wei in received)
    assert sum(0 < abs(wei) < 1000 for wei in received) > 10


@pytest.mark.parametrize(("size", "listings", "blocks"), [(60, 2, 1), (130, 4, 2)])
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
    from tradefl.settlement.settle import Settlement, deploy

    consortium = example("banks_fraud")
    agreed = Agreement.of(consortium, [stand_in(i) for i in range(len(consortium))])
    reports = random_reports(np.random.default_rng(4), agreed)
    assert 0 < sum(report.silent for report in reports) < len(agreed)
    received = assert_settles(Revm(agreed), reports)

    chain = EmbeddedChain(len(agreed))
    contract = deploy(chain, agreed, chain.operator).contract
    reported = dict(zip(agreed.addresses, reports, strict=True))
    Settlement(chain, agreed, contract, reported).run(operator=chain.operator)
    places = [chain.read(contract, "organization", i) for i in range(len(agreed))]
    assert [place["redistribution"] for place in places] == received
    assert [place["bond"] for place in places] == judged_bonds(agreed)
    assert all(place["withdrawn"] for place in places)
    assert chain.balance(contract) == 0


def test_the_judge_cuts_toward_zero():
    agreed = agreement([10, 10], [[1], [1]], [10**9], gamma=10**17, lambda_ppb=0)
    ten, five = Report(data_ppb=10**9, cpu_hz=1), Report(data_ppb=5 * 10**8 - 10**8, cpu_hz=1)
    # 10^17 * 10^9 * (10 - 4) 10^9 / 10^36 = 0.6 wei
    assert judged(agreed, [ten, five]) == [0, 0]
    assert full([1, 2, 3], 3) == [[0, 1, 2], [1, 0, 3], [2, 3, 0]]
    assert len(set(accounts(200))) == 200
