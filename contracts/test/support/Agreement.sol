// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Builds the bytes and hashes of an agreement, from its description alone.
/// @notice Shares no code with the contract, so that each can be wrong on its own.
library Agreement {
    /// @notice One entry of the list of organizations.
    struct Organization {
        address account;
        uint64 dataBits;
        uint64[] levels;
    }

    /// @notice Returns one entry of the list: account (20 bytes), data (8), number of levels (1), each level (8).
    function entry(Organization memory one) internal pure returns (bytes memory packed) {
        packed = bytes.concat(bytes20(one.account), bytes8(one.dataBits), bytes1(uint8(one.levels.length)));
        for (uint256 k = 0; k < one.levels.length; ++k) {
            packed = bytes.concat(packed, bytes8(one.levels[k]));
        }
    }

    /// @notice Returns a list of entries, cut into blocks of so many.
    function listBlocks(bytes[] memory entries, uint256 perBlock)
        internal
        pure
        returns (bytes[] memory blocks)
    {
        blocks = new bytes[]((entries.length + perBlock - 1) / perBlock);
        for (uint256 i = 0; i < entries.length; ++i) {
            uint256 b = i / perBlock;
            blocks[b] = bytes.concat(blocks[b], entries[i]);
        }
    }

    /// @notice Returns what is known of each pair, an upper triangle row by row, cut into blocks of so many pairs.
    /// @param width how many bytes each value takes, big-endian
    function pairBlocks(uint256[] memory triangle, uint256 perBlock, uint256 width)
        internal
        pure
        returns (bytes[] memory blocks)
    {
        blocks = new bytes[]((triangle.length + perBlock - 1) / perBlock);
        for (uint256 b = 0; b < blocks.length; ++b) {
            uint256 first = b * perBlock;
            uint256 count = triangle.length - first < perBlock ? triangle.length - first : perBlock;
            bytes memory packed = new bytes(width * count + 32); // room for the last word
            for (uint256 k = 0; k < count; ++k) {
                uint256 value = triangle[first + k] << (256 - 8 * width);
                assembly ("memory-safe") {
                    mstore(add(add(packed, 32), mul(width, k)), value)
                }
            }
            assembly ("memory-safe") {
                mstore(packed, mul(width, count))
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

    /// @notice Returns where the pair i, j (in either order, i != j) is in the upper triangle, in closed form.
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
        uint64 cpuHz,
        uint64 serial,
        uint64 expiry
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
                keccak256(
                    "Contribution(address organization,uint32 dataPpb,uint64 cpuHz,uint64 serial,uint64 expiry)"
                ),
                organization,
                dataPpb,
                cpuHz,
                serial,
                expiry
            )
        );
        return keccak256(bytes.concat(hex"1901", domain, contents));
    }
}
