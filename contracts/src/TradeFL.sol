// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Settlement} from "./Settlement.sol";
import {TradeMath} from "./TradeMath.sol";

/// @title The settlement of an agreement under the paper's rule, Eq. (9): r_ij = gamma rho_ij (x_i - x_j).
/// @author The TradeFL developers
/// @notice An organization's score is its contribution X_i, in ppb of a bit. The pairs' figures are the competition
/// matrix rho. The arithmetic is {TradeMath}; everything else is {Settlement}.
contract TradeFL is Settlement {
    using SafeCast for uint256;

    /// @dev What an organization's bond follows from.
    struct Exposure {
        uint96 cap; // Xmax, ppb of a bit
        uint160 weight; // sum_j rho_ij Xmax_j; below 2^30 2^96 2^10
    }

    mapping(uint256 index => Exposure exposure) private _exposures;

    /// @notice Drafts a settlement; the lists are published afterwards, by anyone who has them.
    /// @param vault_ what will hold the money
    /// @param terms_ what is agreed
    /// @param organizationBlocks keccak256 of each block of the list of organizations
    /// @param pairBlocks keccak256 of each block of the competition matrix
    constructor(
        address vault_,
        Terms memory terms_,
        bytes32[] memory organizationBlocks,
        bytes32[] memory pairBlocks
    ) Settlement(vault_, terms_, organizationBlocks, pairBlocks) {}

    // --- what Settlement asks of a rule; its words hold ----------------------------------------------------------

    function _listTerms(uint256 index, uint64 dataBits, uint64 fastest, bytes calldata, uint256 offset)
        internal
        override
        returns (uint256)
    {
        _exposures[index].cap = TradeMath.contribution(uint32(TradeMath.PPB), dataBits, _LAMBDA_PPB, fastest);
        return offset; // nothing is added to an entry
    }

    function _weigh(uint256 firstPair, bytes calldata data) internal override {
        uint96[] memory caps = new uint96[](_SIZE);
        uint256[] memory weights = new uint256[](_SIZE);
        for (uint256 i = 0; i < _SIZE; ++i) {
            (caps[i], weights[i]) = (_exposures[i].cap, _exposures[i].weight);
        }
        uint256 largest = TradeMath.weigh(caps, weights, firstPair, data);
        _requireRange("rho", largest, 0, TradeMath.PPB);
        for (uint256 i = 0; i < _SIZE; ++i) {
            _exposures[i].weight = weights[i].toUint160();
        }
    }

    function _cap(uint256 index) internal view override returns (int128) {
        return int128(uint128(_exposures[index].cap));
    }

    function _score(uint256, uint64 dataBits, uint32 dataPpb, uint64 cpuHz)
        internal
        view
        override
        returns (int128)
    {
        return int128(uint128(TradeMath.contribution(dataPpb, dataBits, _LAMBDA_PPB, cpuHz)));
    }

    function _bond(uint256 index) internal view override returns (uint256) {
        return TradeMath.bond(_GAMMA, _exposures[index].weight);
    }

    function _redistribute(int256[] memory r, uint256 firstPair, bytes calldata data) internal view override {
        uint96[] memory x = new uint96[](_SIZE);
        for (uint256 i = 0; i < _SIZE; ++i) {
            x[i] = uint96(uint128(_scoreAt(i))); // from _score, so it fits
        }
        TradeMath.redistribute(_GAMMA, x, r, firstPair, data);
    }

    /// @dev Nothing contributed: X = 0, which is what the value begins with.
    // solhint-disable-next-line no-empty-blocks
    function _silence(uint256) internal pure override returns (int128 nothing) {}

    function _hash(Terms memory terms_, bytes32[] memory organizationBlocks, bytes32[] memory pairBlocks)
        internal
        pure
        override
        returns (bytes32)
    {
        return keccak256(abi.encode(terms_, organizationBlocks, pairBlocks));
    }

    function _pairBytes() internal pure override returns (uint256) {
        return TradeMath.PAIR_BYTES;
    }
}
