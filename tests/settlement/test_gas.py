"""The model of the gas: above everything that is measured, and not far above where it matters."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from tests.consortium.documents import document, save
from tests.settlement.consortia import accounts, agreement, annex, consortium, organization
from tests.settlement.nodes import node, parties_on, settlement_of, shared_node

from tradefl.errors import InputError
from tradefl.settlement import Agreement, gas
from tradefl.settlement.rules import EfficientTerms

__all__ = ["node", "shared_node"]


def big(size, levels=5, points=0):
    pairs = size * (size - 1) // 2
    agreed = agreement([10**10] * size, [[10**9 + k for k in range(levels)]] * size, [6] * pairs)
    if points:
        schedule = tuple((k, k) for k in range(points))
        rule = EfficientTerms((schedule,) * size, (1,) * pairs)
        agreed = dataclasses.replace(agreed, rule=rule, annex=annex(agreed.names, "efficient"))
    return agreed


def test_no_call_of_a_settlement_on_a_node_costs_more(node, tmp_path):
    """The receipts of a whole settlement against the model."""
    arbiter = node.accounts[9]
    path = save(
        tmp_path,
        document(
            {
                "settlement": {
                    "arbiter": arbiter,
                    "closing_blocks": 1,
                    "dispute_seconds": 1,
                    "ruling_seconds": 1,
                }
            }
        ),
    )
    parties = parties_on(node.url, path)
    settlement = settlement_of(parties)
    receipts = list(settlement.receipts)

    def watch(progress):
        receipts.append((progress.step.call, progress.receipt))
        if progress.step.call == "profileRecord":
            node.travel(100)

    settlement.run(operator=parties.operator, watch=watch)
    model = {call.name: call.gas for call in gas.calls(parties.agreement)}
    model["deployment"] = model["deployment of the settlement"]
    seen = {}
    for call, receipt in receipts:
        seen[call] = max(seen.get(call, 0), receipt.gas)
    assert {"deployment of the factory", "deployment of the vault", "deployment"} <= seen.keys()
    for call, used in seen.items():
        if call in model:
            assert used <= model[call], call
    for call in ("deployment", "organizationsPublish"):  # what decides the size of blocks
        assert model[call] <= 1.2 * seen[call]
    unknown = seen.keys() - model.keys() - {"funding of the factory", "windowClose"}
    assert not unknown


@pytest.mark.parametrize("rule", ["linear", "efficient"])
@pytest.mark.parametrize("size", [2, 30])
def test_no_call_on_revm_costs_more(rule, size):
    from tests.settlement.consortia import random_agreement, random_reports
    from tests.settlement.revm import Revm
    from tests.settlement.test_efficient import efficient_agreement

    rng = np.random.default_rng(size)
    agreed = random_agreement(rng, size) if rule == "linear" else efficient_agreement(rng, size)
    chain = Revm(agreed)
    chain.settle(random_reports(rng, agreed))
    model = {call.name: call.gas for call in gas.calls(agreed)}
    for call, used in chain.gas.items():
        if call in model:
            assert used <= model[call], call


@pytest.mark.parametrize(
    ("size", "levels", "points", "limits"),
    [
        (500, 5, 0, gas.Limits(8_000_000, 30_000)),
        (1024, 32, 0, gas.Limits(16_777_216, 30_000)),
        (1024, 32, 0, gas.Limits(60_000_000, 30_000)),
        (300, 5, 5, gas.Limits(16_777_216, 30_000)),
        (1024, 32, 32, gas.Limits(16_777_216, 60_000)),
    ],
)
def test_blocks_fit_the_limits_and_are_as_large_as_they_can_be(size, levels, points, limits):
    agreed = gas.cut(big(size, levels, points), limits)
    for call in gas.calls(agreed):
        assert call.gas <= limits.gas, call
        assert call.size <= limits.size, call
    assert len(agreed.pair_blocks) <= 256
    assert sum(map(len, agreed.pair_blocks)) == len(agreed.rule.packed_pairs)
    larger = dataclasses.replace(agreed, organizations_per_block=agreed.organizations_per_block + 1)
    assert any(call.gas > limits.gas for call in gas.calls(larger))
    larger = dataclasses.replace(agreed, pairs_per_block=agreed.pairs_per_block + 50)
    assert any(call.gas > limits.gas or call.size > limits.size for call in gas.calls(larger))


SNAPSHOT = Path(__file__).parents[2] / "contracts" / "snapshots" / "calls.json"
# What was measured where everybody has won or lost a stake, contracts/test/Gas.t.sol.
FIGURES = json.loads(SNAPSHOT.read_text("utf-8"))


@pytest.mark.parametrize("size", [10, 100, 500, 1024])
@pytest.mark.parametrize("call", ["payoffTransfer", "profileRecord"])
def test_no_call_of_the_snapshots_costs_more(size, call):
    alone = big(size)
    with_court = dataclasses.replace(alone, arbiter="0x" + "ab" * 20)
    for agreed, case in ((alone, ""), (with_court, ", with court")):
        model = {entry.name: entry.gas for entry in gas.calls(agreed)}
        measured = [
            int(used)
            for name, used in FIGURES.items()
            if name in (f"N{size} {call}{case}", f"efficient N{size} {call}{case}")
        ]
        assert len(measured) == 2
        assert max(measured) <= model[call] <= gas.TRANSACTION_GAS


def test_a_block_limit_that_holds_no_transfer_is_refused_when_drafting():
    members = [organization(f"o{i}") for i in range(400)]
    built = consortium(members, 0.0, settlement={"block_gas_limit": 5_000_000})
    with pytest.raises(InputError) as caught:
        Agreement.of(built, accounts(400))
    start = "built.toml: settlement.block_gas_limit: payoffTransfer of 400"
    [line] = [line for line in caught.value.lines() if line.startswith(start)]
    assert "and the limit is 5,000,000" in line


def test_transactions_that_are_too_long_are_refused_when_drafting():
    members = [organization(f"o{i}", address=account) for i, account in enumerate(accounts(2))]
    built = consortium(members, 0.01, settlement={"max_transaction_bytes": 20_000})
    with pytest.raises(InputError) as caught:
        Agreement.of(built)
    [line] = caught.value.lines()
    assert "max_transaction_bytes: deployment of the settlement of 2 organizations" in line
