// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ITradeFL} from "../../src/ITradeFL.sol";
import {SettlementTest} from "./SettlementTest.sol";

/// @title An organization that keeps to nothing: it calls what it is told to, and receives ether as it likes.
contract Rogue {
    enum Mood {
        Accept,
        Refuse,
        Reenter
    }

    Mood public mood;
    address private _target;
    bytes private _payload;

    /// @dev While it is being paid, it calls `target` with `payload`, and then with another withdrawal.
    function set(Mood mood_, address target, bytes calldata payload) external {
        (mood, _target, _payload) = (mood_, target, payload);
    }

    function exec(address target, uint256 value, bytes calldata data) external returns (bool ok) {
        (ok,) = target.call{value: value}(data);
    }

    // solhint-disable-next-line no-complex-fallback
    receive() external payable {
        require(mood != Mood.Refuse, "refused");
        if (mood != Mood.Reenter) return;
        (bool ok,) = _target.call(_payload);
        (ok,) = _target.call(abi.encodeCall(ITradeFL.withdraw, ()));
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
        Cancel,
        Deposit,
        Propose,
        Report,
        Record,
        Dispute,
        Rule,
        Calculate,
        Transfer,
        Withdraw
    }

    struct Call {
        Step step;
        uint256 i; // the block, or the accused
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
        uint256[4] deadlines;
        ITradeFL.Account[] accounts;
    }

    uint256 internal constant STEPS = 13;
    uint256 internal constant PHASES = 7;
    uint256 internal constant WEALTH = type(uint128).max;

    Rogue public rogue;
    address internal passerBy = makeAddr("passer-by");
    bytes32 internal fixedTerms;
    uint256 internal allBlocks;

    // Built once: the campaigns need them at every step.
    bytes[] internal lists;
    bytes[] internal blocks;
    uint256[] internal bonds;

    uint256[] internal actors; // the organizations that act; the others of a large agreement have done all they do
    uint256 internal time; // a warp does not outlast the call that makes it, in every version of forge

    // Ghosts: what should be true, kept apart from the contract.
    uint256 public forced;
    mapping(uint256 i => uint256 wei_) public deposited;
    mapping(uint256 i => uint256 wei_) public received;
    uint256[STEPS] public successes;
    uint256[STEPS] public refusals;
    uint256[PHASES] public visits; // calls made in each phase
    uint256 public calls;
    uint256 public rawSuccesses; // of raw bytes, that the contract accepted

    /// @param size how many organizations; the last one is the rogue
    /// @param court whether there are a verifier and an arbiter
    /// @param acting how many of them act; when not all do, the settlement starts in Open, waiting for these
    constructor(uint256 size, bool court, uint256 acting) {
        vm.warp(START);
        time = START;
        prepare(size);
        if (court) (agreed.verifier, agreed.arbiter) = (verifier, arbiter);
        rogue = new Rogue();
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
            if (deposited[i] == 0) vm.deal(account(i), WEALTH);
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
            deposited[i] = bonds[i];
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
        _act(account(_actor(who)), _someCall(Step(step % STEPS), seed), _someValue(seed));
    }

    /// @notice Any call by a stranger, with arguments that make sense or nearly so.
    function outsider(uint256 seed, uint256 step) external {
        _act(stranger, _someCall(Step(step % STEPS), seed), seed % 8 == 0 ? _someValue(seed) : 0);
    }

    /// @notice Any bytes at all, by anyone, with or without ether.
    function raw(uint256 who, uint256 selector, bytes calldata data, uint256 value) external {
        address[5] memory who_ = [stranger, address(rogue), arbiter, verifier, account(_actor(who >> 8))];
        bytes4[16] memory selectors = [
            ITradeFL.annexPublish.selector,
            ITradeFL.organizationsPublish.selector,
            ITradeFL.pairsPublish.selector,
            ITradeFL.cancel.selector,
            ITradeFL.depositSubmit.selector,
            ITradeFL.propose.selector,
            ITradeFL.contributionSubmit.selector,
            ITradeFL.profileRecord.selector,
            ITradeFL.disputeRaise.selector,
            ITradeFL.rule.selector,
            ITradeFL.payoffCalculate.selector,
            ITradeFL.payoffTransfer.selector,
            ITradeFL.withdraw.selector,
            ITradeFL.attestationDigest.selector,
            bytes4(0),
            bytes4(keccak256(data))
        ];
        bytes memory payload = bytes.concat(selectors[selector % 16], data);
        if (selector % 16 == 14) payload = data.length % 2 == 0 ? bytes("") : data; // plain ether, or only bytes
        (bool ok,) = _send(who_[who % 5], payload, value % 4 == 0 ? _someValue(value) : 0);
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
        rogue.set(Rogue.Mood(mood % 3), address(settlement), payload);
    }

    /// @notice Ether that no function receives, as from a block reward or a contract that destroys itself.
    function force(uint256 amount) external {
        amount %= 10 ether;
        forced += amount;
        vm.deal(address(settlement), address(settlement).balance + amount);
    }

    /// @notice Time passes: mostly a little, sometimes to one second before, at or after the next deadline.
    function wait_(uint256 seed) external {
        vm.warp(time);
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
        if (next > time) time = next;
    }

    // --- what must hold between calls ----------------------------------------------------------------------------

    /// @notice What came in is there or was paid out; each was paid at most once, and exactly what it is owed.
    function conserves() external view {
        uint256 entered = forced;
        uint256 left = 0;
        for (uint256 i = 0; i < agreed.size; ++i) {
            entered += deposited[i];
            left += received[i];
        }
        assertEq(address(settlement).balance + left, entered, "ether is lost or made");
    }

    /// @notice The R add up to zero, also between blocks; each equals the reference over the blocks done; none is
    /// below minus the bond; and what each may withdraw follows from it.
    function redistributes() external {
        (,,,,,, uint256 done) = settlement.progress();
        int256[] memory expected = expectedRedistributionsOf(done);
        ITradeFL.Phase phase = settlement.phase();
        int256 sum = 0;
        for (uint256 i = 0; i < expected.length; ++i) {
            ITradeFL.Account memory a = settlement.organization(i);
            sum += a.redistribution;
            assertEq(a.redistribution, expected[i], "R is not the reference");
            assertGe(a.redistribution, -int256(bonds[i]), "R below minus the bond");
            assertEq(a.deposit, deposited[i], "deposit");
            if (a.account == address(0)) continue; // not listed yet
            assertEq(settlement.creditOf(a.account), a.withdrawn ? 0 : _owed(i, phase, expected), "credit");
            assertEq(received[i], a.withdrawn ? _owed(i, phase, expected) : 0, "paid");
        }
        assertEq(sum, 0, "sum of R");
    }

    /// @notice A stranger who knows the published bytes, and time, end every settlement; then everybody who can
    /// receive ether gets what it is owed, and nothing is left but forced ether and the credit of who refuses it.
    /// The caller restores the state afterwards.
    function finish() external {
        vm.warp(time);
        State memory s = _state();
        if (s.phase == ITradeFL.Phase.Drafting || s.phase == ITradeFL.Phase.Joining) {
            _until(s.deadlines[0]);
            vm.prank(passerBy);
            settlement.cancel();
            assertEq(uint256(settlement.phase()), uint256(ITradeFL.Phase.Cancelled), "not cancelled");
        } else {
            if (s.phase == ITradeFL.Phase.Open) {
                if (s.reported < agreed.size) _until(s.deadlines[1]);
                vm.prank(passerBy);
                settlement.profileRecord();
                s = _state();
            }
            if (s.phase == ITradeFL.Phase.Recorded) {
                if (agreed.arbiter != address(0)) _until(s.deadlines[s.openDisputes == 0 ? 2 : 3]);
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

    function _empty() private {
        ITradeFL.Phase phase = settlement.phase();
        int256[] memory expected = expectedRedistributionsOf(phase == ITradeFL.Phase.Settled ? allBlocks : 0);
        uint256 left = forced;
        for (uint256 i = 0; i < agreed.size; ++i) {
            uint256 owed = _owed(i, phase, expected);
            if (phase == ITradeFL.Phase.Settled) {
                assertGe(owed + bonds[i], deposited[i], "lost more than its bond");
            }
            bool refuses = account(i) == address(rogue) && rogue.mood() == Rogue.Mood.Refuse;
            if (received[i] == 0 && refuses) left += owed;
            uint256 before = account(i).balance;
            vm.prank(account(i));
            (bool ok,) = address(settlement).call(abi.encodeCall(ITradeFL.withdraw, ()));
            if (ok) assertEq(account(i).balance - before, owed, "paid at the end");
            else assertTrue(refuses || received[i] == owed, "cannot withdraw");
        }
        assertEq(address(settlement).balance, left, "left over");
    }

    // --- calls, and what is asserted around each of them ---------------------------------------------------------

    function _act(address actor, Call memory c, uint256 value) private {
        if (c.step != Step.Deposit && value != 0 && c.i % 4 != 0) value = 0; // ether with any call, but seldom
        vm.warp(time);
        bytes memory data = _encode(actor, c);
        bool may = _mayCall(_state(), actor, c, value);
        (bool ok, bytes memory why) = _send(actor, data, value);
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
        uint256 who = _place(actor);
        if (c.step == Step.Report || c.step == Step.Rule) {
            uint256 whose = c.step == Step.Report ? who : c.i;
            ITradeFL.Account memory a = settlement.organization(whose);
            reports[whose] = Report(c.dataPpb, c.cpuHz);
            assertEq(a.dataPpb, c.dataPpb, "d is not what was sent");
            assertEq(a.cpuHz, c.cpuHz, "f is not what was sent");
            assertEq(a.score, expectedScore(whose, reports[whose]), "score");
        }
    }

    /// @dev Makes the call, keeps the ghosts, and checks what changed. It knows nothing of what the call means.
    function _send(address actor, bytes memory data, uint256 value)
        private
        returns (bool ok, bytes memory why)
    {
        vm.warp(time);
        State memory b = _state();
        ++visits[uint256(b.phase)];
        ++calls;
        uint256 place = _place(actor);
        uint256 wealth = actor.balance;
        if (actor == address(rogue)) {
            ok = rogue.exec(address(settlement), value, data);
        } else {
            vm.prank(actor);
            (ok, why) = address(settlement).call{value: value}(data);
        }
        State memory a = _state();
        if (!ok) assertEq(_digest(a), _digest(b), "a refused call changed something");
        if (place < agreed.size) {
            if (!b.accounts[place].joined && a.accounts[place].joined) deposited[place] = value;
            if (!b.accounts[place].withdrawn && a.accounts[place].withdrawn) {
                received[place] += actor.balance - wealth; // of all that a reentrant receiver got
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
        assertEq(a.deadlines[0], b.deadlines[0], "join deadline moved");
        if (a.phase != b.phase) {
            if (a.phase == ITradeFL.Phase.Joining) {
                assertEq(uint256(b.phase), uint256(ITradeFL.Phase.Drafting), "to Joining");
                assertTrue(
                    a.annexIsPublished && a.listed == agreed.size && a.published == allBlocks, "too early"
                );
            } else if (a.phase == ITradeFL.Phase.Open) {
                assertEq(uint256(b.phase), uint256(ITradeFL.Phase.Joining), "to Open");
                assertTrue(a.joined == agreed.size && time <= a.deadlines[0], "opened without all");
                assertEq(a.deadlines[1], time + agreed.reportSeconds, "report deadline");
            } else if (a.phase == ITradeFL.Phase.Recorded) {
                assertEq(uint256(b.phase), uint256(ITradeFL.Phase.Open), "to Recorded");
                assertTrue(b.reported == agreed.size || time > b.deadlines[1], "recorded early");
                bool court = agreed.arbiter != address(0);
                assertEq(a.deadlines[2], time + (court ? agreed.disputeSeconds : 0), "dispute deadline");
                assertEq(
                    a.deadlines[3], a.deadlines[2] + (court ? agreed.rulingSeconds : 0), "ruling deadline"
                );
            } else if (a.phase == ITradeFL.Phase.Calculated) {
                assertEq(uint256(b.phase), uint256(ITradeFL.Phase.Recorded), "to Calculated");
                assertEq(a.calculated, allBlocks, "calculated without all blocks");
            } else if (a.phase == ITradeFL.Phase.Settled) {
                assertEq(uint256(b.phase), uint256(ITradeFL.Phase.Calculated), "to Settled");
            } else {
                bool early = b.phase == ITradeFL.Phase.Drafting || b.phase == ITradeFL.Phase.Joining;
                assertTrue(
                    a.phase == ITradeFL.Phase.Cancelled && early && time > b.deadlines[0], "to Cancelled"
                );
            }
        }
        if (a.phase == b.phase || a.phase != ITradeFL.Phase.Open) {
            assertEq(a.deadlines[1], b.deadlines[1], "report deadline moved");
        }
        if (a.phase == b.phase || a.phase != ITradeFL.Phase.Recorded) {
            assertEq(a.deadlines[2], b.deadlines[2], "dispute deadline moved");
            assertEq(a.deadlines[3], b.deadlines[3], "ruling deadline moved");
        }
        assertEq(b.calculated & ~a.calculated, 0, "a block was taken back");
        if (a.calculated != b.calculated) {
            assertEq(uint256(b.phase), uint256(ITradeFL.Phase.Recorded), "calculated in another phase");
            if (agreed.arbiter != address(0)) {
                assertGt(time, b.deadlines[b.openDisputes == 0 ? 2 : 3], "calculated early");
            }
        }
        uint256 joined = 0;
        uint256 reported = 0;
        uint256 open = 0;
        for (uint256 i = 0; i < agreed.size; ++i) {
            if (a.accounts[i].joined) ++joined;
            if (a.accounts[i].reported) ++reported;
            if (a.accounts[i].disputed && !a.accounts[i].ruled) ++open;
        }
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
            assertTrue(agreed.arbiter != address(0) && _place(actor) < agreed.size, "not a member's dispute");
        }
        bool ruling = y.ruled && !x.ruled;
        if (x.ruled != y.ruled) {
            assertTrue(ruling && x.disputed && actor == agreed.arbiter, "ruled");
            assertTrue(time > b.deadlines[2] && time <= b.deadlines[3], "ruled outside the window");
            assertEq(uint256(b.phase), uint256(ITradeFL.Phase.Recorded), "ruled in another phase");
        }
        bool reporting = y.reported && !x.reported;
        if (x.reported != y.reported) {
            assertTrue(reporting && own && b.phase == ITradeFL.Phase.Open, "reported");
        }
        if (x.dataPpb != y.dataPpb || x.cpuHz != y.cpuHz || x.score != y.score) {
            assertTrue(reporting || ruling || (b.listed <= i && a.listed > i), "a report changed");
        }
        if (x.redistribution != y.redistribution) assertTrue(a.calculated != b.calculated, "R changed");
        if (x.withdrawn != y.withdrawn) assertTrue(own && y.withdrawn, "withdrawn");
    }

    /// @dev The protocol in one table: whether the contract has to accept this call in this state.
    function _mayCall(State memory s, address actor, Call memory c, uint256 value)
        private
        view
        returns (bool)
    {
        if (value != 0 && c.step != Step.Deposit) return false;
        uint256 i = _place(actor);
        bool isMember = i < agreed.size;
        ITradeFL.Account memory own;
        if (isMember) own = s.accounts[i];
        bool drafting = s.phase == ITradeFL.Phase.Drafting;
        bool joining = s.phase == ITradeFL.Phase.Joining;
        bool open = s.phase == ITradeFL.Phase.Open;
        bool recorded = s.phase == ITradeFL.Phase.Recorded;
        bool court = agreed.arbiter != address(0);
        if (c.step == Step.Annex) return drafting && !s.annexIsPublished && c.proper;
        if (c.step == Step.Organizations) {
            return drafting && c.proper && s.listed < agreed.size && c.i == s.listed / organizationsPerBlock();
        }
        if (c.step == Step.Pairs) {
            return drafting && c.proper && s.listed == agreed.size && c.i < blocks.length
                && s.published >> c.i & 1 == 0;
        }
        if (c.step == Step.Cancel) return (drafting || joining) && time > s.deadlines[0];
        if (c.step == Step.Deposit) {
            return joining && time <= s.deadlines[0] && c.proper && isMember && !own.joined
                && value >= bonds[i] && value <= type(uint112).max;
        }
        if (c.step == Step.Propose) return (joining || open) && isMember && _feasible(i, c);
        if (c.step == Step.Report) {
            return open && time <= s.deadlines[1] && isMember && !own.reported && _feasible(i, c)
                && (agreed.verifier == address(0) || c.proper);
        }
        if (c.step == Step.Record) return open && (s.reported == agreed.size || time > s.deadlines[1]);
        if (c.step == Step.Dispute) {
            return court && recorded && time <= s.deadlines[2] && isMember && c.i < agreed.size
                && !s.accounts[c.i].disputed;
        }
        if (c.step == Step.Rule) {
            return court && actor == agreed.arbiter && recorded && time > s.deadlines[2]
                && time <= s.deadlines[3] && c.i < agreed.size && s.accounts[c.i].disputed
                && !s.accounts[c.i].ruled && (_feasible(c.i, c) || (c.dataPpb == 0 && c.cpuHz == 0));
        }
        if (c.step == Step.Calculate) {
            if (!recorded && s.phase != ITradeFL.Phase.Calculated) return false;
            if (c.i >= blocks.length || !c.proper) return false;
            return s.calculated >> c.i & 1 == 1 || !court || time > s.deadlines[s.openDisputes == 0 ? 2 : 3];
        }
        if (c.step == Step.Transfer) return s.phase == ITradeFL.Phase.Calculated;
        bool ended = s.phase == ITradeFL.Phase.Settled || s.phase == ITradeFL.Phase.Cancelled;
        bool refuses = actor == address(rogue) && rogue.mood() == Rogue.Mood.Refuse;
        return ended && own.joined && !own.withdrawn && !refuses;
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
        if (c.step == Step.Cancel) return abi.encodeCall(ITradeFL.cancel, ());
        if (c.step == Step.Deposit) {
            bytes32 hash = settlement.agreementHash();
            return abi.encodeCall(ITradeFL.depositSubmit, (c.proper ? hash : ~hash));
        }
        if (c.step == Step.Propose) return abi.encodeCall(ITradeFL.propose, (c.dataPpb, c.cpuHz));
        if (c.step == Step.Report) {
            bytes memory signature = _attestation(actor, c);
            return abi.encodeCall(
                ITradeFL.contributionSubmit, (c.dataPpb, c.cpuHz, keccak256(signature), signature)
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
        return abi.encodeCall(ITradeFL.withdraw, ());
    }

    /// @dev The verifier signs whatever is asked of it; what it signed for another is worth nothing.
    function _attestation(address actor, Call memory c) private view returns (bytes memory) {
        if (c.proper) return attest(actor, c.dataPpb, c.cpuHz);
        if (c.i % 3 == 0) return attest(passerBy, c.dataPpb, c.cpuHz);
        if (c.i % 3 == 1) return attest(actor, c.dataPpb ^ 1, c.cpuHz);
        return bytes("forged");
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
            (, c.i,,,,,) = settlement.progress();
            c.i /= organizationsPerBlock();
        } else if (step == Step.Pairs || step == Step.Calculate) {
            c.i = seed % blocks.length;
        } else {
            c.i = _actor(seed);
        }
        if (seed % 16 == 15) c.i = seed % 5 == 0 ? type(uint256).max : agreed.size + c.i; // there is none
        seed = _next(seed);
        (c.dataPpb, c.cpuHz) = _someReport(c.i < agreed.size ? c.i : 0, seed);
        if (step == Step.Rule && seed % 4 == 0) (c.dataPpb, c.cpuHz) = (0, 0);
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
        uint256 bond = bonds[_actor(seed >> 8)];
        if (seed % 8 == 0) return 0;
        if (seed % 8 == 1) return bond == 0 ? 0 : bond - 1;
        if (seed % 8 == 2) return bond + (seed >> 16) % 1 ether;
        if (seed % 64 == 3) return uint256(type(uint112).max) + (seed >> 16) % 2;
        return bond;
    }

    /// @dev The next step that is due, by whoever it is up to.
    function _due(uint256 seed) private {
        vm.warp(time);
        State memory s = _state();
        Call memory c = _someCall(Step.Withdraw, seed);
        c.proper = true;
        uint256 i = _actor(seed);
        address actor = account(i);
        uint256 value = 0;
        bool again = seed % 8 == 2; // perhaps one that has done so before, and must be refused
        bool early = s.phase == ITradeFL.Phase.Drafting || s.phase == ITradeFL.Phase.Joining;
        bool late = seed % 8 == 1; // too late, or too early, for this one
        if (early && time > s.deadlines[0]) {
            c.step = late ? Step.Deposit : Step.Cancel;
            if (late) value = bonds[i];
        } else if (s.phase == ITradeFL.Phase.Drafting) {
            actor = stranger;
            c.i = 0;
            c.step =
                !s.annexIsPublished ? Step.Annex : s.listed < agreed.size ? Step.Organizations : Step.Pairs;
        } else if (s.phase == ITradeFL.Phase.Joining) {
            for (uint256 k = 0; k < actors.length && s.accounts[i].joined && !again; ++k) {
                i = actors[k];
            }
            actor = account(i);
            c.step = Step.Deposit;
            value = bonds[i] + (seed % 3 == 0 ? seed % 1 ether : 0);
        } else if (s.phase == ITradeFL.Phase.Open) {
            for (uint256 k = 0; k < actors.length && s.accounts[i].reported && !again; ++k) {
                i = actors[k];
            }
            actor = account(i);
            bool over = s.reported == agreed.size || time > s.deadlines[1];
            c.step = over != late ? Step.Record : Step.Report;
            (c.dataPpb, c.cpuHz) = _someReport(i, seed);
        } else if (s.phase == ITradeFL.Phase.Recorded) {
            bool hearing = time <= s.deadlines[2];
            uint256 end = hearing ? s.deadlines[2] : s.openDisputes > 0 ? s.deadlines[3] : 0;
            if (agreed.arbiter != address(0) && time <= end) {
                // The court is at work; sometimes it is left at that, or somebody is impatient.
                if (seed % 4 == 0) return _until(end);
                c = _someCall(late ? Step.Calculate : hearing ? Step.Dispute : Step.Rule, seed);
                if (c.step == Step.Rule) actor = agreed.arbiter;
            } else {
                c.step = Step.Calculate;
                c.i = seed % blocks.length;
            }
        } else if (s.phase == ITradeFL.Phase.Calculated) {
            c.step = Step.Transfer;
        }
        if (seed % 8 == 5) (c.step, value) = (Step.Propose, 0);
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
        (s.annexIsPublished, s.listed, s.published, s.joined, s.reported, s.openDisputes, s.calculated) =
            settlement.progress();
        (s.deadlines[0], s.deadlines[1], s.deadlines[2], s.deadlines[3]) = settlement.deadlines();
        s.accounts = new ITradeFL.Account[](agreed.size);
        for (uint256 i = 0; i < s.accounts.length; ++i) {
            s.accounts[i] = settlement.organization(i);
        }
    }

    function _digest(State memory s) private pure returns (bytes32) {
        return keccak256(abi.encode(s));
    }

    /// @dev Where the account stands in the list; the agreement's size for who is not listed.
    function _place(address who) private view returns (uint256 i) {
        while (i < agreed.size && account(i) != who) ++i;
    }

    function _owed(uint256 i, ITradeFL.Phase phase, int256[] memory expected) private view returns (uint256) {
        if (phase == ITradeFL.Phase.Cancelled) return deposited[i];
        if (phase == ITradeFL.Phase.Settled) return uint256(int256(deposited[i]) + expected[i]);
        return 0;
    }

    function _until(uint256 deadline) private {
        if (time <= deadline) time = deadline + 1;
        vm.warp(time);
    }
}
