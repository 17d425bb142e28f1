// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ITradeFLEfficient} from "./ITradeFLEfficient.sol";
import {ScheduleMath} from "./ScheduleMath.sol";
import {Settlement} from "./Settlement.sol";

/// @title The settlement of an agreement under the efficient rule: t_ij = (phi_i - phi_j) / (N - 1) + k_ij.
/// @author The TradeFL developers
/// @notice An organization's score is the value of its schedule at the share it reports, in wei; silence counts as a
/// share of zero. The pairs' figures are the constants k_ij. The arithmetic is {ScheduleMath}; everything else is
/// {Settlement}.
///
/// An organization that agrees trusts that the schedules are what they are meant to be: that each is the organization's
/// effect on the others' payoffs, concave, and zero at the point that all aim at. These follow from private figures and
/// are verified off the chain (`tradefl design`). The contract checks what its own promises need: that schedules do not
/// fall, and that amounts stay within their widths.
contract TradeFLEfficient is ITradeFLEfficient, Settlement {
    using SafeCast for int256;

    /// @dev An organization's schedule, its ends at hand, and what its bond follows from.
    struct Exposure {
        int96 least; // phi(0), wei
        int112 worst; // what it receives in its worst case, wei; |worst| < 2^10 2^97
        uint8 count; // breakpoints: keeps the slot from ever being zero, which is dear to change
        int96 most; // phi(1), wei
        ScheduleMath.Schedule schedule;
    }

    /// @dev Stands in front of what is hashed, where the linear rule has the number of organizations: no agreement
    /// has the hash of another rule's.
    bytes32 private constant _RULE = "efficient";

    mapping(uint256 index => Exposure exposure) private _exposures;

    /// @notice Drafts a settlement; the lists are published afterwards, by anyone who has them.
    /// @param vault_ what will hold the money
    /// @param terms_ what is agreed
    /// @param organizationBlocks keccak256 of each block of the list of organizations
    /// @param pairBlocks keccak256 of each block of the constants
    constructor(
        address vault_,
        Terms memory terms_,
        bytes32[] memory organizationBlocks,
        bytes32[] memory pairBlocks
    ) Settlement(vault_, terms_, organizationBlocks, pairBlocks) {
        _requireRange("gamma", terms_.gamma, 0, 0);
        _requireRange("lambdaPpb", terms_.lambdaPpb, 0, 0);
    }

    /// @inheritdoc ITradeFLEfficient
    function schedule(uint256 index) external view returns (uint32[] memory shares, int96[] memory values) {
        ScheduleMath.Schedule storage listed = _exposures[index].schedule;
        return (listed.shares, listed.values);
    }

    // --- what Settlement asks of a rule; its words hold ----------------------------------------------------------

    function _listTerms(uint256 index, uint64, uint64, bytes calldata data, uint256 offset)
        internal
        override
        returns (uint256)
    {
        uint256 count = _read(data, offset, 1);
        ++offset;
        uint256[] memory shares = new uint256[](count);
        int256[] memory values = new int256[](count);
        for (uint256 k = 0; k < count; ++k) {
            shares[k] = _read(data, offset, 4);
            values[k] = int128(uint128(_read(data, offset + 4, ScheduleMath.PAIR_BYTES)));
            offset += 4 + ScheduleMath.PAIR_BYTES;
        }
        if (!ScheduleMath.isSchedule(shares, values)) revert MalformedOrganization(index);

        Exposure storage exposure = _exposures[index];
        exposure.count = uint8(count);
        exposure.least = int96(values[0]);
        exposure.most = int96(values[count - 1]);
        // isSchedule holds, so every share and every value fits.
        for (uint256 k = 0; k < count; ++k) {
            exposure.schedule.shares.push(uint32(shares[k]));
            exposure.schedule.values.push(int96(values[k]));
        }
        emit ScheduleListed(index, exposure.schedule.shares, exposure.schedule.values);
        return offset;
    }

    function _weigh(uint256 firstPair, bytes calldata data) internal override {
        int256[] memory least = new int256[](_SIZE);
        int256[] memory most = new int256[](_SIZE);
        int256[] memory worst = new int256[](_SIZE);
        for (uint256 i = 0; i < _SIZE; ++i) {
            Exposure storage exposure = _exposures[i];
            (least[i], most[i], worst[i]) = (exposure.least, exposure.most, exposure.worst);
        }
        uint256 largest = ScheduleMath.weigh(least, most, worst, firstPair, data);
        _requireRange("constant", largest, 0, ScheduleMath.LIMIT - 1);
        for (uint256 i = 0; i < _SIZE; ++i) {
            _exposures[i].worst = worst[i].toInt112();
        }
    }

    function _silence(uint256 index) internal view override returns (int128) {
        return _exposures[index].least;
    }

    function _cap(uint256 index) internal view override returns (int128) {
        return _exposures[index].most;
    }

    function _score(uint256 index, uint64, uint32 dataPpb, uint64) internal view override returns (int128) {
        return int128(ScheduleMath.valueAt(_exposures[index].schedule, dataPpb)); // below 2^95
    }

    function _bond(uint256 index) internal view override returns (uint256) {
        return ScheduleMath.bond(_exposures[index].worst);
    }

    function _redistribute(int256[] memory r, uint256 firstPair, bytes calldata data) internal view override {
        int256[] memory phi = new int256[](_SIZE);
        for (uint256 i = 0; i < _SIZE; ++i) {
            phi[i] = _scoreAt(i);
        }
        ScheduleMath.redistribute(phi, r, firstPair, data);
    }

    function _hash(Terms memory terms_, bytes32[] memory organizationBlocks, bytes32[] memory pairBlocks)
        internal
        pure
        override
        returns (bytes32)
    {
        return keccak256(abi.encode(_RULE, terms_, organizationBlocks, pairBlocks));
    }

    function _pairBytes() internal pure override returns (uint256) {
        return ScheduleMath.PAIR_BYTES;
    }
}
