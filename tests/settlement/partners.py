"""Organizations that each run a command of their own, with a keystore of their own, at once."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

from eth_account import Account
from tests.cli.command import PLAIN, SOURCE
from tests.consortium.documents import document, organization, save
from tests.settlement.nodes import CHAIN_ID
from tests.settlement.progress import StalledError, transactions, wait_for

import tradefl
from tradefl.negotiation.knowledge import private_figures, write_private
from tradefl.settlement.accounts import PASSWORD_VARIABLE
from tradefl.settlement.agreement import Agreement
from tradefl.settlement.stand_ins import stand_in_key

PASSWORD = "correct horse battery"  # noqa: S105
SEEDS = range(20)  # of the slow tests


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
        consortium = tradefl.load(self.path)
        self.agreement = Agreement.of(consortium)
        for i, name in enumerate(self.names):
            write_private(private_figures(consortium, i), folder / f"keys-{name}" / "private.toml")

    def fund(self, node):
        for key in self.keys:
            node.rpc("anvil_setBalance", key.address, hex(10**20))

    def settling(self, _name):
        return ["settle", self.path, "--wait", "--json"]

    def negotiating(self, name):
        private = self.folder / f"keys-{name}" / "private.toml"
        return ["node", "--organization", private, "--agreement", self.path]

    def start(self, node, words, name):
        """Start a command whose output goes to files, so that no full pipe stops it."""
        command = [sys.executable, "-X", "faulthandler", "-m", "tradefl", *map(str, words)]
        command += ["--rpc", node.url, "--keystore", str(self.folder / f"keys-{name}")]
        environment = {
            **PLAIN, "PYTHONPATH": str(SOURCE), PASSWORD_VARIABLE: PASSWORD,
            "XDG_STATE_HOME": str(self.folder / f"state-{name}"), "PATH": "/usr/bin:/bin",
            "HOME": str(self.folder),
        }  # fmt: skip
        with self.out(name).open("wb") as out, self.err(name).open("wb") as err:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment,
            )  # fmt: skip

    def out(self, name) -> Path:
        return self.folder / f"out-{name}"

    def err(self, name) -> Path:
        return self.folder / f"err-{name}"

    def all_at_once(self, node, seed, who=None, options=(), command=None):
        """Start everybody within a second; return code, stdout and stderr of each.

        ``command`` returns the words of a partner's command; default: to settle.
        """
        words = self.settling if command is None else command
        rng = random.Random(seed)  # noqa: S311
        names = self.names if who is None else who
        running = []
        try:
            for name in names:
                running.append(self.start(node, [*words(name), *options], name))
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
