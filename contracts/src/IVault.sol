// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The money of many settlements, in one currency.
/// @author The TradeFL developers
/// @notice Money comes in under the name of a settlement that its owner chose, and only that settlement says, once,
/// how it is divided. It leaves to those to whom it was divided, or back to those who brought it.
interface IVault {
    /// @notice This version holds the chain's own currency only.
    /// @param token what was given; it must be zero
    error TokenUnsupported(address token);
    /// @notice There is no contract at this address.
    /// @param settlement what was given
    error NoSettlement(address settlement);
    /// @notice The settlement has divided its money; it takes no more, and divides it only once.
    /// @param settlement which
    error SettlementClosed(address settlement);
    /// @notice The settlement has not divided its money yet.
    /// @param settlement which
    error SettlementOpen(address settlement);
    /// @notice The account has deposited for this settlement before.
    /// @param account who
    error AlreadyDeposited(address account);
    /// @notice The two lists are not equally long.
    /// @param accounts length of the one
    /// @param deltas length of the other
    error LengthMismatch(uint256 accounts, uint256 deltas);
    /// @notice The changes do not add up to zero.
    /// @param sum what they add up to, wei
    error NotConserved(int256 sum);
    /// @notice An account would pay more than it has here.
    /// @param account who
    /// @param locked what it has, wei
    /// @param delta its change, wei
    error Short(address account, uint256 locked, int256 delta);
    /// @notice The account has withdrawn before, or has nothing here.
    /// @param account who
    error NothingToWithdraw(address account);
    /// @notice Money cannot go there.
    /// @param to zero, or the vault itself
    error InvalidRecipient(address to);

    /// @notice Deposits the caller's bond for a settlement. Once for each caller and settlement.
    /// @param settlement which; it must accept the deposit
    /// @param agreementHash the hash that the caller computed from its own file
    function depositSubmit(address settlement, bytes32 agreementHash) external payable;

    /// @notice Divides the calling settlement's money, once, and closes it. Two empty lists: everybody has what it
    /// brought.
    /// @param accounts whose amounts change
    /// @param deltas by how much, wei; they add up to zero, and nobody pays more than it has
    function settle(address[] calldata accounts, int256[] calldata deltas) external;

    /// @notice Sends the caller what it has in a closed settlement. Once; an amount of zero counts, if the caller has
    /// deposited.
    /// @param settlement which
    function withdraw(address settlement) external;

    /// @notice Sends what the caller has in a closed settlement to another address. Once.
    /// @param settlement which
    /// @param to where the money goes
    function withdrawTo(address settlement, address to) external;

    /// @notice Returns the currency.
    /// @return zero: the chain's own
    function token() external view returns (address);

    /// @notice Returns what an account has in a settlement.
    /// @param settlement which
    /// @param account who
    /// @return wei; 0 once withdrawn
    function locked(address settlement, address account) external view returns (uint256);

    /// @notice Returns whether a settlement has divided its money.
    /// @param settlement which
    /// @return whether it has; only then may be withdrawn
    function isClosed(address settlement) external view returns (bool);

    /// @notice Returns whether an account has withdrawn.
    /// @param settlement which
    /// @param account who
    /// @return whether it has
    function withdrawn(address settlement, address account) external view returns (bool);
}
