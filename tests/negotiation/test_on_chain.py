"""The contract as a board: the same log, the same standing, whatever the way to it does."""

from __future__ import annotations

import contextlib
import random
import time

import pytest
from eth_account import Account
from tests.negotiation.processes import (
    Deployed,
    deployed,
    driven,
    log_of,
    three_hospitals,
)
from tests.settlement.nodes import (
    HANGUP,
    NodeError,
    Status,
    anvil,
    honest,
    node,
    proxy,
    shared_node,
)

from tradefl.negotiation.protocol import initial_reports, replay
from tradefl.negotiation.verification import verify
from tradefl.settlement.chains import KeySigner, NoAnswerError, RpcChain
from tradefl.settlement.contract import ChainError, Phase, RevertedError, encoded_call, topic
from tradefl.settlement.rules import Report
from tradefl.settlement.settle import Settlement
from tradefl.settlement.stand_ins import stand_in_key

__all__ = ["node", "proxy", "shared_node"]


@pytest.fixture
def three(node, tmp_path):
    """Three hospitals, published; nobody has joined."""
    return deployed(node, three_hospitals(tmp_path / "three.toml"), tmp_path)


def kinds(standing) -> list[tuple[str, int, int]]:
    return [(ruling.kind, ruling.turn, ruling.skipped) for ruling in standing.rulings]


def test_on_a_chain_it_goes_as_in_one_process(three):
    three.join()
    driven(three.agents())
    expected, board = three.undisturbed()
    standing = three.standing()
    assert (standing.reports, standing.turn) == (expected.reports, expected.turn)
    assert (standing.moves, standing.quiet) == (expected.moves, expected.quiet)
    assert kinds(standing) == kinds(expected)
    on_chain = three.board().look().proposals
    assert [entry[:2] for entry in log_of(on_chain)] == [entry[:2] for entry in log_of(board.log)]
    assert three.contributions() == list(expected.reports)
    three.assert_equilibrium(three.contributions())


