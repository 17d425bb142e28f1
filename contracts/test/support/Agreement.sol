// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ITradeFL} from "../../src/ITradeFL.sol";

/// @title Builds the bytes and hashes of an agreement, from its description alone.
/// @notice Shares no code with the contract, so that each can be wrong on its own.
library Agreement {
    /// @notice One entry of the list of organizations.
    struct Organization {
        address account;
        uint64 dataBits;
        uint64[] levels;
    }

    uint256 internal constant ORGANIZATIONS_PER_BLOCK = 40;
    uint256 internal constant PAIRS_PER_BLOCK = 8192;

    /// @notice Returns the list, 40 organizations a block.
    function organizationBlocks(Organization[] memory list) internal pure returns (bytes[] memory blocks) {
        blocks = new bytes[]((list.length + ORGANIZATIONS_PER_BLOCK - 1) / ORGANIZATIONS_PER_BLOCK);
        for (uint256 i = 0; i < list.length; ++i) {
            uint256 b = i / ORGANIZATIONS_PER_BLOCK;
            blocks[b] = bytes.concat(blocks[b], entry(list[i]));
        }
    }

    /// @notice Returns one entry of the list: account (20 bytes), data (8), number of levels (1), each level (8).
    function entry(Organization memory one) internal pure returns (bytes memory packed) {
        packed = bytes.concat(bytes20(one.account), bytes8(one.dataBits), bytes1(uint8(one.levels.length)));
        for (uint256 k = 0; k < one.levels.length; ++k) {
            packed = bytes.concat(packed, bytes8(one.levels[k]));
        }
    }

    /// @notice Returns the competition matrix, given as its upper triangle row by row, 8,192 pairs a block.
    function competitionBlocks(uint32[] memory rho) internal pure returns (bytes[] memory blocks) {
        blocks = new bytes[]((rho.length + PAIRS_PER_BLOCK - 1) / PAIRS_PER_BLOCK);
        for (uint256 b = 0; b < blocks.length; ++b) {
            uint256 first = b * PAIRS_PER_BLOCK;
            uint256 count = rho.length - first < PAIRS_PER_BLOCK ? rho.length - first : PAIRS_PER_BLOCK;
            bytes memory packed = new bytes(4 * count);
            for (uint256 k = 0; k < count; ++k) {
                uint32 value = rho[first + k];
                packed[4 * k] = bytes1(uint8(value >> 24));
                packed[4 * k + 1] = bytes1(uint8(value >> 16));
                packed[4 * k + 2] = bytes1(uint8(value >> 8));
                packed[4 * k + 3] = bytes1(uint8(value));
            }
            blocks[b] = packed;
        }
    }

    /// @notice Returns keccak256 of each block.
    function hashes(bytes[] memory blocks) internal pure returns (bytes32[] memory list) {
        list = new bytes32[](blocks.length);
        for (uint256 b = 0; b < blocks.length; ++b) {
            list[b] = keccak256(blocks[b]);
        }
    }

    /// @notice Returns the agreement hash.
    function hash(ITradeFL.Terms memory terms, bytes[] memory organizations, bytes[] memory competition)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(terms, hashes(organizations), hashes(competition)));
    }

    /// @notice Returns where the pair i, j (in either order, i != j) stands in the upper triangle, in closed form.
    function place(uint256 i, uint256 j, uint256 size) internal pure returns (uint256) {
        if (i > j) (i, j) = (j, i);
        return i * (2 * size - i - 1) / 2 + (j - i - 1);
    }

    /// @notice Returns what a verifier signs, EIP-712.
    function attestationDigest(
        uint256 chainId,
        address settlement,
        address organization,
        uint32 dataPpb,
        uint64 cpuHz
    ) internal pure returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256(
                    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
                ),
                keccak256("TradeFL"),
                keccak256("1"),
                chainId,
                settlement
            )
        );
        bytes32 contents = keccak256(
            abi.encode(
                keccak256("Contribution(address organization,uint32 dataPpb,uint64 cpuHz)"),
                organization,
                dataPpb,
                cpuHz
            )
        );
        return keccak256(bytes.concat(hex"1901", domain, contents));
    }
}
