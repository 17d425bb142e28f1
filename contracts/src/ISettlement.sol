// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What the vault asks of a settlement that members have named.
/// @author The TradeFL developers
/// @notice Only the vault may call these functions; nobody else has a use for them.
interface ISettlement {
    /// @notice Accepts a deposit that lies in the vault, or reverts, and with it the deposit.
    /// @param account who deposits
    /// @param amount wei
    /// @param agreementHash the hash that the depositor computed from its own file
    function depositAccept(address account, uint256 amount, bytes32 agreementHash) external;

    /// @notice Records that an organization takes its money.
    /// @param account whose money
    /// @param to where it goes
    /// @param amount wei
    function withdrawalRecord(address account, address to, uint256 amount) external;
}
