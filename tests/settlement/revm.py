"""The shipped contracts on revm, an EVM that is not the embedded chain's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyrevm
from eth_abi import encode
from tests.settlement.consortia import MOST, account

from tradefl.settlement import Agreement, Report
from tradefl.settlement.artifacts import FACTORY, creation_bytecode
from tradefl.settlement.contract import Phase, decoded_result, encoded_call

START = 1_700_000_000
STRANGER = account(99_999)
GAS = 100_000_000


class Revm:
    """A settlement on revm, from its deployment to Open, and any number of ways on from there.

    ``gas`` holds the most that each call has used, the cost of its transaction included.
    """

    def __init__(self, agreed: Agreement, excess: int = 0) -> None:
        self.agreed, self.evm = agreed, pyrevm.EVM(gas_limit=GAS)
        self.gas: dict[str, int] = {}
        self.deposits = [min(bond + excess, MOST) for bond in agreed.deposits]
        for who in agreed.addresses:
            self.evm.set_balance(who, MOST)
        self.block(1, START)
        # The factory is wherever the agreement says: here its code is put there.
        made = self.evm.deploy(STRANGER, creation_bytecode(FACTORY))
        self.spent("deployment of the factory")
        self.evm.insert_account_info(agreed.factory, self.evm.basic(made))
        self.vault = self.deployed("vault", bytes.fromhex(agreed.series[2:]))
        self.contract = self.deployed("settlement", agreed.settlement_salt())
        self("annexPublish", agreed.annex)
        for k, block in enumerate(agreed.organization_blocks):
            self("organizationsPublish", k, block)
        for k, block in enumerate(agreed.pair_blocks):
            self("pairsPublish", k, block)
        self.bonds = [self.view("organization", i)["bond"] for i in range(len(agreed))]
        hash_ = bytes.fromhex(agreed.hash[2:])
        for who, deposit in zip(agreed.addresses, self.deposits, strict=True):
            self("depositSubmit", self.contract, hash_, sender=who, value=deposit)
        assert self.view("phase") == Phase.OPEN
        assert self.view("agreementHash") == hash_

    def deployed(self, what: str, salt: bytes) -> str:
        """Deploy through the factory; the address is that of the agreement."""
        code = getattr(self.agreed, f"{what}_creation_code")
        expected = self.agreed.vault if what == "vault" else self.agreed.settlement_address()
        data = encoded_call("deploy", salt, code)
        answer = bytes(self.evm.message_call(STRANGER, self.agreed.factory, data))
        self.spent(f"deployment of the {what}")
        assert answer == encode(["address"], [expected])
        return expected

    def spent(self, name: str) -> None:
        self.gas[name] = max(self.gas.get(name, 0), self.evm.result.gas_used)

    def __call__(self, name: str, *arguments: Any, sender: str = STRANGER, value: int = 0) -> bytes:
        in_vault = name in ("depositSubmit", "withdraw", "withdrawTo", "locked")
        to = self.vault if in_vault else self.contract
        data = encoded_call(name, *arguments)
        answer = bytes(self.evm.message_call(sender, to, data, value=value))
        self.spent(name)
        return answer

    def view(self, name: str, *arguments: Any) -> Any:
        return decoded_result(name, self(name, *arguments))

    def block(self, number: int, now: int) -> None:
        self.number, self.now = number, now
        block = pyrevm.BlockEnv(number=number, timestamp=now, gas_limit=GAS)
        self.evm.set_block_env(block)

    def settle(self, reports: Sequence[Report]) -> tuple[list[dict[str, Any]], list[int]]:
        """Return what the contract knows of everybody at the end, and what each was paid."""
        agreed = self.agreed
        before = self.evm.snapshot()
        for who, report in zip(agreed.addresses, reports, strict=True):
            if not report.silent:
                call = (report.data_ppb, report.cpu_hz, 0, 0, bytes(32), b"")
                self("contributionSubmit", who, *call, sender=who)
        self.block(1, START + agreed.report_seconds + 1)
        self("windowClose")
        self.block(2 + agreed.closing_blocks, self.now)
        self("profileRecord")
        for k, block in enumerate(agreed.pair_blocks):
            self("payoffCalculate", k, block)
        self("payoffTransfer")
        places = [self.view("organization", i) for i in range(len(agreed))]
        paid = []
        for who in agreed.addresses:
            had = self.evm.get_balance(who)
            self("withdraw", self.contract, sender=who)
            paid.append(self.evm.get_balance(who) - had)
        assert self.evm.get_balance(self.contract) == self.evm.get_balance(self.vault) == 0
        self.evm.revert(before)
        self.block(1, START)
        return places, paid
