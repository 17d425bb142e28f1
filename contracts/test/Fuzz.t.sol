// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ITradeFL} from "../src/ITradeFL.sol";
import {Efficient} from "./support/Efficient.sol";
import {Linear} from "./support/Linear.sol";
import {SettlementTest} from "./support/SettlementTest.sol";

/// @title The whole life of a settlement, for random agreements, reports, rulings and orders of calls.
/// @dev All that is random comes from one seed, which keeps forge's input small and its shrinking useful.
abstract contract FuzzTests is SettlementTest {
    uint256 private _seed;
    uint256 private _forced;
    uint256[] private _paid;
    int256[] private _stakes; // won less lost, by a model of its own
    uint256[] private _lost;

    /// @notice Zero sum, each R as by the reference, nobody below its deposit minus its bond, and nothing left over.
    function testFuzz_Life(uint256 seed) public {
        _agree(seed);
        _run(_random());
        uint256 size = agreed.size;
        int256[] memory expected = expectedRedistributions();
        uint256[] memory bonds = expectedBonds();
        int256 sum = 0;
        int256 staked = 0;
        for (uint256 i = 0; i < size; ++i) {
            ITradeFL.Account memory a = settlement.organization(i);
            sum += a.redistribution;
            assertEq(a.bond, bonds[i], "bond");
            assertEq(a.redistribution, expected[i], "R");
            assertEq(a.stakes, _stakes[i], "stakes");
            assertGe(
                int256(_paid[i] + bonds[i]),
                int256(uint256(a.deposit)) + _stakes[i],
                "lost more than its bond"
            );
            assertLe(_lost[i], a.deposit - bonds[i], "lost some of its bond as a stake");
            assertEq(int256(_paid[i]), int256(uint256(a.deposit)) + expected[i] + _stakes[i], "paid");
            staked += _stakes[i];
        }
        assertEq(sum, 0, "sum of R");
        assertEq(staked, 0, "sum of stakes");
        assertEq(address(vault).balance, _forced, "left over");
    }

    /// @notice In whatever order all deposit, report, are calculated and withdraw: everybody gets the same.
    function testFuzz_OrderDoesNotMatter(uint256 seed, uint256 order, uint256 otherOrder) public {
        _agree(seed);
        uint256 agreedUpon = _random();
        uint256 start = vm.snapshotState();
        _seed = order;
        _run(agreedUpon);
        uint256[] memory paid = _paid;
        vm.revertToState(start);
        _seed = otherOrder;
        _run(agreedUpon);
        assertEq(_paid, paid);
    }

    /// @notice Silence is the worst that can befall an organization, and costs at most the bond, to the wei: with
    /// all others at their best, the exact bill lies less than one wei a rival below the bond.
    function testFuzz_BondIsWhatSilenceCosts(uint256 seed) public {
        _agree(seed);
        uint256 silent = _random() % agreed.size;
        for (uint256 i = 0; i < agreed.size; ++i) {
            uint64[] memory levels = organizations[i].levels;
            reports[i] = i == silent ? Report(0, 0) : Report(ONE, levels[levels.length - 1]);
        }
        (agreed.arbiter, agreed.verifier, agreed.disputeStakeWei) = (address(0), address(0), 0);
        toSettled();
        ITradeFL.Account memory a = settlement.organization(silent);
        assertLe(-a.redistribution, int256(a.bond), "above the bond");
        int256 bill = a.redistribution < 0 ? -int256(a.redistribution) : int256(0);
        assertLe(int256(a.bond) - bill, int256(bondSlack()), "bond above the worst case");
    }

    /// @notice Blocks of pairs, in either order, each perhaps twice: R is the reference, and its sum is zero
    /// after each.
    /// @dev forge reads the number of runs in the contract that it runs, not in one that it inherits from.
    function _blocksInAnyOrder(uint256 seed, bool backwards, bool twice) internal {
        prepare(twoBlocks());
        _seed = seed;
        assertEq(agreed.arbiter, address(0));
        _drawRule();
        for (uint256 i = 0; i < agreed.size; ++i) {
            uint256 choice = uint256(keccak256(abi.encode(seed, i)));
            if (choice % 16 == 0) reports[i] = Report(0, 0);
            else reports[i].dataPpb = uint32(agreed.minDataPpb + choice % (ONE - agreed.minDataPpb + 1));
        }
        toRecorded();
        bytes[] memory blocks = pairBlocks();
        assertGe(blocks.length, 2);
        for (uint256 k = 0; k < blocks.length; ++k) {
            assertEq(uint256(settlement.phase()), uint256(ITradeFL.Phase.Recorded), "some are not all");
            uint256 b = backwards ? blocks.length - 1 - k : k;
            settlement.payoffCalculate(b, blocks[b]);
            if (twice) settlement.payoffCalculate(b, blocks[b]);
            _checkSum();
        }
        assertEq(uint256(settlement.phase()), uint256(ITradeFL.Phase.Calculated));
        int256[] memory expected = expectedRedistributions();
        for (uint256 i = 0; i < agreed.size; ++i) {
            assertEq(settlement.organization(i).redistribution, expected[i]);
        }
    }

    function _checkSum() private view {
        int256 sum = 0;
        for (uint256 i = 0; i < agreed.size; ++i) {
            sum += settlement.organization(i).redistribution;
        }
        assertEq(sum, 0);
    }

    // --- a random agreement --------------------------------------------------------------------------------------

    /// @dev Two to six organizations; figures of every magnitude that the contract admits, and their ends.
    function _agree(uint256 seed) private {
        _seed = seed;
        uint256 size = 2 + _random() % 5;
        prepare(size);
        agreed.minDataPpb = uint32(1 + _magnitude(30) % ONE);
        if (_random() % 2 == 0) agreed.verifier = verifier;
        if (_random() % 2 == 0) {
            (agreed.arbiter, agreed.disputeStakeWei) = (arbiter, uint128(_magnitude(100)));
        }
        agreed.closingBlocks = uint32(1 + _magnitude(20));
        agreed.organizationsPerBlock = uint16(1 + _random() % 7);
        agreed.pairsPerBlock = uint32(1 + _random() % 16);
        for (uint256 i = 0; i < size; ++i) {
            organizations[i].dataBits = uint64(1 + _magnitude(60));
            delete organizations[i].levels;
            uint256 level = 0;
            uint256 count = 1 + _random() % 4;
            for (uint256 k = 0; k < count; ++k) {
                level += 1 + _magnitude(40);
                organizations[i].levels.push(uint64(level));
            }
            if (_random() % 4 == 0) reports[i] = Report(0, 0); // silent
            else reports[i] = _someReport(i);
        }
        _drawRule();
    }

    /// @dev Draws the rule's figures; a bond beyond the limit could not be deposited.
    function _drawRule() internal virtual;

    function _someReport(uint256 i) private returns (Report memory) {
        uint256 kind = _random() % 4;
        uint32 least = agreed.minDataPpb;
        uint32 dataPpb = kind == 0 ? least : kind == 1 ? ONE : uint32(least + _random() % (ONE - least + 1));
        return Report(dataPpb, organizations[i].levels[_random() % organizations[i].levels.length]);
    }

    // --- its life, in a random order of calls --------------------------------------------------------------------

    /// @dev `what` decides what is done: deposits, disputes and rulings; `_seed` only the order of the calls.
    function _run(uint256 what) private {
        uint256 size = agreed.size;
        toJoining();
        uint256[] memory bonds = expectedBonds();
        uint256[] memory order = _order();
        for (uint256 k = 0; k < size; ++k) {
            uint256 i = order[k];
            uint256 least = bonds[i] + agreed.disputeStakeWei;
            uint256 extra = what >> i & 1 == 0 ? 0 : (what >> 16) % (type(uint112).max - least + 1);
            if (what >> (8 + i) & 1 == 0) extra %= 3 * uint256(agreed.disputeStakeWei) + 1;
            deposit(i, least + extra);
        }
        _forced = what >> 240;
        vm.deal(address(vault), address(vault).balance + _forced);
        order = _order();
        for (uint256 k = 0; k < size; ++k) {
            if (reports[order[k]].dataPpb != 0) {
                _reportPerhapsTwice(order[k], what >> (88 + order[k]) & 1 == 1);
            }
        }
        endWindow();
        settlement.profileRecord();
        (_stakes, _lost) = (new int256[](size), new uint256[](size));
        if (agreed.arbiter != address(0)) _hearings(what, bonds);
        toSettled();
        _paid = new uint256[](size);
        order = _order();
        for (uint256 k = 0; k < size; ++k) {
            uint256 before = account(order[k]).balance;
            withdraw(order[k]);
            _paid[order[k]] = account(order[k]).balance - before;
        }
    }

    /// @dev With a verifier: perhaps another report first, which the right one replaces.
    function _reportPerhapsTwice(uint256 i, bool twice) private {
        if (agreed.verifier == address(0) || !twice) return report(i);
        submit(i, ONE, organizations[i].levels[0], attest(account(i), ONE, organizations[i].levels[0]));
        bytes memory signature = attest(account(i), reports[i].dataPpb, reports[i].cpuHz, 3, 0);
        vm.prank(stranger);
        settlement.contributionSubmit(account(i), reports[i].dataPpb, reports[i].cpuHz, 3, 0, 0, signature);
    }

    /// @dev Some are disputed; of those, some are ruled on: upheld, struck, or set to another feasible report. Not in a
    /// random order: who has lost all that it had beyond its bond loses no more.
    function _hearings(uint256 what, uint256[] memory bonds) private {
        uint256 size = agreed.size;
        uint256 stake = agreed.disputeStakeWei;
        uint256[] memory by = new uint256[](size);
        uint256[] memory raised = new uint256[](size);
        for (uint256 i = 0; i < size; ++i) {
            by[i] = type(uint256).max;
            if (what >> (32 + i) & 1 == 0) continue;
            uint256 raiser = (i + (what >> (96 + 4 * i)) % size) % size;
            if (raiser == i && reports[i].dataPpb != 0) raiser = (i + 1) % size;
            uint256 free = settlement.organization(raiser).deposit - bonds[raiser];
            if (free < (raised[raiser] + 1) * stake) {
                vm.expectPartialRevert(ITradeFL.StakeMissing.selector);
                dispute(raiser, i);
                continue;
            }
            ++raised[raiser];
            by[i] = raiser;
            dispute(raiser, i);
        }
        endWindow();
        for (uint256 i = 0; i < size; ++i) {
            if (by[i] == type(uint256).max || what >> (48 + i) & 1 == 0) continue;
            uint64[] memory levels = organizations[i].levels;
            Report memory old = reports[i];
            if (what >> (64 + i) & 1 == 0) {
                reports[i] = Report(0, 0);
            } else if (what >> (72 + i) & 1 == 0) {
                reports[i] = Report(agreed.minDataPpb, levels[(what >> 80) % levels.length]);
            }
            _stake(i, by[i], old, bonds);
            vm.prank(arbiter);
            settlement.rule(account(i), reports[i].dataPpb, reports[i].cpuHz);
        }
    }

    /// @dev What the ruling on i costs whom.
    function _stake(uint256 i, uint256 by, Report memory old, uint256[] memory bonds) private {
        bool lower = expectedScore(i, reports[i]) < expectedScore(i, old);
        bool same = old.dataPpb == reports[i].dataPpb && old.cpuHz == reports[i].cpuHz;
        if (!lower && !same) return;
        (uint256 loser, uint256 winner) = lower ? (i, by) : (by, i);
        uint256 amount = settlement.organization(loser).deposit - bonds[loser] - _lost[loser];
        if (amount > agreed.disputeStakeWei) amount = agreed.disputeStakeWei;
        if (loser != winner) {
            _stakes[winner] += int256(amount);
        } else {
            uint256 others = agreed.size - 1;
            amount -= amount % others;
            for (uint256 k = 0; k < agreed.size; ++k) {
                if (k != loser) _stakes[k] += int256(amount / others);
            }
        }
        _stakes[loser] -= int256(amount);
        _lost[loser] += amount;
    }

    /// @dev A random permutation of the organizations.
    function _order() private returns (uint256[] memory order) {
        order = new uint256[](agreed.size);
        for (uint256 k = 0; k < order.length; ++k) {
            uint256 other = _random() % (k + 1);
            order[k] = order[other];
            order[other] = k;
        }
    }

    function _random() internal returns (uint256) {
        _seed = uint256(keccak256(abi.encode(_seed)));
        return _seed;
    }

    /// @dev A number of at most `bits` bits, of any magnitude, its greatest value included.
    function _magnitude(uint256 bits) internal returns (uint256) {
        uint256 width = _random() % (bits + 1);
        return _random() % 8 == 0 ? (1 << width) - 1 : _random() & ((1 << width) - 1);
    }
}

