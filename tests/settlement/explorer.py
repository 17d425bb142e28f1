"""Every order of calls and ticks of a settlement between two organizations, on shipped bytecode.

A state is what the contracts show, and where time and blocks stand relative to the window: before
or after its last second, and how many of its last blocks have passed. From each state that is
reached, every call by everybody and every tick is tried once. Nothing here imports the package's
settlement code: bytes, hashes and calls are put together anew.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import count
from typing import Any

import pyrevm
from eth_abi.abi import encode
from eth_utils.abi import collapse_if_tuple
from eth_utils.crypto import keccak

A, B, ARBITER, STRANGER = (f"0x{n:040x}" for n in (0xA11CE, 0xB0B, 0xA4B, 0x57))
ZERO = f"0x{0:040x}"
# A contract that verifies whatever it is asked: it answers with the magic value of EIP-1271.
APPROVES = bytes.fromhex("6010600c60003960106000f3" + "631626ba7e60e01b60005260206000f3")
CLOSING, STAKE, WEALTH = 2, 10**15 + 7, 10**24
LEVEL, WHOLE = 3 * 10**9, 10**9
DRAFTING, JOINING, OPEN, RECORDED, CALCULATED, SETTLED, CANCELLED = range(7)


def artifact(name: str) -> dict[str, Any]:
    path = files("tradefl.settlement").joinpath("artifact", f"{name}.json")
    made: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return made


class Contract:
    """The functions of one contract, as bytes of a call."""

    def __init__(self, name: str) -> None:
        made = artifact(name)
        self.code = bytes.fromhex(made["bytecode"][2:])
        self.functions = {
            entry["name"]: entry for entry in made["abi"] if entry["type"] == "function"
        }
        self.constructor = next(entry for entry in made["abi"] if entry["type"] == "constructor")
        self.errors = {
            keccak(text=f"{entry['name']}({','.join(map(collapse_if_tuple, entry['inputs']))})")[
                :4
            ]: entry["name"]
            for entry in made["abi"]
            if entry["type"] == "error"
        }

    def creation(self, *arguments: object) -> bytes:
        return self.code + encode(
            [collapse_if_tuple(input_) for input_ in self.constructor["inputs"]], arguments
        )

    def call(self, name: str, *arguments: object) -> bytes:
        types = [collapse_if_tuple(input_) for input_ in self.functions[name]["inputs"]]
        return keccak(text=f"{name}({','.join(types)})")[:4] + encode(types, arguments)


@dataclass(frozen=True)
class Action:
    """A call, or a tick: of time past the window's last second without a block, or of one block."""

    name: str
    who: str = STRANGER
    to: str = ""
    data: bytes = b""
    value: int = 0

    @property
    def anyones(self) -> bool:
        """Whether a stranger can do it."""
        return self.who == STRANGER


@dataclass(frozen=True)
class View:
    """What is checked of a state."""

    phase: int
    closing: bool
    over: bool
    ruling: bool
    disputes: int
    joined: tuple[bool, bool]
    reported: tuple[bool, bool]
    serials: tuple[int, int]
    withdrawn: tuple[bool, bool]
    deposits: tuple[int, int]
    bonds: tuple[int, int]
    redistributions: tuple[int, int]
    stakes: tuple[int, int]
    locked: tuple[int, int]
    vault: int


