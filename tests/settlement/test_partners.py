"""Partners at work at the same time, on a chain that makes a block every second."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from eth_account import Account
from tests.cli.command import PLAIN, SOURCE, strict_json
from tests.consortium.documents import document, organization, save
from tests.settlement.nodes import CHAIN_ID, anvil
from tests.settlement.progress import StalledError, transactions, wait_for

import tradefl
from tradefl.settlement.accounts import PASSWORD_VARIABLE
from tradefl.settlement.agreement import Agreement
from tradefl.settlement.stand_ins import stand_in_key

PASSWORD = "correct horse battery"  # noqa: S105
SEEDS = range(20)


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
        """Start a command whose output goes to files, so that no full pipe stops it."""
        command = [sys.executable, "-X", "faulthandler", "-m", "tradefl", "settle", str(self.path)]
        command += ["--rpc", node.url, "--keystore", str(self.folder / f"keys-{name}")]
        command += ["--wait", "--json"]
        environment = {
            **PLAIN, "PYTHONPATH": str(SOURCE), PASSWORD_VARIABLE: PASSWORD,
            "XDG_STATE_HOME": str(self.folder / f"state-{name}"), "PATH": "/usr/bin:/bin",
            "HOME": str(self.folder),
        }  # fmt: skip
        with self.out(name).open("wb") as out, self.err(name).open("wb") as err:
            return subprocess.Popen(
                [*command, *map(str, options)],
                stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment,
            )  # fmt: skip

    def out(self, name) -> Path:
        return self.folder / f"out-{name}"

    def err(self, name) -> Path:
        return self.folder / f"err-{name}"

    def all_at_once(self, node, seed, who=None, options=()):
        """Start everybody within a second; return code, document and stderr of each."""
        rng = random.Random(seed)  # noqa: S311
        names = self.names if who is None else who
        running = []
        try:
            for name in names:
                running.append(self.start(node, name, *options))
                time.sleep(rng.uniform(0.0, 1.0 / len(self.names)))
            wait_for(running, transactions(node, [key.address for key in self.keys]))
        except StalledError as error:
            said = {name: self.err(name).read_text()[-3000:] for name in names}
            raise AssertionError(f"{error}\n{said}") from None
        finally:
            for process in running:
                process.kill()
                process.wait()
        return [
            (process.returncode, self.out(name).read_text(), self.err(name).read_text())
            for name, process in zip(names, running, strict=True)
        ]


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


def settle_together(folder, size, seed):
    partners = Partners(folder, size)
    with anvil("--block-time", 1) as node:
        partners.fund(node)
        assert_everybody_settles(partners, node, seed)


def assert_everybody_withdraws(folder, size, seed):
    """The last organization never joins."""
    partners = Partners(folder, size, join_seconds=6)
    with anvil("--block-time", 1) as node:
        partners.fund(node)
        ended = partners.all_at_once(node, seed, who=partners.names[:-1])
        deposits = []
        for i, (code, out, err) in enumerate(ended):
            assert code == 1, err
            assert "refuses" not in err
            assert "cancelled: not everybody joined in time" in err
            found = strict_json(out)
            assert found["phase"] == "cancelled"
            own = found["organizations"][i]
            assert own["withdrawn_wei"] == own["deposit_wei"]
            deposits.append(int(own["deposit_wei"]))
        assert max(deposits) > 0
        contract = partners.agreement.settlement_address()
        assert_one_contract_and_no_money_left(partners, node, contract)


@pytest.mark.parametrize("size", [2, 3, 10])
def test_partners_who_begin_together_settle_one_contract(tmp_path, size):
    settle_together(tmp_path, size, seed=size)


def test_one_that_never_joins_costs_the_others_nothing(tmp_path):
    assert_everybody_withdraws(tmp_path, 3, seed=5)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("size", [2, 3, 10])
def test_partners_who_begin_together_by_every_seed(tmp_path, size, seed):
    settle_together(tmp_path, size, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("size", [3, 10])
def test_one_that_never_joins_by_every_seed(tmp_path, size, seed):
    assert_everybody_withdraws(tmp_path, size, seed)
