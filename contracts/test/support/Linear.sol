// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {ITradeFL} from "../../src/ITradeFL.sol";
import {Agreement} from "./Agreement.sol";
import {SettlementTest} from "./SettlementTest.sol";

/// @title Settlements under the paper's linear rule: gamma, lambda, rho, and what must come out.
abstract contract Linear is SettlementTest {
    uint32[] internal rho; // the upper triangle i < j, row by row, ppb

    function prepareRule(uint256 size) internal virtual override noGasMetering {
        (agreed.organizationsPerBlock, agreed.pairsPerBlock) = (40, 8192);
        (agreed.gamma, agreed.lambdaPpb) = (5e27, 1e8);
        uint32[] memory values = new uint32[](size * (size - 1) / 2);
        for (uint256 k = 0; k < values.length; ++k) {
            values[k] = uint32(uint256(keccak256(abi.encode(k))) % (1e9 + 1));
        }
        rho = values;
    }

    function setRho(uint256 i, uint256 j, uint32 value) internal {
        rho[Agreement.place(i, j, agreed.size)] = value;
    }

    function ruleEntry(uint256) internal pure override returns (bytes memory) {
        return "";
    }

    function pairBlocks() internal override noGasMetering returns (bytes[] memory) {
        uint256[] memory triangle = new uint256[](rho.length);
        for (uint256 k = 0; k < triangle.length; ++k) {
            triangle[k] = rho[k];
        }
        return Agreement.pairBlocks(triangle, pairsPerBlock(), 4);
    }

    function disturbPair(uint256 place) internal override {
        rho[place] ^= 1;
    }

    function resizePairs(bool more) internal override {
        if (more) rho.push(0);
        else rho.pop();
    }

    function expectedScore(uint256 i, Report memory said) internal view override returns (int256) {
        uint256 x = uint256(said.dataPpb) * organizations[i].dataBits;
        return int256(x + uint256(agreed.lambdaPpb) * said.cpuHz);
    }

    function expectedCap(uint256 i) internal view override returns (int256) {
        uint64[] memory levels = organizations[i].levels;
        return expectedScore(i, Report(ONE, levels[levels.length - 1]));
    }

    /// @dev Eq. (9) and (10).
    function expectedRedistributionsOf(uint256 mask)
        internal
        override
        noGasMetering
        returns (int256[] memory r)
    {
        uint32[] memory values = rho;
        r = new int256[](agreed.size);
        if (mask == 0) return r;
        uint256 perBlock = pairsPerBlock();
        int256[] memory x = new int256[](r.length);
        for (uint256 i = 0; i < x.length; ++i) {
            x[i] = expectedScore(i, reports[i]);
        }
        int256 gamma = int256(uint256(agreed.gamma));
        for (uint256 i = 0; i < x.length; ++i) {
            for (uint256 j = 0; j < x.length; ++j) {
                if (i == j) continue;
                uint256 k = Agreement.place(i, j, x.length);
                if (mask >> (k / perBlock) & 1 == 0) continue;
                r[i] += gamma * int256(uint256(values[k])) * (x[i] - x[j]) / 1e36;
            }
        }
    }

    /// @dev Rounded up: gamma sum_j rho_ij Xmax_j / 1e36.
    function expectedBonds() internal override noGasMetering returns (uint256[] memory bonds) {
        uint256 size = agreed.size;
        uint32[] memory values = rho;
        uint256[] memory caps = new uint256[](size);
        for (uint256 i = 0; i < size; ++i) {
            caps[i] = uint256(expectedCap(i));
        }
        bonds = new uint256[](size);
        for (uint256 i = 0; i < size; ++i) {
            uint256 weight = 0;
            for (uint256 j = 0; j < size; ++j) {
                if (i != j) weight += values[Agreement.place(i, j, size)] * caps[j];
            }
            bonds[i] = Math.mulDiv(agreed.gamma, weight, 1e36, Math.Rounding.Ceil);
        }
    }

    /// @dev Each payment is cut by less than a wei, and the bond is rounded up by less than one.
    function bondSlack() internal view override returns (uint256) {
        return agreed.size;
    }

    function contractName() internal pure override returns (string memory) {
        return "TradeFL.sol:TradeFL";
    }

    function hashOf(
        ITradeFL.Terms memory terms,
        bytes32[] memory organizationHashes,
        bytes32[] memory pairHashes
    ) internal pure override returns (bytes32) {
        return keccak256(abi.encode(terms, organizationHashes, pairHashes));
    }
}