@dataclass
class Explorer:
    """Walks through every state; `found` is what is wrong, and where."""

    rule: str
    court: bool = False
    consent: bool = False
    verified: bool = False
    limit: int = sys.maxsize
    seen: dict[bytes, View] = field(default_factory=dict)
    strangers: dict[bytes, set[bytes]] = field(default_factory=dict)
    calls: int = 0

    def __post_init__(self) -> None:
        sys.setrecursionlimit(10_000)
        self.evm = pyrevm.EVM(gas_limit=30_000_000)
        self.now, self.block = 1_700_000_000, 1000
        self._clock()
        for who in (A, B, ARBITER, STRANGER):
            self.evm.set_balance(who, WEALTH)
        settlement, vault = Contract(self.rule), Contract("Vault")
        self.settlement, self.vault_contract = settlement, vault
        self.vault = self.evm.deploy(STRANGER, vault.creation(ZERO))
        efficient = self.rule == "TradeFLEfficient"

        def entry(who: str, data: int, least: int) -> bytes:
            packed = (
                bytes.fromhex(who[2:]) + data.to_bytes(8, "big") + b"\1" + LEVEL.to_bytes(8, "big")
            )
            if efficient:
                for share, value in ((0, least), (WHOLE, 0)):
                    packed += share.to_bytes(4, "big") + value.to_bytes(16, "big", signed=True)
                packed = packed[:37] + b"\2" + packed[37:]
            return packed

        listed = entry(A, 10**9, -9 * 10**17) + entry(B, 2 * 10**9, -4 * 10**17)
        pairs = (10**15).to_bytes(16, "big") if efficient else (7 * 10**8).to_bytes(4, "big")
        annex = b"annex"
        verifier = self.evm.deploy(STRANGER, APPROVES) if self.verified else ZERO
        terms = (
            2, 0 if efficient else 5 * 10**27, 0 if efficient else 10**8, 10**7, 1, ZERO, verifier,
            ARBITER if self.court else ZERO, 1, 1, 1, 1, CLOSING, STAKE if self.court else 0, 0,
            2, 1, keccak(annex),
        )  # fmt: skip
        self.contract = self.evm.deploy(
            STRANGER, settlement.creation(self.vault, terms, [keccak(listed)], [keccak(pairs)])
        )
        self.hash = self._read("agreementHash")
        for name, arguments in (
            ("annexPublish", (annex,)),
            ("organizationsPublish", (0, listed)),
            ("pairsPublish", (0, pairs)),
        ):
            self.evm.message_call(STRANGER, self.contract, settlement.call(name, *arguments))
        self._views = {name: settlement.call(name) for name in ("phase", "progress", "deadlines")}
        self._organizations = [settlement.call("organization", i) for i in range(2)]
        self._locked = [vault.call("locked", self.contract, who) for who in (A, B)]
        self.actions = list(self._actions(pairs))

    def _actions(self, pairs: bytes) -> Iterator[Action]:
        settlement, vault = self.settlement, self.vault_contract

        def call(name: str, who: str, *arguments: object) -> Action:
            label = f"{name} by {who[-5:]} of {[str(argument)[-5:] for argument in arguments]}"
            return Action(label, who, self.contract, settlement.call(name, *arguments))

        yield Action("time")
        yield Action("block")
        for name in ("windowClose", "cancel", "profileRecord", "payoffTransfer"):
            yield call(name, STRANGER)
        yield call("payoffCalculate", STRANGER, 0, pairs)
        for i, who in enumerate((A, B)):
            bond = int.from_bytes(self._slots(self._organizations[i])[4], "big")
            deposit = vault.call("depositSubmit", self.contract, self.hash)
            # One of the two has more than it needs.
            value = bond + (STAKE if self.court else 0) * (1 + i)
            yield Action(f"deposit by {who[-5:]}", who, self.vault, deposit, value)
            yield call("contributionSubmit", who, who, WHOLE, LEVEL, 0, 0, bytes(32), b"")
            if self.verified:
                # Later ones, the lower of them sent by somebody else.
                yield call("contributionSubmit", who, who, WHOLE // 2, LEVEL, 2, 0, bytes(32), b"")
                yield call(
                    "contributionSubmit", STRANGER, who, WHOLE // 4, LEVEL, 1, 0, bytes(32), b""
                )
            yield Action(
                f"withdraw by {who[-5:]}", who, self.vault, vault.call("withdraw", self.contract)
            )
            if self.consent:
                yield call("consent", who)
            if self.court:
                for accused in (A, B):
                    yield call("disputeRaise", who, accused)
                yield call("rule", ARBITER, who, 0, 0)
                yield call("rule", ARBITER, who, WHOLE, LEVEL)

    # --- the walk -------------------------------------------------------------------------------

    def run(self) -> None:
        """Visits every state, and checks what must hold between them."""
        key, view = self._state()
        self.seen[key] = view
        self._check(view)
        self._expand(key, view)
        if len(self.seen) < self.limit:
            self._check_ends()

    def _expand(self, key: bytes, view: View) -> None:
        self.strangers[key] = set()
        for action in self.actions:
            if len(self.seen) >= self.limit:
                return
            checkpoint, now, block = self.evm.snapshot(), self.now, self.block
            done = self._do(action)
            self.calls += 1
            if done:
                after, then = self._state()
                self._check_step(view, action, then)
                if action.anyones:
                    self.strangers[key].add(after)
                if after not in self.seen:
                    self.seen[after] = then
                    self._check(then)
                    self._expand(after, then)
            else:
                self._check_refusal(view, action)
            self.evm.revert(checkpoint)
            self.now, self.block = now, block
            self._clock()

    def _do(self, action: Action) -> bool:
        if action.name == "time":
            self.now += 2
        elif action.name == "block":
            self.block += 1
        else:
            try:
                self.evm.message_call(action.who, action.to, action.data, action.value)
            except RuntimeError:
                return False
            return True
        self._clock()
        return True

    # --- what must hold -------------------------------------------------------------------------

    def _check(self, view: View) -> None:
        """Between any two calls."""
        assert sum(view.locked) == view.vault, view
        assert sum(view.redistributions) == 0, view
        assert sum(view.stakes) == 0, view
        for i in range(2):
            assert view.redistributions[i] >= -view.bonds[i], view
            assert -view.stakes[i] <= max(view.deposits[i] - view.bonds[i], 0), view
            if view.withdrawn[i]:
                assert view.locked[i] == 0, view
            elif view.phase == SETTLED:
                assert (
                    view.locked[i] == view.deposits[i] + view.redistributions[i] + view.stakes[i]
                ), view
            else:
                assert view.locked[i] == view.deposits[i], view

    def _check_step(self, before: View, action: Action, after: View) -> None:
        """Around each call that succeeds."""
        if after.phase == RECORDED and before.phase == OPEN:
            assert before.over, (before, action)
        if after.phase == CANCELLED and before.phase != CANCELLED and "consent" not in action.name:
            assert (before.phase, before.over) == (JOINING, True), (before, action)
        if after.phase == CALCULATED and before.phase == RECORDED and self.court:
            ready = before.over if before.disputes else before.ruling or before.over
            assert ready, (before, action)
            assert before.ruling or not before.disputes, (before, action)
        if "rule" in action.name:
            assert before.ruling != before.over, (before, action)
        for i, who in enumerate((A, B)):
            if before.reported[i] != after.reported[i]:
                assert (before.phase, before.over) == (OPEN, False), (before, action)
                assert action.who == who or self.verified, (before, action)
            if before.serials[i] != after.serials[i]:
                assert after.serials[i] > before.serials[i], (before, action)
                assert (before.phase, before.over) == (OPEN, False), (before, action)
            if before.deposits[i] != after.deposits[i] or before.withdrawn[i] != after.withdrawn[i]:
                assert action.who == who, (before, action)

    def _check_refusal(self, view: View, action: Action) -> None:
        """No report, deposit or withdrawal is refused to whom it belongs, in its time."""
        for i, who in enumerate((A, B)):
            if action.who != who:
                continue
            if "contributionSubmit" in action.name and view.phase == OPEN and not view.over:
                assert view.reported[i], (view, action)
            if "deposit by" in action.name and view.phase == JOINING and not view.over:
                assert view.joined[i], (view, action)
            if "withdraw by" in action.name and view.phase in (SETTLED, CANCELLED):
                assert view.withdrawn[i] or not view.joined[i], (view, action)

    def _check_ends(self) -> None:
        """From every state that has money in it a stranger alone reaches the end."""
        before: dict[bytes, list[bytes]] = {}
        for key, after in self.strangers.items():
            for entry in after:
                before.setdefault(entry, []).append(key)
        queue = [key for key, view in self.seen.items() if view.phase in (SETTLED, CANCELLED)]
        ends = set(queue)
        while queue:
            for key in before.get(queue.pop(), ()):
                if key not in ends:
                    ends.add(key)
                    queue.append(key)
        stuck = [view for key, view in self.seen.items() if any(view.joined) and key not in ends]
        assert not stuck, stuck[0]

    # --- what the contracts show ----------------------------------------------------------------

    def _state(self) -> tuple[bytes, View]:
        phase = int.from_bytes(self._call(self._views["phase"]), "big")
        progress = self._slots(self._views["progress"])
        deadlines = [int.from_bytes(slot, "big") for slot in self._slots(self._views["deadlines"])]
        raw = [self._call(organization) for organization in self._organizations]
        rows = [self._words(entry[32:]) for entry in raw]
        locked = [self._call(entry, self.vault) for entry in self._locked]
        closed = int.from_bytes(progress[7], "big")
        passed = min(self.block - closed, CLOSING + 1) if closed else -1
        ruling = bool(progress[9][31])
        due = {JOINING: deadlines[0], OPEN: deadlines[1], RECORDED: deadlines[3 if ruling else 2]}
        late = self.now > due.get(phase, 0)
        relative = bytes([phase, passed + 1, late, deadlines[0] != 0])
        key = keccak(b"".join([relative, *progress[:7], *progress[8:], *raw, *locked]))

        def flags(place: int) -> tuple[bool, bool]:
            return bool(rows[0][place][31]), bool(rows[1][place][31])

        def numbers(place: int) -> tuple[int, int]:
            first, second = (int.from_bytes(row[place], "big", signed=True) for row in rows)
            return first, second

        return key, View(
            phase=phase,
            closing=closed != 0,
            over=passed == CLOSING + 1,
            ruling=ruling,
            disputes=int.from_bytes(progress[5], "big"),
            joined=flags(self._place("joined")),
            reported=flags(self._place("reported")),
            serials=numbers(self._place("serial")),
            withdrawn=flags(self._place("withdrawn")),
            deposits=numbers(self._place("deposit")),
            bonds=numbers(self._place("bond")),
            redistributions=numbers(self._place("redistribution")),
            stakes=numbers(self._place("stakes")),
            locked=(int.from_bytes(locked[0], "big"), int.from_bytes(locked[1], "big")),
            vault=self.evm.get_balance(self.vault),
        )

    def _place(self, name: str) -> int:
        if not hasattr(self, "_fields"):
            (account,) = self.settlement.functions["organization"]["outputs"]
            self._fields = dict(
                zip((component["name"] for component in account["components"]), count())
            )
        return self._fields[name]

    def _slots(self, data: bytes) -> list[bytes]:
        return self._words(self._call(data))

    @staticmethod
    def _words(answer: bytes) -> list[bytes]:
        return [answer[k : k + 32] for k in range(0, len(answer), 32)]

    def _call(self, data: bytes, to: str = "") -> bytes:
        return self.evm.message_call(STRANGER, to or self.contract, data, is_static=True)

    def _read(self, name: str) -> bytes:
        return self._call(self.settlement.call(name))

    def _clock(self) -> None:
        self.evm.set_block_env(
            pyrevm.BlockEnv(number=self.block, timestamp=self.now, gas_limit=30_000_000)
        )
