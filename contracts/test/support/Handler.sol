// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ISettlement} from "../../src/ISettlement.sol";
import {ITradeFL} from "../../src/ITradeFL.sol";
import {IVault} from "../../src/IVault.sol";
import {SettlementTest} from "./SettlementTest.sol";

/// @title An organization that keeps to nothing: it calls anything, and receives ether as it likes.
contract Rogue {
    enum Mood {
        Accept,
        Refuse,
        Reenter
    }

    Mood public mood;
    address private _target;
    bytes private _payload;
    address private _settlement;

    /// @dev While it is being paid, it calls `target` with `payload`, and then the payer for another withdrawal.
    function set(Mood mood_, address target, bytes calldata payload, address settlement) external {
        (mood, _target, _payload, _settlement) = (mood_, target, payload, settlement);
    }

    function exec(address target, uint256 value, bytes calldata data) external returns (bool ok) {
        (ok,) = target.call{value: value}(data);
    }

    // solhint-disable-next-line no-complex-fallback
    receive() external payable {
        require(mood != Mood.Refuse, "refused");
        if (mood != Mood.Reenter) return;
        (bool ok,) = _target.call(_payload);
        (ok,) = msg.sender.call(abi.encodeCall(IVault.withdraw, (_settlement)));
    }
}

/// @title A settlement that keeps to nothing: whoever names it has only itself to blame.
contract Thief is ISettlement {
    IVault private immutable _VAULT;
    bytes private _payload;

    constructor(IVault vault) {
        _VAULT = vault;
    }

    /// @dev What it sends to the vault whenever the vault calls it.
    function set(bytes calldata payload) external {
        _payload = payload;
    }

    function exec(bytes memory data) public returns (bool ok) {
        (ok,) = address(_VAULT).call(data);
    }

    function depositAccept(address, uint256, bytes32) external override {
        exec(_payload);
    }

    function withdrawalRecord(address, address, uint256) external override {
        exec(_payload);
    }
}

