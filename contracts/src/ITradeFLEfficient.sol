// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ITradeFL} from "./ITradeFL.sol";

/// @title What a settlement under the efficient rule shows beyond any settlement: the schedules.
/// @author The TradeFL developers
/// @notice See ScheduleMath for what a schedule is, and what is paid.
interface ITradeFLEfficient is ITradeFL {
    /// @notice An organization's schedule was listed.
    /// @param index its place, from 0
    /// @param shares b_k, ppb, ascending from 0 to 1e9
    /// @param values v_k, wei, never falling
    event ScheduleListed(uint256 indexed index, uint32[] shares, int96[] values);

    /// @notice Returns an organization's schedule.
    /// @param index its place in the list, from 0
    /// @return shares b_k, ppb
    /// @return values v_k, wei
    function schedule(uint256 index) external view returns (uint32[] memory shares, int96[] memory values);
}