contract FuzzTest is FuzzTests, Linear {
    /// forge-config: default.fuzz.runs = 4
    /// forge-config: ci.fuzz.runs = 20
    function testFuzz_BlocksInAnyOrder(uint256 seed, bool backwards, bool twice) public {
        _blocksInAnyOrder(seed, backwards, twice);
    }

    function _drawRule() internal override {
        agreed.gamma = uint128(_magnitude(128));
        agreed.lambdaPpb = uint64(_magnitude(48));
        for (uint256 k = 0; k < rho.length; ++k) {
            uint256 kind = _random() % 8;
            rho[k] = kind == 0 ? 0 : kind == 1 ? ONE : uint32(_random() % (ONE + 1));
        }
        uint256[] memory bonds = expectedBonds();
        for (uint256 i = 0; i < bonds.length; ++i) {
            while (bonds[i] > type(uint112).max - agreed.disputeStakeWei) {
                agreed.gamma /= 2;
                bonds = expectedBonds();
            }
        }
    }
}

contract EfficientFuzzTest is FuzzTests, Efficient {
    /// forge-config: default.fuzz.runs = 4
    /// forge-config: ci.fuzz.runs = 20
    function testFuzz_BlocksInAnyOrder(uint256 seed, bool backwards, bool twice) public {
        _blocksInAnyOrder(seed, backwards, twice);
    }

    /// @dev Schedules of 2 to 32 breakpoints, with values and constants of every magnitude and their ends.
    function _drawRule() internal override {
        int256 most = (1 << 95) - 1;
        for (uint256 i = 0; i < agreed.size; ++i) {
            delete schedules[i];
            uint256 count = _random() % 4 == 0 ? 2 : 2 + _random() % 31;
            int256 value = -int256(_magnitude(95));
            uint256 share = 0;
            for (uint256 k = 0; k < count; ++k) {
                schedules[i].push(Breakpoint(uint32(share), int128(value)));
                if (k + 2 < count) share += 1 + _random() % ((ONE - share) / (count - k));
                else share = ONE;
                value += int256(_magnitude(95)) / (_random() % 4 == 0 ? int256(1) : int256(count));
                if (value > most) value = most;
            }
        }
        for (uint256 k = 0; k < constants.length; ++k) {
            int256 magnitude = int256(_magnitude(95));
            constants[k] = int128(_random() % 2 == 0 ? magnitude : -magnitude);
        }
    }
}
