"""Partners at work at the same time, on a chain that makes a block every second."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time

import pytest
from eth_account import Account
from tests.cli.command import PLAIN, SOURCE, strict_json
from tests.consortium.documents import document, organization, save
from tests.settlement.nodes import CHAIN_ID, anvil

import tradefl
from tradefl.settlement.accounts import PASSWORD_VARIABLE
from tradefl.settlement.agreement import Agreement
from tradefl.settlement.stand_ins import stand_in_key

PASSWORD = "correct horse battery"  # noqa: S105
PATIENCE = 300.0  # seconds, for a machine under load


class Partners:
    """Organizations with a keystore each, on one chain, and their commands."""

    def __init__(self, folder, size, **settlement):
        self.folder, self.names = folder, [f"Org {k}" for k in range(size)]
        self.keys = [Account.from_key(stand_in_key(700 + k)) for k in range(size)]
        entries = [
            organization(name, address=key.address, data_bits=1e9 * (k + 2), samples=500 + k)
            for k, (name, key) in enumerate(zip(self.names, self.keys, strict=True))
        ]
        terms = {"closing_blocks": 2, "chain_id": CHAIN_ID} | settlement
        pairs = [[self.names[0], self.names[1], 0.01]]
        changes = {"organization": entries, "competition": {"pairs": pairs}, "settlement": terms}
        self.path = save(folder, document(changes))
        for name, key in zip(self.names, self.keys, strict=True):
            own = folder / f"keys-{name}"
            own.mkdir()
            content = Account.encrypt(key.key, PASSWORD, kdf="pbkdf2", iterations=2)
            (own / "key.json").write_text(json.dumps(content))
        self.agreement = Agreement.of(tradefl.load(self.path))

    def fund(self, node):
        for key in self.keys:
            node.rpc("anvil_setBalance", key.address, hex(10**20))

    def start(self, node, name, *options):
        command = [sys.executable, "-m", "tradefl", "settle", str(self.path), "--rpc", node.url]
        command += ["--keystore", str(self.folder / f"keys-{name}"), "--wait", "--json"]
        state = self.folder / f"state-{name}"
        environment = {
            **PLAIN, "PYTHONPATH": str(SOURCE), PASSWORD_VARIABLE: PASSWORD,
            "XDG_STATE_HOME": str(state), "PATH": "/usr/bin:/bin", "HOME": str(self.folder),
        }  # fmt: skip
        return subprocess.Popen(
            [*command, *map(str, options)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip

    def all_at_once(self, node, seed, who=None):
        """Start everybody within a second; return code, document and stderr of each."""
        rng = random.Random(seed)  # noqa: S311
        running = []
        for name in self.names if who is None else who:
            running.append(self.start(node, name))
            time.sleep(rng.uniform(0.0, 1.0 / len(self.names)))
        ended = []
        try:
            for process in running:
                out, err = process.communicate(timeout=PATIENCE)
                ended.append((process.returncode, out, err))
        finally:
            for process in running:
                process.kill()
                process.communicate()
        return ended


def assert_one_contract_and_no_money_left(partners, node, contract):
    assert {entry["address"] for entry in node.logs()} == {contract.lower()}
    assert node.balance(contract) == node.balance(partners.agreement.vault) == 0


def assert_everybody_settles(partners, node, seed):
    for code, out, err in partners.all_at_once(node, seed):
        assert code == 0, err
        assert "refuses" not in err
        found = strict_json(out)
        assert found["phase"] == "settled"
        assert found["audit"]["agrees"], found["audit"]
    contract = partners.agreement.settlement_address()
    assert found["contract"] == contract
    assert_one_contract_and_no_money_left(partners, node, contract)


@pytest.mark.parametrize("size", [2, 3])
def test_partners_who_begin_together_settle_one_contract(tmp_path, size):
    partners = Partners(tmp_path, size)
    with anvil("--block-time", 1) as node:
        partners.fund(node)
        assert_everybody_settles(partners, node, seed=size)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_ten_partners_who_begin_together(tmp_path, seed):
    partners = Partners(tmp_path, 10)
    with anvil("--block-time", 1) as node:
        partners.fund(node)
        assert_everybody_settles(partners, node, seed)


def test_one_that_never_joins_costs_the_others_nothing(tmp_path):
    partners = Partners(tmp_path, 3, join_seconds=6)
    with anvil("--block-time", 1) as node:
        partners.fund(node)
        ended = partners.all_at_once(node, seed=5, who=partners.names[:2])
        for code, out, err in ended:
            assert code == 1, err
            assert "refuses" not in err
            assert "cancelled: not everybody joined in time" in err
            assert strict_json(out)["phase"] == "cancelled"
        paid = [int(one["withdrawn_wei"]) for one in strict_json(ended[-1][1])["organizations"]]
        assert_one_contract_and_no_money_left(
            partners, node, partners.agreement.settlement_address()
        )
        assert paid[2] == 0
