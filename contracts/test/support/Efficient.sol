// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ITradeFL} from "../../src/ITradeFL.sol";
import {TradeFLEfficient} from "../../src/TradeFLEfficient.sol";
import {Agreement} from "./Agreement.sol";
import {SettlementTest} from "./SettlementTest.sol";

/// @title Settlements under the efficient rule: schedules, constants, and what must come out.
abstract contract Efficient is SettlementTest {
    struct Breakpoint {
        uint32 share; // ppb
        int128 value; // wei
    }

    mapping(uint256 i => Breakpoint[]) internal schedules;
    int128[] internal constants; // k_ij, the upper triangle i < j, row by row, wei

    /// @dev Concave schedules of two to five breakpoints, zero at some share; constants of both signs.
    function prepareRule(uint256 size) internal virtual override noGasMetering {
        (agreed.organizationsPerBlock, agreed.pairsPerBlock) = (12, 4096);
        for (uint256 i = 0; i < size; ++i) {
            delete schedules[i];
            int128 slope = int128(int256(1e9 + i * 7_654_321)); // wei per ppb: a wei or so is lost to rounding
            uint256 inner = i % 4;
            int128 value = -slope;
            uint32 share = 0;
            schedules[i].push(Breakpoint(0, value * 1e9));
            for (uint256 k = 0; k < inner; ++k) {
                uint32 step = uint32(2e8 + 13 * i);
                value = int128(schedules[i][k].value / 1e9 + slope * int128(uint128(step)) / 1e9);
                share += step;
                schedules[i].push(Breakpoint(share, value * 1e9 + int128(int256(i))));
                slope /= 2;
            }
            int128 last = schedules[i][inner].value;
            schedules[i].push(Breakpoint(1e9, last + slope * int128(uint128(uint256(1e9 - share)))));
        }
        int128[] memory values = new int128[](size * (size - 1) / 2);
        for (uint256 k = 0; k < values.length; ++k) {
            values[k] = int128(int256(uint256(keccak256(abi.encode(k))) % 2e16)) - 1e16;
        }
        constants = values;
    }

    /// @dev The settlement as what it is.
    function efficient() internal view returns (TradeFLEfficient) {
        return TradeFLEfficient(address(settlement));
    }

    function ruleEntry(uint256 i) internal view override returns (bytes memory packed) {
        packed = bytes.concat(bytes1(uint8(schedules[i].length)));
        for (uint256 k = 0; k < schedules[i].length; ++k) {
            Breakpoint memory one = schedules[i][k];
            packed = bytes.concat(packed, bytes4(one.share), bytes16(uint128(one.value)));
        }
    }

    function pairBlocks() internal override noGasMetering returns (bytes[] memory) {
        uint256[] memory triangle = new uint256[](constants.length);
        for (uint256 k = 0; k < triangle.length; ++k) {
            triangle[k] = uint128(constants[k]);
        }
        return Agreement.pairBlocks(triangle, pairsPerBlock(), 16);
    }

    function disturbPair(uint256 place) internal override {
        constants[place] ^= 1;
    }

    function resizePairs(bool more) internal override {
        if (more) constants.push(0);
        else constants.pop();
    }

    /// @dev phi_i at a share: from the last breakpoint that is not beyond it.
    function expectedScore(uint256 i, Report memory said) internal view override returns (int256) {
        uint256 k = schedules[i].length - 1;
        while (schedules[i][k].share > said.dataPpb) --k;
        Breakpoint memory from = schedules[i][k];
        if (from.share == said.dataPpb) return from.value;
        Breakpoint memory to = schedules[i][k + 1];
        uint256 rise = uint256(int256(to.value) - from.value);
        return from.value + int256(rise * (said.dataPpb - from.share) / (to.share - from.share));
    }

    function expectedCap(uint256 i) internal view override returns (int256) {
        return schedules[i][schedules[i].length - 1].value;
    }

    function expectedRedistributionsOf(uint256 mask)
        internal
        override
        noGasMetering
        returns (int256[] memory r)
    {
        r = new int256[](agreed.size);
        if (mask == 0) return r;
        uint256 perBlock = pairsPerBlock();
        int256[] memory phi = new int256[](r.length);
        for (uint256 i = 0; i < r.length; ++i) {
            phi[i] = expectedScore(i, reports[i]);
        }
        int128[] memory values = constants;
        for (uint256 i = 0; i < r.length; ++i) {
            for (uint256 j = 0; j < r.length; ++j) {
                if (i == j) continue;
                uint256 k = Agreement.place(i, j, r.length);
                if (mask >> (k / perBlock) & 1 == 0) continue;
                r[i] += quotient(phi[i] - phi[j], r.length - 1);
                r[i] += i < j ? int256(values[k]) : -int256(values[k]);
            }
        }
    }

    /// @dev What each owes with its least against everybody's most.
    function expectedBonds() internal override noGasMetering returns (uint256[] memory bonds) {
        uint256 size = agreed.size;
        bonds = new uint256[](size);
        int128[] memory values = constants;
        int256[] memory caps = new int256[](size);
        for (uint256 i = 0; i < size; ++i) {
            caps[i] = expectedCap(i);
        }
        for (uint256 i = 0; i < size; ++i) {
            int256 owed = 0;
            int256 least = schedules[i][0].value;
            for (uint256 j = 0; j < size; ++j) {
                if (i == j) continue;
                int256 own = values[Agreement.place(i, j, size)];
                owed += quotient(caps[j] - least, size - 1) - (i < j ? own : -own);
            }
            bonds[i] = owed > 0 ? uint256(owed) : 0;
        }
    }

    /// @dev A quotient of magnitudes, with the sign put back: cut toward zero.
    function quotient(int256 numerator, uint256 denominator) internal pure returns (int256) {
        if (numerator < 0) return -int256(uint256(-numerator) / denominator);
        return int256(uint256(numerator) / denominator);
    }

    /// @dev A bond is the worst case, to the wei.
    function bondSlack() internal pure override returns (uint256) {
        return 0;
    }

    function contractName() internal pure override returns (string memory) {
        return "TradeFLEfficient.sol:TradeFLEfficient";
    }

    function hashOf(
        ITradeFL.Terms memory terms,
        bytes32[] memory organizationHashes,
        bytes32[] memory pairHashes
    ) internal pure override returns (bytes32) {
        return keccak256(abi.encode(bytes32("efficient"), terms, organizationHashes, pairHashes));
    }
}