def test_times_are_those_of_the_blocks(three, node):
    three.join()
    begin = int(node.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    assert three.board().look().opened == begin
    for i, seconds in enumerate((7, 50, 3)):
        begin += seconds
        node.rpc("evm_setNextBlockTimestamp", begin)
        three.board(i).propose(initial_reports(three.agreement)[i])
        assert three.board().look().proposals[-1].seconds == begin
        assert three.board().look().now >= begin
    assert [proposal.seconds for proposal in three.board().look().proposals] == [
        begin - 53,
        begin - 3,
        begin,
    ]


def test_it_opens_when_the_last_has_joined(three):
    board = three.board(0)
    assert board.look().opened is None
    three.join(0, 2)
    assert board.look().opened is None
    assert three.agents()[0].step().standing is None
    three.join(1)
    assert board.look().opened is not None
    assert three.agents()[0].step().standing is not None


def test_before_everything_is_published_nothing_is_open(node, tmp_path):
    drafted = deployed(node, three_hospitals(tmp_path / "three.toml"), tmp_path, publish=False)
    assert drafted.phase is Phase.DRAFTING
    assert drafted.board().look().opened is None
    assert drafted.board().look().proposals == ()
    assert not drafted.board(0).look().contributed


def test_who_has_contributed_in_every_phase(three, node):
    boards = [three.board(i) for i in range(3)]

    def contributed() -> list[bool]:
        return [board.look().contributed for board in boards]

    assert (three.phase, contributed()) == (Phase.JOINING, [False] * 3)
    three.join()
    assert (three.phase, contributed()) == (Phase.OPEN, [False] * 3)
    boards[1].contribute(initial_reports(three.agreement)[1])
    assert contributed() == [False, True, False]
    # The first one stands, and a second is no error.
    other = Report(data_ppb=10**9, cpu_hz=three.agreement.cpu_levels_hz[1][0])
    boards[1].contribute(other)
    assert three.contributions()[1] == initial_reports(three.agreement)[1]
    for i in (0, 2):
        boards[i].contribute(initial_reports(three.agreement)[i])
    assert contributed() == [True] * 3
    operator = three.agreement.addresses[0]
    settlement = Settlement(three.chain(0), three.agreement, three.contract, {})
    settlement.call(operator, "windowClose")
    assert (three.phase, contributed()) == (Phase.OPEN, [True] * 3)
    node.mine(three.agreement.closing_blocks + 1)
    for step, phase in (
        ("profileRecord", Phase.RECORDED),
        ("payoffCalculate", Phase.CALCULATED),
        ("payoffTransfer", Phase.SETTLED),
    ):
        arguments = [0, three.agreement.pair_blocks[0]] if "Calc" in step else []
        settlement.call(operator, step, *arguments)
        assert (three.phase, contributed()) == (phase, [True] * 3)


def test_of_a_cancelled_settlement_nothing_is_expected_any_more(three, node):
    three.join(0)
    node.travel(three.agreement.join_seconds + 1)
    settlement = Settlement(three.chain(0), three.agreement, three.contract, {})
    settlement.run(operator=three.agreement.addresses[0])  # closes the window to join
    node.mine(three.agreement.closing_blocks)
    settlement.run(operator=three.agreement.addresses[0])
    assert three.phase is Phase.CANCELLED
    assert three.board(1).look().contributed


# --- a way to the node that misbehaves -----------------------------------------------------------


class Way:
    """Repeats, reorders and loses answers, by a seed."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)  # noqa: S311
        self.earlier: dict[str, object] = {}

    def lost(self, _method, _params, forward):
        """Every so often the node does what is asked, and nobody hears of it."""
        answer = forward()
        chance = self.rng.random()
        if chance < 0.04:
            return HANGUP
        return Status(503) if chance < 0.08 else answer

    def shuffled(self, method, _params, forward):
        """Logs come in any order, some of them twice."""
        answer = forward()
        if method == "eth_getLogs":
            answer = answer + self.rng.sample(answer, self.rng.randrange(len(answer) + 1))
            self.rng.shuffle(answer)
        return answer

    def behind(self, method, params, forward):
        """Every so often an answer from before: a node behind a load balancer that lags."""
        answer = forward()
        if method in ("eth_getLogs", "eth_blockNumber"):
            key = method if method == "eth_blockNumber" else str(params[0].get("topics"))
            before, self.earlier[key] = self.earlier.get(key), answer
            if before is not None and self.rng.random() < 0.3:
                return before
        return answer


@pytest.mark.parametrize("how", ["lost", "shuffled", "behind"])
def test_answers_that_are_lost_repeated_and_reordered_change_nothing(three, proxy, how):
    three.join()
    agents = three.agents(proxy.url)
    proxy.rule = getattr(Way(6), how)
    driven(agents, seconds=100.0)
    expected, _ = three.undisturbed()
    standing = three.standing()
    assert standing.reports == expected.reports
    assert standing.moves == expected.moves
    assert three.contributions() == list(expected.reports)


def test_a_node_that_leaves_a_proposal_out_accuses_nobody(three, proxy):
    three.join()
    driven(three.agents(), seconds=100.0)
    wanted = "0x" + topic("Proposed").hex()

    def rule(method, _params, forward):
        answer = forward()
        if method == "eth_getLogs":
            first = next((log for log in answer if log["topics"][0] == wanted), None)
            return [log for log in answer if log is not first]
        return answer

    proxy.rule = rule
    with pytest.raises(ChainError, match=r"1 of [0-9]+ Proposed"):
        verify(RpcChain(proxy.url), three.contract, three.consortium)
    with pytest.raises(ChainError, match="does not keep these logs"):
        three.board(0, url=proxy.url).look()


def test_logs_that_come_after_their_block_are_waited_for(three, proxy):
    """A node may show a block, and its logs a moment later: the agent does not end for that."""
    three.join()
    driven(three.agents(), seconds=100.0)
    asked = 0

    def rule(method, _params, forward):
        nonlocal asked
        if method != "eth_getLogs":
            return forward()
        asked += 1
        return [] if asked <= 2 else forward()

    proxy.rule = rule
    found = three.board(0, url=proxy.url).look()
    assert asked > 2
    assert sorted(found.proposals) == sorted(three.board(0).look().proposals)


def test_repeated_and_reordered_logs_are_the_same_log(three, proxy, node):
    """Within a block too: what orders events is their place in it, not that in the answer."""
    three.join()
    first = initial_reports(three.agreement)
    moved = Report(data_ppb=10**9, cpu_hz=first[0].cpu_hz)
    node.rpc("evm_setAutomine", False)
    try:
        for i, report in ((0, moved), (1, first[1]), (2, first[2])):
            # Fees in order: what offers more comes first in a block.
            node.rpc("anvil_impersonateAccount", three.agreement.addresses[i])
            node.rpc("eth_sendTransaction", {
                "from": three.agreement.addresses[i], "to": three.contract, "gas": hex(200_000),
                "data": "0x" + encoded_call("propose", report.data_ppb, report.cpu_hz).hex(),
                "maxFeePerGas": hex(10**11 - i), "maxPriorityFeePerGas": hex(10**10 - 10**9 * i),
            })  # fmt: skip
            node.rpc("anvil_stopImpersonatingAccount", three.agreement.addresses[i])
        node.rpc("evm_mine")
    finally:
        node.rpc("evm_setAutomine", True)
    expected = three.standing()
    assert len({ruling.proposal.block for ruling in expected.rulings}) == 1
    assert [ruling.kind for ruling in expected.rulings] == ["moved", "passed", "passed"]
    way = Way(1)
    proxy.rule = way.shuffled
    board = three.board(url=proxy.url)
    opened = board.look().opened
    for _ in range(10):
        view = board.look()
        read = replay(three.agreement, opened, view.proposals, blocks=view.blocks)
        assert (read.reports, read.turn) == (expected.reports, expected.turn)
        assert kinds(read) == kinds(expected)


def test_a_node_that_is_gone_is_told_and_asked_again(three, proxy):
    """A proposal that did not get through is made again in the same turn."""
    three.join()
    agents = three.agents(proxy.url)
    lost = 0

    def rule(method, params, forward):
        nonlocal lost
        if method == "eth_sendRawTransaction" and not lost:
            lost += 1
            proxy.rule = lambda *_: HANGUP
            return HANGUP
        return forward()

    agents[0].board.chain.patience = 0.0
    proxy.rule = rule
    with pytest.raises(NoAnswerError):
        agents[0].step()
    assert lost == 1
    proxy.rule = honest
    assert three.standing().turn == 0
    agents[0].step()
    assert three.standing().turn == 1


def test_a_block_that_vanishes_while_the_log_is_read(three, proxy):
    """Its events are read again; a chain that never holds still is told as such."""
    three.join()
    three.board(0).propose(initial_reports(three.agreement)[0])
    gone = 0

    def rule(method, _params, forward):
        nonlocal gone
        if method == "eth_getBlockByHash" and gone:
            gone -= 1
            return None
        return forward()

    proxy.rule = rule
    expected = three.board().look().proposals
    gone = 2
    assert three.board(url=proxy.url).look().proposals == expected
    gone = 10**6
    with pytest.raises(NoAnswerError, match="change while they are read"):
        three.board(url=proxy.url).look()


def test_under_the_same_head_nothing_is_read_twice_but_after_a_while(three, proxy, monkeypatch):
    three.join()
    board = three.board(url=proxy.url)
    board.look()

    def asked() -> int:
        proxy.asked.clear()
        board.look()
        return proxy.asked.count("eth_getLogs")

    assert asked() == 0
    three.board(0).propose(initial_reports(three.agreement)[0])
    assert asked() > 0
    assert len(board.look().proposals) == 1
    monkeypatch.setattr("tradefl.negotiation.on_chain.FRESH_SECONDS", 0.0)
    assert asked() > 0


# --- a verifier ----------------------------------------------------------------------------------


def test_with_a_verifier_nothing_is_submitted(node, tmp_path):
    """The contract takes a contribution only with its signature, which comes after the training."""
    verifier = str(Account.from_key(stand_in_key(400)).address)

    def change(document):
        document["settlement"] = {"verifier": verifier}

    three = deployed(node, three_hospitals(tmp_path / "three.toml", change), tmp_path)
    assert three.agreement.verifier == verifier
    three.join()
    driven(three.agents())
    assert three.standing().over
    assert three.standing().reports == three.undisturbed()[0].reports
    assert three.contributions() == [None] * 3
    assert three.phase is Phase.OPEN
    height = node.height
    assert all(agent.step().done for agent in three.agents())  # started again
    assert node.height == height


# --- who may say what ----------------------------------------------------------------------------


def refused(three: Deployed, i: int, report: Report) -> RevertedError:
    before = three.standing()
    with pytest.raises(RevertedError) as error:
        three.board(i).propose(report)
    after = three.standing()
    assert (after.turn, after.reports, after.rulings) == (0, before.reports, ())
    return error.value


def test_what_is_not_feasible_is_refused_by_the_contract(three):
    three.join()
    least, levels = three.agreement.min_data_ppb, three.agreement.cpu_levels_hz[0]
    for ppb in (least - 1, 0, 10**9 + 1):
        error = refused(three, 0, Report(data_ppb=ppb, cpu_hz=levels[0]))
        assert error.name == "DataFractionOutOfRange"
    for hz in (levels[0] + 1, 0, 2**63):
        assert refused(three, 0, Report(data_ppb=least, cpu_hz=hz)).name == "UnknownLevel"


def test_a_stranger_is_refused_by_the_contract(three, node):
    three.join()
    key = KeySigner(Account.from_key(stand_in_key(401)))
    node.rpc("anvil_setBalance", key.address, hex(10**20))
    chain, data = three.chain(), encoded_call("propose", 10**9, three.agreement.cpu_levels_hz[0][0])
    chain.signers = {key.address: key}
    with pytest.raises(RevertedError, match="NotListed"):
        chain.transact(key.address, to=three.contract, data=data, call="propose")
    # Whoever does not ask first is in a block, and says nothing.
    height = node.height
    with contextlib.suppress(NodeError):
        node.rpc("eth_sendTransaction", {
            "from": node.accounts[3], "to": three.contract, "data": "0x" + data.hex(),
            "gas": hex(200_000),
        })  # fmt: skip
    until = time.monotonic() + 20.0
    while node.height == height and time.monotonic() < until:
        time.sleep(0.05)
    assert node.height == height + 1
    assert three.board().look().proposals == ()
    assert (three.standing().turn, three.standing().rulings) == (0, ())


def test_what_was_said_before_all_had_joined_ends_nothing(three, node):
    """The contract lets those propose who wait for others; the turns have not begun."""
    three.join(0, 1)
    report = Report(data_ppb=10**9, cpu_hz=three.agreement.cpu_levels_hz[0][0])
    three.board(0).propose(report)
    node.travel(2 * 3 * three.agreement.turn_seconds + 1)
    three.join(2)
    standing = three.standing()
    assert (standing.turn, standing.over) == (0, False)
    assert standing.reports == initial_reports(three.agreement)
    driven(three.agents())
    assert three.contributions() == list(three.undisturbed()[0].reports)


# --- clocks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("minutes", [-30, 30])
def test_a_chain_whose_clock_is_minutes_off(tmp_path, minutes):
    began = int(time.time()) + 60 * minutes
    with anvil("--timestamp", began) as own:
        three = deployed(own, three_hospitals(tmp_path / "three.toml"), tmp_path)
        three.join()
        opened = three.board().look().opened
        assert opened is not None
        assert abs(opened - began) < 120
        driven(three.agents())
        assert kinds(three.standing()) == kinds(three.undisturbed()[0])
        assert three.contributions() == list(three.undisturbed()[0].reports)


def test_a_clock_that_jumps_within_a_turn_skips_nobody(three, node):
    three.join()
    jumps = iter(range(40, 40 * 100, 40))
    begin = three.board().look().opened
    assert begin is not None

    def jump() -> None:
        """The next block comes later, but within the turn's time."""
        now = int(node.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
        node.rpc("evm_setNextBlockTimestamp", now + 40)
        next(jumps)

    jump()
    driven(three.agents(), every_step=jump)
    assert three.contributions() == list(three.undisturbed()[0].reports)