/// @title The actors of the invariant campaigns, and a model of what each of their calls may do.
/// @notice Each action makes one call (or a few), never reverts when the contract is right, and asserts around every
/// call: it succeeds exactly when {_mayCall} says so, and the state differs only by what its caller has a say in.
/// So the campaigns run with fail_on_revert. What must hold between calls is asserted by {conserves} and the
/// functions after it; {finish} drives the settlement to its end as a stranger would. Nothing here knows the rule.
abstract contract Handler is SettlementTest {
    /// @dev Every call that changes state.
    enum Step {
        Annex,
        Organizations,
        Pairs,
        Close,
        Cancel,
        Deposit,
        Propose,
        Report,
        Record,
        Dispute,
        Rule,
        Calculate,
        Transfer,
        Consent,
        Withdraw
    }

    struct Call {
        Step step;
        uint256 i; // the block, the accused, or whose report it is
        uint64 serial;
        uint64 expiry;
        bool statement;
        uint32 dataPpb;
        uint64 cpuHz;
        bool proper; // with the right bytes, hash or signature
    }

    /// @dev All that the contract shows.
    struct State {
        ITradeFL.Phase phase;
        bool annexIsPublished;
        uint256 listed;
        uint256 published;
        uint256 joined;
        uint256 reported;
        uint256 openDisputes;
        uint256 calculated;
        uint256 closedAt;
        uint256 consents;
        bool rulingBegun;
        uint256[4] deadlines;
        uint256[] locked; // in the vault
        bool closed;
        ITradeFL.Account[] accounts;
    }

    uint256 internal constant STEPS = 15;
    uint256 internal constant PHASES = 7;
    uint256 internal constant WEALTH = type(uint128).max;

    Rogue public rogue;
    Thief public thief;
    address internal sleeper = makeAddr("sleeper"); // has money in the vault, in the thief's name
    address internal payee = makeAddr("payee"); // where withdrawals to another address go
    address internal passerBy = makeAddr("passer-by");
    bytes32 internal fixedTerms;
    uint256 internal allBlocks;

    // Built once: the campaigns need them at every step.
    bytes[] internal lists;
    bytes[] internal blocks;
    uint256[] internal bonds;

    uint256[] internal actors; // the organizations that act; the others of a large agreement have done all they do
    uint256 internal time; // a warp does not outlast the call that makes it, in every version of forge
    uint256 internal height; // of the chain; neither does a roll

    // Ghosts: what should be true, kept apart from the contract.
    uint256 public forced;
    mapping(uint256 i => uint256 wei_) public deposited;
    mapping(uint256 i => uint256 wei_) public received;
    mapping(uint256 i => int256 wei_) public staked; // won less lost
    mapping(uint256 i => uint256 wei_) public lost;
    mapping(address account => uint256 wei_) public stolen; // what the thief owes each
    bool public thiefClosed;
    uint256[STEPS] public successes;
    uint256[STEPS] public refusals;
    uint256[PHASES] public visits; // calls made in each phase
    uint256 public calls;
    uint256 public rawSuccesses; // of raw bytes, that the contract accepted

    /// @param size how many organizations; the last one is the rogue
    /// @param court whether there are a verifier and an arbiter
    /// @param acting how many of them act; when not all do, the settlement starts in Open, waiting for these
    constructor(uint256 size, bool court, uint256 acting) {
        (time, height) = (START, START_BLOCK);
        _now();
        vault = deployVault();
        prepare(size);
        if (court) {
            (agreed.verifier, agreed.arbiter, agreed.disputeStakeWei) = (verifier, arbiter, 1e15 + 7);
        }
        rogue = new Rogue();
        thief = new Thief(vault);
        vm.deal(sleeper, 3 ether);
        vm.prank(sleeper);
        vault.depositSubmit{value: 3 ether}(address(thief), 0);
        stolen[sleeper] = 3 ether;
        organizations[size - 1].account = address(rogue);
        for (uint256 k = 0; k < acting; ++k) {
            actors.push(size - 1 - k * (size - 1) / (acting - 1)); // spread out, the first and the last among them
        }
        lists = organizationBlocks();
        blocks = pairBlocks();
        bonds = expectedBonds();
        allBlocks = (1 << blocks.length) - 1;
        draft();
        fixedTerms = keccak256(abi.encode(settlement.terms(), settlement.agreementHash()));
        assertEq(settlement.agreementHash(), agreementHash(), "agreement hash");
        if (acting < size) _bystanders();
        for (uint256 i = 0; i < size; ++i) {
            if (!settlement.organization(i).joined) vm.deal(account(i), WEALTH);
            if (!settlement.organization(i).reported) reports[i] = Report(0, 0);
        }
        vm.deal(stranger, WEALTH);
        vm.deal(arbiter, WEALTH);
        vm.deal(verifier, WEALTH);
    }

    /// @dev Everybody deposits, and all but the actors report.
    function _bystanders() private {
        toOpen();
        for (uint256 i = 0; i < agreed.size; ++i) {
            deposited[i] = bonds[i] + agreed.disputeStakeWei;
            bool acts = false;
            for (uint256 k = 0; k < actors.length; ++k) {
                acts = acts || actors[k] == i;
            }
            if (!acts) report(i);
        }
    }

    // --- what the fuzzer may do ----------------------------------------------------------------------------------

    /// @notice The next steps that are due, each by whoever it is up to: keeps the campaigns from getting stuck.
    function proceed(uint256 seed, uint256 count) external {
        count = 1 + count % 5;
        for (uint256 k = 0; k < count; ++k) {
            seed = _next(seed);
            _due(seed);
        }
    }

    /// @notice Any call by any organization, with arguments that make sense or nearly so.
    function member(uint256 seed, uint256 who, uint256 step) external {
        who = _actor(who);
        Call memory c = _someCall(Step(step % STEPS), seed);
        if (c.step == Step.Report && c.i < agreed.size && seed >> 64 & 3 != 0) c.i = who;
        if (c.step == Step.Consent && seed >> 68 & 3 != 0) c.step = Step.Propose; // seldom, or all ends by it
        _act(account(who), c, _someValue(seed));
    }

    /// @notice Any call by a stranger, with arguments that make sense or nearly so.
    function outsider(uint256 seed, uint256 step) external {
        _act(stranger, _someCall(Step(step % STEPS), seed), seed % 8 == 0 ? _someValue(seed) : 0);
    }

    /// @notice Any bytes at all, by anyone, with or without ether.
    function raw(uint256 who, uint256 selector, bytes calldata data, uint256 value) external {
        address[5] memory who_ = [stranger, address(rogue), arbiter, verifier, account(_actor(who >> 8))];
        bytes4[19] memory selectors = [
            ITradeFL.annexPublish.selector,
            ITradeFL.organizationsPublish.selector,
            ITradeFL.pairsPublish.selector,
            ITradeFL.cancel.selector,
            ITradeFL.windowClose.selector,
            ITradeFL.consent.selector,
            ITradeFL.propose.selector,
            ITradeFL.contributionSubmit.selector,
            ITradeFL.profileRecord.selector,
            ITradeFL.disputeRaise.selector,
            ITradeFL.rule.selector,
            ITradeFL.payoffCalculate.selector,
            ITradeFL.payoffTransfer.selector,
            ITradeFL.attestationDigest.selector,
            ISettlement.depositAccept.selector,
            ISettlement.withdrawalRecord.selector,
            IVault.depositSubmit.selector,
            bytes4(0),
            bytes4(keccak256(data))
        ];
        bytes memory payload = bytes.concat(selectors[selector % 19], data);
        if (selector % 19 == 17) payload = data.length % 2 == 0 ? bytes("") : data; // plain ether, or only bytes
        // Consent of one is no more than that; but a campaign in which all consent to everything proves little.
        if (bytes4(payload) == ITradeFL.consent.selector && value % 8 != 0) return;
        address target = selector >> 64 & 3 == 0 ? address(vault) : address(settlement);
        (bool ok,) = _send(who_[who % 5], target, payload, value % 4 == 0 ? _someValue(value) : 0);
        if (ok) ++rawSuccesses;
    }

    /// @notice Disputes and rulings, which would be rare otherwise.
    function quarrel(uint256 seed, uint256 who) external {
        if (seed % 2 == 0) {
            _act(account(_actor(who)), _someCall(Step.Dispute, seed), 0);
        } else {
            _act(who % 8 == 0 ? account(_actor(who >> 8)) : arbiter, _someCall(Step.Rule, seed), 0);
        }
    }

    /// @notice The rogue changes its mood, and what it calls while it is being paid.
    function provoke(uint256 mood, uint256 seed, uint256 step, bytes calldata data) external {
        bytes memory payload =
            seed % 2 == 0 ? data : _encode(address(rogue), _someCall(Step(step % STEPS), seed));
        Step planned = Step(step % STEPS);
        rogue.set(Rogue.Mood(mood % 3), _target(planned), payload, address(settlement));
        thief.set(payload);
    }

    /// @notice The thief divides what was deposited in its name, and tries to divide what was not.
    function scheme(uint256 seed, uint256 amount) external {
        _now();
        address[4] memory known = [sleeper, account(_actor(seed)), payee, stranger];
        address[] memory accounts = new address[](1 + (seed >> 8) % 3);
        int256[] memory deltas = new int256[](accounts.length);
        int256 sum = 0;
        bool covered = true;
        for (uint256 k = 0; k < accounts.length; ++k) {
            accounts[k] = known[(seed >> (16 + 2 * k)) % 4];
            deltas[k] = int256(amount % (4 ether)) * (k == 0 ? -1 : int256(1));
            if (k == 2) deltas[k] = -deltas[1]; // takes back what it has just given
            if (k == 2 && seed >> 40 & 1 == 0) deltas[k] = 0;
            sum += deltas[k];
        }
        uint256[4] memory has;
        for (uint256 j = 0; j < 4; ++j) {
            has[j] = stolen[known[j]];
        }
        for (uint256 k = 0; k < accounts.length; ++k) {
            for (uint256 j = 0; j < 4; ++j) {
                if (known[j] != accounts[k]) continue;
                int256 left = int256(has[j]) + deltas[k];
                covered = covered && left >= 0;
                has[j] = left < 0 ? 0 : uint256(left);
            }
        }
        bytes32 before = _digest(_state());
        bool may = !thiefClosed && covered && sum == 0;
        bool ok = thief.exec(abi.encodeCall(IVault.settle, (accounts, deltas)));
        assertEq(ok, may, "the thief divides exactly what is its members'");
        assertEq(_digest(_state()), before, "the thief reached another settlement");
        if (!ok) return;
        thiefClosed = true;
        for (uint256 j = 0; j < 4; ++j) {
            stolen[known[j]] = has[j];
        }
    }

    /// @notice Ether that no function receives, as from a block reward or a contract that destroys itself.
    function force(uint256 amount) external {
        amount %= 10 ether;
        forced += amount;
        vm.deal(address(vault), address(vault).balance + amount);
    }

    /// @notice Time passes: mostly a little, sometimes to one second before, at or after the next deadline, sometimes
    /// much more without a block, as when the chain halts. Blocks pass, too: sometimes to the end of a window.
    function wait_(uint256 seed) external {
        _now();
        uint256 next = time + seed % 2 hours;
        State memory s = _state();
        // The join deadline seldom: it would end most settlements before they begin.
        if (seed % (s.phase < ITradeFL.Phase.Open ? 8 : 4) == 0) {
            for (uint256 k = 0; k < 4; ++k) {
                if (s.deadlines[k] + 1 > time) {
                    next = s.deadlines[k] - 1 + (seed >> 8) % 3;
                    break;
                }
            }
        }
        if (seed >> 16 & 15 == 0) next = time + 30 days;
        if (next > time) time = next;
        if (seed >> 20 & 3 == 0) return; // halted
        if (s.closedAt != 0 && seed >> 22 & 1 == 0) {
            uint256 last = s.closedAt + agreed.closingBlocks;
            if (last + 2 > height) height = _max(height, last - 1 + (seed >> 24) % 3);
        } else {
            height += (seed >> 24) % 4;
        }
    }

    // --- what must hold between calls ----------------------------------------------------------------------------

    /// @notice What is in the vault is what its settlements say that accounts have there, and what was forced in; and
    /// what came in for this settlement is there or was paid out.
    function conserves() external view {
        uint256 entered = 0;
        uint256 left = 0;
        uint256 locked = 0;
        for (uint256 i = 0; i < agreed.size; ++i) {
            entered += deposited[i];
            left += received[i];
            locked += vault.locked(address(settlement), account(i));
        }
        assertEq(locked + left, entered, "ether is lost or made");
        uint256 elsewhere = 0;
        address[3] memory known = [sleeper, payee, stranger];
        for (uint256 k = 0; k < 3; ++k) {
            assertEq(vault.locked(address(thief), known[k]), stolen[known[k]], "what the thief owes");
            elsewhere += stolen[known[k]];
        }
        for (uint256 i = 0; i < agreed.size; ++i) {
            elsewhere += vault.locked(address(thief), account(i));
        }
        assertEq(address(vault).balance, locked + elsewhere + forced, "the vault's balance");
        assertEq(address(settlement).balance, 0, "the settlement holds nothing");
    }

    /// @notice The R add up to zero, also between blocks; each equals the reference over the blocks done; none is
    /// below minus the bond; and what each may withdraw follows from it, and from its stakes, which add up to zero.
    function redistributes() external {
        int256[] memory expected = expectedRedistributionsOf(progress().calculated);
        ITradeFL.Phase phase = settlement.phase();
        bool closed = vault.isClosed(address(settlement));
        bool ended = phase == ITradeFL.Phase.Settled || phase == ITradeFL.Phase.Cancelled;
        assertEq(closed, ended, "closed in the vault exactly when ended");
        int256 sum = 0;
        int256 stakes = 0;
        for (uint256 i = 0; i < expected.length; ++i) {
            ITradeFL.Account memory a = settlement.organization(i);
            sum += a.redistribution;
            stakes += a.stakes;
            assertEq(a.redistribution, expected[i], "R is not the reference");
            assertGe(a.redistribution, -int256(bonds[i]), "R below minus the bond");
            assertEq(a.stakes, staked[i], "stakes");
            assertEq(a.deposit, deposited[i], "deposit");
            if (a.joined) assertLe(lost[i] + bonds[i], a.deposit, "a stake out of the bond");
            if (a.account == address(0)) continue; // not listed yet
            uint256 owed = _owed(i, phase, expected);
            assertEq(settlement.creditOf(a.account), a.withdrawn ? 0 : owed, "credit");
            assertEq(received[i], a.withdrawn ? owed : 0, "paid");
            uint256 there = a.withdrawn ? 0 : closed ? owed : deposited[i];
            assertEq(vault.locked(address(settlement), a.account), there, "what the vault holds");
        }
        assertEq(sum, 0, "sum of R");
        assertEq(stakes, 0, "sum of stakes");
    }

    /// @notice A stranger who knows the published bytes, time and blocks end every settlement that has money in it;
    /// then everybody who can receive ether gets what it is owed, and nothing is left but the credit of who refuses it.
    /// The caller restores the state afterwards.
    function finish() external {
        _now();
        State memory s = _state();
        if (s.phase == ITradeFL.Phase.Drafting || (s.phase == ITradeFL.Phase.Joining && s.joined == 0)) {
            return;
        }
        if (s.phase == ITradeFL.Phase.Joining) {
            _end();
            vm.prank(passerBy);
            settlement.cancel();
            assertEq(uint256(settlement.phase()), uint256(ITradeFL.Phase.Cancelled), "not cancelled");
        } else {
            if (s.phase == ITradeFL.Phase.Open) {
                _end();
                vm.prank(passerBy);
                settlement.profileRecord();
                s = _state();
            }
            if (s.phase == ITradeFL.Phase.Recorded) {
                if (agreed.arbiter != address(0)) {
                    if (!s.rulingBegun) _end();
                    if (s.openDisputes != 0) {
                        vm.prank(passerBy);
                        if (!s.rulingBegun) settlement.windowClose();
                        _end();
                    }
                }
                for (uint256 b = blocks.length; b > 0; --b) {
                    vm.prank(passerBy);
                    settlement.payoffCalculate(b - 1, blocks[b - 1]);
                }
                s = _state();
            }
            if (s.phase == ITradeFL.Phase.Calculated) {
                vm.prank(passerBy);
                settlement.payoffTransfer();
            }
            s = _state();
            bool ended = s.phase == ITradeFL.Phase.Settled || s.phase == ITradeFL.Phase.Cancelled;
            assertTrue(ended, "not ended");
        }
        _empty();
    }

    /// @dev The passer-by ends the window of this phase.
    function _end() private {
        if (progress().closedAt == 0) {
            _until(windowDeadline());
            vm.prank(passerBy);
            settlement.windowClose();
        }
        height = _max(height, progress().closedAt + agreed.closingBlocks + 1);
        _now();
    }

    function _empty() private {
        ITradeFL.Phase phase = settlement.phase();
        int256[] memory expected = expectedRedistributionsOf(phase == ITradeFL.Phase.Settled ? allBlocks : 0);
        uint256 left = 0;
        for (uint256 i = 0; i < agreed.size; ++i) {
            uint256 owed = _owed(i, phase, expected);
            if (phase == ITradeFL.Phase.Settled) {
                assertGe(int256(owed + bonds[i]), int256(deposited[i]) + staked[i], "lost more than its bond");
            }
            bool refuses = account(i) == address(rogue) && rogue.mood() == Rogue.Mood.Refuse;
            bool was = settlement.organization(i).withdrawn;
            if (!was && refuses) left += owed;
            uint256 before = account(i).balance;
            vm.prank(account(i));
            (bool ok,) = address(vault).call(abi.encodeCall(IVault.withdraw, (address(settlement))));
            if (ok) assertEq(account(i).balance - before, owed, "paid at the end");
            else assertTrue(refuses || was || !settlement.organization(i).joined, "cannot withdraw");
        }
        uint256 locked = 0;
        for (uint256 i = 0; i < agreed.size; ++i) {
            locked += vault.locked(address(settlement), account(i));
        }
        assertEq(locked, left, "left over");
    }

    // --- calls, and what is asserted around each of them ---------------------------------------------------------

    function _act(address actor, Call memory c, uint256 value) private {
        if (c.step != Step.Deposit && value != 0 && c.i % 4 != 0) value = 0; // ether with any call, but seldom
        _now();
        bytes memory data = _encode(actor, c);
        State memory b = _state();
        bool may = _mayCall(b, actor, c, value);
        (bool ok, bytes memory why) = _send(actor, _target(c.step), data, value);
        if (ok != may) {
            emit log_named_uint("step", uint256(c.step));
            emit log_named_bytes("answer", why);
        }
        assertEq(ok, may, "succeeds exactly when it may");
        if (!ok) {
            ++refusals[uint256(c.step)];
            return;
        }
        ++successes[uint256(c.step)];
        if (c.step == Step.Report || c.step == Step.Rule) {
            ITradeFL.Account memory a = settlement.organization(c.i);
            if (c.step == Step.Rule) _stake(c, b.accounts[c.i]);
            reports[c.i] = Report(c.dataPpb, c.cpuHz);
            assertEq(a.dataPpb, c.dataPpb, "d is not what was sent");
            assertEq(a.cpuHz, c.cpuHz, "f is not what was sent");
            assertEq(a.score, expectedScore(c.i, reports[c.i]), "score");
            if (c.step == Step.Report) assertEq(a.serial, c.serial, "serial");
        }
    }

    /// @dev What a ruling costs whom.
    function _stake(Call memory c, ITradeFL.Account memory old) private {
        int256 score = expectedScore(c.i, Report(c.dataPpb, c.cpuHz));
        bool same = c.dataPpb == old.dataPpb && c.cpuHz == old.cpuHz;
        uint256 by = _place(old.disputedBy);
        if (score >= old.score && !same) return;
        (uint256 loser, uint256 winner) = score < old.score ? (c.i, by) : (by, c.i);
        uint256 amount = deposited[loser] - bonds[loser] - lost[loser];
        if (amount > agreed.disputeStakeWei) amount = agreed.disputeStakeWei;
        if (winner != loser) {
            staked[winner] += int256(amount);
        } else {
            amount -= amount % (agreed.size - 1);
            for (uint256 i = 0; i < agreed.size; ++i) {
                if (i != loser) staked[i] += int256(amount / (agreed.size - 1));
            }
        }
        staked[loser] -= int256(amount);
        lost[loser] += amount;
    }

    /// @dev Makes the call, keeps the ghosts, and checks what changed. It knows nothing of what the call means.
    function _send(address actor, address target, bytes memory data, uint256 value)
        private
        returns (bool ok, bytes memory why)
    {
        _now();
        State memory b = _state();
        ++visits[uint256(b.phase)];
        ++calls;
        uint256 place = _place(actor);
        uint256 wealth = address(vault).balance;
        if (actor == address(rogue)) {
            ok = rogue.exec(target, value, data);
        } else {
            vm.prank(actor);
            (ok, why) = target.call{value: value}(data);
        }
        State memory a = _state();
        if (!ok) assertEq(_digest(a), _digest(b), "a refused call changed something");
        if (place < agreed.size) {
            if (!b.accounts[place].joined && a.accounts[place].joined) deposited[place] = value;
            if (!b.accounts[place].withdrawn && a.accounts[place].withdrawn) {
                received[place] += wealth - address(vault).balance; // of all that a reentrant receiver got
                value = 0;
            }
        }
        if (ok && value != 0) assertTrue(place < agreed.size && a.joined == b.joined + 1, "took ether");
        _checkEdge(b, a);
        for (uint256 i = 0; i < agreed.size; ++i) {
            _checkAccount(b, a, i, place == i, actor);
        }
        assertEq(
            keccak256(abi.encode(settlement.terms(), settlement.agreementHash())),
            fixedTerms,
            "agreement changed"
        );
    }

    /// @dev The phase moves along the arrows only, when that is due; deadlines are set once; counters count.
    function _checkEdge(State memory b, State memory a) private view {
        bool court = agreed.arbiter != address(0);
        bool over = _over(b);
        if (a.deadlines[0] != b.deadlines[0]) {
            assertTrue(b.joined == 0 && a.joined == 1, "join deadline moved");
            assertEq(a.deadlines[0], time + agreed.joinSeconds, "join deadline");
        }
        if (a.phase != b.phase) {
            if (a.phase == ITradeFL.Phase.Joining) {
                assertEq(uint256(b.phase), uint256(ITradeFL.Phase.Drafting), "to Joining");
                assertTrue(
                    a.annexIsPublished && a.listed == agreed.size && a.published == allBlocks, "too early"
                );
            } else if (a.phase == ITradeFL.Phase.Open) {
                assertEq(uint256(b.phase), uint256(ITradeFL.Phase.Joining), "to Open");
                assertTrue(a.joined == agreed.size && !over, "opened without all");
                assertEq(a.deadlines[1], time + agreed.reportSeconds, "report deadline");
            } else if (a.phase == ITradeFL.Phase.Recorded) {
                assertEq(uint256(b.phase), uint256(ITradeFL.Phase.Open), "to Recorded");
                assertTrue(over, "recorded early");
                assertEq(a.deadlines[2], court ? time + agreed.disputeSeconds : 0, "dispute deadline");
            } else if (a.phase == ITradeFL.Phase.Calculated) {
                assertEq(uint256(b.phase), uint256(ITradeFL.Phase.Recorded), "to Calculated");
                assertEq(a.calculated, allBlocks, "calculated without all blocks");
            } else if (a.phase == ITradeFL.Phase.Settled) {
                assertEq(uint256(b.phase), uint256(ITradeFL.Phase.Calculated), "to Settled");
            } else {
                assertTrue(a.phase == ITradeFL.Phase.Cancelled, "to Cancelled");
                assertTrue(
                    (b.phase == ITradeFL.Phase.Joining && over)
                        || (a.consents == agreed.size && b.consents == agreed.size - 1),
                    "cancelled early"
                );
            }
        }
        if (a.phase == b.phase || a.phase != ITradeFL.Phase.Open) {
            assertEq(a.deadlines[1], b.deadlines[1], "report deadline moved");
        }
        if (a.phase == b.phase || a.phase != ITradeFL.Phase.Recorded) {
            assertEq(a.deadlines[2], b.deadlines[2], "dispute deadline moved");
        }
        assertEq(a.rulingBegun, a.deadlines[3] != 0, "rulings have a deadline");
        if (a.deadlines[3] != b.deadlines[3]) {
            assertTrue(!b.rulingBegun && over && b.openDisputes != 0, "rulings began early");
            assertEq(uint256(b.phase), uint256(ITradeFL.Phase.Recorded), "rulings in another phase");
            assertEq(a.deadlines[3], time + agreed.rulingSeconds, "ruling deadline");
        }
        if (a.closedAt != b.closedAt) {
            bool next = a.phase != b.phase || a.rulingBegun != b.rulingBegun;
            if (next) assertEq(a.closedAt, 0, "a new window is closing");
            else assertTrue(b.closedAt == 0 && a.closedAt == height, "closed at another block");
        }
        assertEq(b.calculated & ~a.calculated, 0, "a block was taken back");
        if (a.calculated != b.calculated) {
            assertEq(uint256(b.phase), uint256(ITradeFL.Phase.Recorded), "calculated in another phase");
            if (court) assertTrue(b.rulingBegun ? b.openDisputes == 0 || over : over, "calculated early");
            if (court && !b.rulingBegun) assertEq(b.openDisputes, 0, "calculated before the rulings");
        }
        uint256 joined = 0;
        uint256 reported = 0;
        uint256 open = 0;
        uint256 consents = 0;
        for (uint256 i = 0; i < agreed.size; ++i) {
            if (a.accounts[i].joined) ++joined;
            if (a.accounts[i].reported) ++reported;
            if (a.accounts[i].disputed && !a.accounts[i].ruled) ++open;
            if (a.accounts[i].consented) ++consents;
        }
        assertEq(a.consents, consents, "consents");
        assertEq(a.joined, joined, "joined");
        assertEq(a.reported, reported, "reported");
        assertEq(a.openDisputes, open, "open disputes");
    }

    /// @dev An organization's place changes only by its own hand, or as the protocol provides.
    function _checkAccount(State memory b, State memory a, uint256 i, bool own, address actor) private view {
        ITradeFL.Account memory x = b.accounts[i];
        ITradeFL.Account memory y = a.accounts[i];
        if (b.phase != ITradeFL.Phase.Drafting) {
            assertEq(
                keccak256(abi.encode(y.account, y.dataBits, y.cap, y.bond, y.levels)),
                keccak256(abi.encode(x.account, x.dataBits, x.cap, x.bond, x.levels)),
                "the list changed"
            );
            if (b.published == allBlocks) assertEq(y.bond, bonds[i], "bond");
        }
        if (x.joined != y.joined || x.deposit != y.deposit) {
            assertTrue(own && y.joined && !x.joined && b.phase == ITradeFL.Phase.Joining, "deposit changed");
            assertEq(y.deposit, deposited[i], "deposit is not what was sent");
        }
        if (x.disputed != y.disputed) {
            assertTrue(y.disputed && b.phase == ITradeFL.Phase.Recorded, "dispute withdrawn");
            assertTrue(agreed.arbiter != address(0) && y.disputedBy == actor, "not the caller's dispute");
            assertTrue(_place(actor) < agreed.size && !(own && y.reported), "not a member's dispute");
            assertTrue(!b.rulingBegun && !_over(b), "disputed outside the window");
        }
        bool ruling = y.ruled && !x.ruled;
        if (x.ruled != y.ruled) {
            assertTrue(ruling && x.disputed && actor == agreed.arbiter, "ruled");
            assertTrue(b.rulingBegun != _over(b), "ruled outside the window");
            assertEq(uint256(b.phase), uint256(ITradeFL.Phase.Recorded), "ruled in another phase");
        }
        bool reporting = (y.reported && !x.reported) || y.serial != x.serial;
        if (reporting) {
            assertTrue(y.reported && b.phase == ITradeFL.Phase.Open && !_over(b), "reported");
            assertTrue(own || agreed.verifier != address(0), "reported for another");
            assertTrue(!x.reported || y.serial > x.serial, "replaced by an earlier one");
        }
        assertTrue(y.reported || !x.reported, "a report was taken back");
        if (x.dataPpb != y.dataPpb || x.cpuHz != y.cpuHz || x.score != y.score) {
            assertTrue(reporting || ruling || (b.listed <= i && a.listed > i), "a report changed");
        }
        if (x.redistribution != y.redistribution) assertTrue(a.calculated != b.calculated, "R changed");
        if (x.stakes != y.stakes) {
            assertTrue(a.openDisputes + 1 == b.openDisputes, "stakes without a ruling");
        }
        if (x.consented != y.consented) assertTrue(own && y.consented, "consented");
        if (x.withdrawn != y.withdrawn) assertTrue(own && y.withdrawn, "withdrawn");
        if (a.locked[i] != b.locked[i]) {
            bool moved = (a.closed && !b.closed) || x.joined != y.joined || x.withdrawn != y.withdrawn;
            assertTrue(moved, "money moved");
        }
    }

    /// @dev The protocol in one table: whether the contract has to accept this call in this state.
    function _mayCall(State memory s, address actor, Call memory c, uint256 value)
        private
        view
        returns (bool)
    {
        if (value != 0 && c.step != Step.Deposit) return false;
        if (c.step <= Step.Pairs) return s.phase == ITradeFL.Phase.Drafting && c.proper && _mayPublish(s, c);
        if (c.step == Step.Close) return _mayClose(s);
        if (c.step == Step.Cancel) return s.phase == ITradeFL.Phase.Joining && _over(s);
        if (c.step == Step.Record) return s.phase == ITradeFL.Phase.Open && _over(s);
        if (c.step == Step.Rule) return s.phase == ITradeFL.Phase.Recorded && _mayRule(s, actor, c);
        if (c.step == Step.Calculate) return _mayCalculate(s, c);
        if (c.step == Step.Transfer) return s.phase == ITradeFL.Phase.Calculated;
        if (c.step == Step.Report) {
            return s.phase == ITradeFL.Phase.Open && !_over(s) && _mayReport(s, _place(actor), c);
        }
        uint256 i = _place(actor);
        return i < agreed.size && _mayMember(s, i, c, value);
    }

    function _mayPublish(State memory s, Call memory c) private view returns (bool) {
        if (c.step == Step.Annex) return !s.annexIsPublished;
        if (c.step == Step.Organizations) {
            return s.listed < agreed.size && c.i == s.listed / organizationsPerBlock();
        }
        return s.listed == agreed.size && c.i < blocks.length && s.published >> c.i & 1 == 0;
    }

    function _mayClose(State memory s) private view returns (bool) {
        bool due = s.closedAt == 0 && time > _deadline(s);
        if (s.phase == ITradeFL.Phase.Joining || s.phase == ITradeFL.Phase.Open) return due;
        if (s.phase != ITradeFL.Phase.Recorded || agreed.arbiter == address(0)) return false;
        return due || (!s.rulingBegun && s.openDisputes != 0 && _over(s));
    }

    function _mayRule(State memory s, address actor, Call memory c) private view returns (bool) {
        if (agreed.arbiter == address(0) || actor != agreed.arbiter || c.i >= agreed.size) return false;
        if (!s.accounts[c.i].disputed || s.accounts[c.i].ruled) return false;
        return s.rulingBegun != _over(s) && (_feasible(c.i, c) || (c.dataPpb == 0 && c.cpuHz == 0));
    }

    function _mayCalculate(State memory s, Call memory c) private view returns (bool) {
        if (s.phase != ITradeFL.Phase.Recorded && s.phase != ITradeFL.Phase.Calculated) return false;
        if (c.i >= blocks.length || !c.proper) return false;
        if (s.calculated >> c.i & 1 == 1 || agreed.arbiter == address(0)) return true;
        return s.openDisputes == 0 ? s.rulingBegun || _over(s) : s.rulingBegun && _over(s);
    }

    /// @dev What only an organization may do; this is number i.
    function _mayMember(State memory s, uint256 i, Call memory c, uint256 value) private view returns (bool) {
        if (c.step == Step.Deposit) {
            return s.phase == ITradeFL.Phase.Joining && !_over(s) && c.proper && !s.accounts[i].joined
                && value >= bonds[i] + agreed.disputeStakeWei && value <= type(uint112).max;
        }
        if (c.step == Step.Propose) {
            return (s.phase == ITradeFL.Phase.Joining || s.phase == ITradeFL.Phase.Open) && _feasible(i, c);
        }
        if (c.step == Step.Dispute) {
            return agreed.arbiter != address(0) && s.phase == ITradeFL.Phase.Recorded && !s.rulingBegun
                && !_over(s) && _mayDispute(s, i, c.i);
        }
        if (c.step == Step.Consent) {
            return !s.accounts[i].consented && s.phase != ITradeFL.Phase.Drafting
                && s.phase <= ITradeFL.Phase.Calculated;
        }
        return s.accounts[i].joined && !s.accounts[i].withdrawn && _maySend(s, account(i), c);
    }

    function _maySend(State memory s, address actor, Call memory c) private view returns (bool) {
        bool refuses = _to(actor, c) == address(rogue) && rogue.mood() == Rogue.Mood.Refuse;
        return (s.phase == ITradeFL.Phase.Settled || s.phase == ITradeFL.Phase.Cancelled) && !refuses;
    }

    /// @dev Whether the window is right for it is judged elsewhere.
    function _mayReport(State memory s, uint256 i, Call memory c) private view returns (bool) {
        if (c.i >= agreed.size || !c.proper || !_feasible(c.i, c)) return false;
        if (agreed.verifier == address(0)) {
            return i == c.i && !s.accounts[i].reported && c.serial == 0 && c.expiry == 0;
        }
        if (c.statement && i != c.i) return false;
        if (c.expiry != 0 && time > c.expiry) return false;
        return !s.accounts[c.i].reported || c.serial > s.accounts[c.i].serial;
    }

    function _mayDispute(State memory s, uint256 i, uint256 accused) private view returns (bool) {
        if (accused >= agreed.size || s.accounts[accused].disputed) return false;
        if (accused == i && s.accounts[i].reported) return false;
        uint256 stakes = agreed.disputeStakeWei;
        for (uint256 k = 0; k < agreed.size; ++k) {
            if (s.accounts[k].disputedBy == account(i)) stakes += agreed.disputeStakeWei;
        }
        return s.accounts[i].deposit >= bonds[i] + stakes;
    }

    /// @dev Where a withdrawal goes: to another address now and then.
    function _to(address actor, Call memory c) private view returns (address) {
        return c.cpuHz % 2 == 0 ? actor : payee;
    }

    function _target(Step step) private view returns (address) {
        return step == Step.Deposit || step == Step.Withdraw ? address(vault) : address(settlement);
    }

    /// @dev Whether the window of the phase is over.
    function _over(State memory s) private view returns (bool) {
        return s.closedAt != 0 && height > s.closedAt + agreed.closingBlocks;
    }

    function _feasible(uint256 i, Call memory c) private view returns (bool) {
        if (c.dataPpb < agreed.minDataPpb || c.dataPpb > 1e9) return false;
        for (uint256 k = 0; k < organizations[i].levels.length; ++k) {
            if (organizations[i].levels[k] == c.cpuHz) return true;
        }
        return false;
    }

    function _encode(address actor, Call memory c) private view returns (bytes memory) {
        if (c.step == Step.Annex) {
            return abi.encodeCall(ITradeFL.annexPublish, (c.proper ? annex : bytes("forged")));
        }
        if (c.step == Step.Organizations) {
            return abi.encodeCall(ITradeFL.organizationsPublish, (c.i, _bytes(lists, c)));
        }
        if (c.step == Step.Pairs) {
            return abi.encodeCall(ITradeFL.pairsPublish, (c.i, _bytes(blocks, c)));
        }
        if (c.step == Step.Close) return abi.encodeCall(ITradeFL.windowClose, ());
        if (c.step == Step.Cancel) return abi.encodeCall(ITradeFL.cancel, ());
        if (c.step == Step.Deposit) {
            bytes32 hash = settlement.agreementHash();
            return abi.encodeCall(IVault.depositSubmit, (address(settlement), c.proper ? hash : ~hash));
        }
        if (c.step == Step.Propose) return abi.encodeCall(ITradeFL.propose, (c.dataPpb, c.cpuHz));
        if (c.step == Step.Report) {
            return abi.encodeCall(
                ITradeFL.contributionSubmit,
                (
                    _accused(c),
                    c.dataPpb,
                    c.cpuHz,
                    c.serial,
                    c.expiry,
                    c.statement ? keccak256("statement") : bytes32(0),
                    _attestation(c)
                )
            );
        }
        if (c.step == Step.Record) return abi.encodeCall(ITradeFL.profileRecord, ());
        if (c.step == Step.Dispute) return abi.encodeCall(ITradeFL.disputeRaise, (_accused(c)));
        if (c.step == Step.Rule) {
            return abi.encodeCall(ITradeFL.rule, (_accused(c), c.dataPpb, c.cpuHz));
        }
        if (c.step == Step.Calculate) {
            return abi.encodeCall(ITradeFL.payoffCalculate, (c.i, _bytes(blocks, c)));
        }
        if (c.step == Step.Transfer) return abi.encodeCall(ITradeFL.payoffTransfer, ());
        if (c.step == Step.Consent) return abi.encodeCall(ITradeFL.consent, ());
        address to = _to(actor, c);
        return to == actor
            ? abi.encodeCall(IVault.withdraw, (address(settlement)))
            : abi.encodeCall(IVault.withdrawTo, (address(settlement), to));
    }

    /// @dev The verifier signs whatever is asked of it; what it signed for another is worth nothing.
    function _attestation(Call memory c) private view returns (bytes memory) {
        address whose = _accused(c);
        if (agreed.verifier == address(0)) return c.proper ? bytes("") : bytes("forged");
        if (c.proper) return attest(whose, c.dataPpb, c.cpuHz, c.serial, c.expiry);
        if (c.cpuHz % 3 == 0) return attest(passerBy, c.dataPpb, c.cpuHz, c.serial, c.expiry);
        if (c.cpuHz % 3 == 1) return attest(whose, c.dataPpb ^ 1, c.cpuHz, c.serial, c.expiry);
        return attest(whose, c.dataPpb, c.cpuHz, c.serial + 1, c.expiry);
    }

    function _accused(Call memory c) private view returns (address) {
        return c.i < agreed.size ? account(c.i) : passerBy;
    }

    function _bytes(bytes[] storage list, Call memory c) private view returns (bytes memory) {
        return c.proper && c.i < list.length ? list[c.i] : bytes("forged");
    }

    // --- choices -------------------------------------------------------------------------------------------------

    /// @dev A call of this kind: its arguments mostly right.
    function _someCall(Step step, uint256 seed) private view returns (Call memory c) {
        c.step = step;
        c.proper = seed % 8 != 7;
        seed = _next(seed);
        if (step == Step.Organizations) {
            c.i = progress().listed / organizationsPerBlock();
        } else if (step == Step.Pairs || step == Step.Calculate) {
            c.i = seed % blocks.length;
        } else {
            c.i = _actor(seed);
        }
        if (seed % 16 == 15) c.i = seed % 5 == 0 ? type(uint256).max : agreed.size + c.i; // there is none
        seed = _next(seed);
        (c.dataPpb, c.cpuHz) = _someReport(c.i < agreed.size ? c.i : 0, seed);
        seed = _next(seed);
        if (step == Step.Rule && seed % 4 == 0) (c.dataPpb, c.cpuHz) = (0, 0);
        if (step == Step.Rule && seed % 4 == 1 && c.i < agreed.size) {
            (c.dataPpb, c.cpuHz) = (reports[c.i].dataPpb, reports[c.i].cpuHz); // upheld
        }
        if (step == Step.Report && (agreed.verifier != address(0) || seed % 32 == 0)) {
            c.serial = uint64((seed >> 8) % 4);
            if (seed >> 16 & 3 == 0) c.expiry = uint64(time + 1 hours - (seed >> 20) % 2 hours);
        }
        c.statement = seed >> 48 & 7 == 0;
    }

    /// @dev Mostly feasible, at the ends of the range or within; sometimes just outside.
    function _someReport(uint256 i, uint256 seed) private view returns (uint32 dataPpb, uint64 cpuHz) {
        uint64[] memory levels = organizations[i].levels;
        uint32 least = agreed.minDataPpb;
        dataPpb = uint32(least + (seed >> 16) % (1e9 - least + 1));
        cpuHz = levels[(seed >> 64) % levels.length];
        if (seed % 8 == 0) dataPpb = least;
        if (seed % 8 == 1) dataPpb = 1e9;
        if (seed % 32 == 2) dataPpb = least - 1;
        if (seed % 32 == 3) dataPpb = 1e9 + 1;
        if (seed % 32 == 4) cpuHz = cpuHz + 1;
    }

    /// @dev Ether for a call: nothing, the bond of some organization or around it, or more than may be deposited.
    function _someValue(uint256 seed) private view returns (uint256) {
        seed = _next(seed);
        uint256 bond = bonds[_actor(seed >> 8)] + agreed.disputeStakeWei;
        if (seed % 8 == 0) return 0;
        if (seed % 8 == 1) return bond == 0 ? 0 : bond - 1;
        if (seed % 8 == 2) return bond + (seed >> 16) % 1 ether;
        if (seed % 64 == 3) return uint256(type(uint112).max) + (seed >> 16) % 2;
        return bond;
    }

    /// @dev The next step that is due, by whoever it is up to.
    function _due(uint256 seed) private {
        _now();
        State memory s = _state();
        Call memory c = _someCall(Step.Withdraw, seed);
        c.proper = true;
        uint256 i = _actor(seed);
        address actor = account(i);
        uint256 value = 0;
        bool again = seed % 8 == 2; // perhaps one that has done so before, and must be refused
        bool late = seed % 8 == 1; // too late, or too early, for this one
        bool over = _over(s);
        bool closable = s.closedAt == 0 && time > _deadline(s);
        if (s.phase == ITradeFL.Phase.Drafting) {
            actor = stranger;
            c.i = 0;
            c.step =
                !s.annexIsPublished ? Step.Annex : s.listed < agreed.size ? Step.Organizations : Step.Pairs;
        } else if (s.phase == ITradeFL.Phase.Joining) {
            // Sometimes nobody comes in time.
            if (s.joined != 0 && seed >> 32 & 3 == 0) {
                if (!closable && s.closedAt == 0) return _until(_deadline(s));
                if (s.closedAt != 0 && !over) return _blocks();
            }
            for (uint256 k = 0; k < actors.length && s.accounts[i].joined && !again; ++k) {
                i = actors[k];
            }
            actor = account(i);
            c.step = over != late ? Step.Cancel : closable && seed % 3 == 0 ? Step.Close : Step.Deposit;
            value = bonds[i] + agreed.disputeStakeWei * (1 + seed % 3) + (seed % 3 == 0 ? seed % 1 ether : 0);
            if (c.step != Step.Deposit) value = 0;
        } else if (s.phase == ITradeFL.Phase.Open) {
            for (uint256 k = 0; k < actors.length && s.accounts[i].reported && !again; ++k) {
                i = actors[k];
            }
            actor = account(i);
            c = _someCall(Step.Report, seed);
            c.proper = true;
            c.i = i;
            c.step = over != late ? Step.Record : closable ? Step.Close : Step.Report;
            if (s.closedAt != 0 && !over && seed % 4 == 0) return _blocks();
        } else if (s.phase == ITradeFL.Phase.Recorded) {
            bool court = agreed.arbiter != address(0);
            if (court && !(s.openDisputes == 0 ? s.rulingBegun || over : s.rulingBegun && over)) {
                // The court is at work; sometimes it is left at that, or somebody is impatient.
                if (seed % 4 == 0 && s.closedAt != 0 && !over) return _blocks();
                if (seed % 4 == 0 && !closable && !over) return _until(_deadline(s));
                bool hearing = !s.rulingBegun && !over;
                c = _someCall(late ? Step.Calculate : hearing ? Step.Dispute : Step.Rule, seed);
                if (closable || (over && seed % 4 == 0)) c.step = Step.Close;
                if (c.step == Step.Rule) actor = agreed.arbiter;
            } else {
                c.step = Step.Calculate;
                c.i = seed % blocks.length;
            }
        } else if (s.phase == ITradeFL.Phase.Calculated) {
            c.step = Step.Transfer;
        }
        if (seed % 8 == 5) (c.step, value) = (Step.Propose, 0);
        if (seed % 8 == 4 && seed >> 36 & 3 == 0) (c.step, value) = (Step.Consent, 0);
        // What is due, but by whom it is not up to, or with wrong bytes: where a missing check would show.
        if (seed % 8 == 6) actor = seed % 16 == 6 ? stranger : account(_actor(seed >> 8));
        if (seed % 8 == 7) c.proper = false;
        _act(actor, c, value);
    }

    function _actor(uint256 seed) private view returns (uint256) {
        return actors[seed % actors.length];
    }

    function _next(uint256 seed) private pure returns (uint256) {
        return uint256(keccak256(abi.encode(seed)));
    }

    // --- what is known -------------------------------------------------------------------------------------------

    function _state() private view returns (State memory s) {
        s.phase = settlement.phase();
        Progress memory p = progress();
        (s.annexIsPublished, s.listed, s.published, s.joined) =
        (p.annexIsPublished, p.listed, p.published, p.joined);
        (s.reported, s.openDisputes, s.calculated) = (p.reported, p.openDisputes, p.calculated);
        (s.closedAt, s.consents, s.rulingBegun) = (p.closedAt, p.consents, p.rulingBegun);
        s.closed = vault.isClosed(address(settlement));
        (s.deadlines[0], s.deadlines[1], s.deadlines[2], s.deadlines[3]) = settlement.deadlines();
        s.accounts = new ITradeFL.Account[](agreed.size);
        s.locked = new uint256[](agreed.size);
        for (uint256 i = 0; i < s.accounts.length; ++i) {
            s.accounts[i] = settlement.organization(i);
            s.locked[i] = vault.locked(address(settlement), account(i));
        }
    }

    function _digest(State memory s) private pure returns (bytes32) {
        return keccak256(abi.encode(s));
    }

    /// @dev The account's place in the list; the agreement's size if it is not listed.
    function _place(address who) private view returns (uint256 i) {
        while (i < agreed.size && account(i) != who) ++i;
    }

    function _owed(uint256 i, ITradeFL.Phase phase, int256[] memory expected) private view returns (uint256) {
        if (phase == ITradeFL.Phase.Cancelled) return deposited[i];
        if (phase != ITradeFL.Phase.Settled) return 0;
        return uint256(int256(deposited[i]) + expected[i] + staked[i]);
    }

    function _now() private {
        vm.warp(time);
        vm.roll(height);
    }

    /// @dev The second after which the window of the phase may be closed.
    function _deadline(State memory s) private view returns (uint256) {
        if (s.phase == ITradeFL.Phase.Joining) return s.joined == 0 ? type(uint256).max : s.deadlines[0];
        if (s.phase == ITradeFL.Phase.Open) return s.reported == agreed.size ? 0 : s.deadlines[1];
        return s.rulingBegun ? s.deadlines[3] : s.deadlines[2];
    }

    /// @dev The last blocks of a closing window pass.
    function _blocks() private {
        height = progress().closedAt + agreed.closingBlocks + 1;
        _now();
    }

    function _max(uint256 a, uint256 b) private pure returns (uint256) {
        return a > b ? a : b;
    }

    function _until(uint256 deadline) private {
        if (time <= deadline) time = deadline + 1;
        _now();
    }
}
