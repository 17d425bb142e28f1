// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ISettlement} from "./ISettlement.sol";
import {IVault} from "./IVault.sol";

/// @title The money of many settlements, in one currency.
/// @author The TradeFL developers
/// @notice Nobody owns the vault, and no settlement is registered with it. A depositor names the settlement, and
/// by that alone the settlement may divide the deposit: once, among whomever it likes, and never more than was
/// deposited in its name. So a settlement that lies takes from those who named it, and from nobody else.
///
/// It emits nothing: the settlement logs every deposit and withdrawal, so that one address tells the whole story.
///
/// What holds whatever anybody does: the balance is at least the sum of all amounts of all settlements. Plain ether is
/// refused; ether that is forced in is nobody's and stays.
contract Vault is IVault, ReentrancyGuard {
    using SafeCast for uint256;
    using SafeCast for int256;

    /// @dev An account's place in a settlement: one slot.
    struct Place {
        uint128 amount; // wei
        bool deposited;
        bool withdrawn;
    }

    mapping(address settlement => mapping(address account => Place place)) private _places;
    mapping(address settlement => bool closed) private _closed;

    /// @notice Makes a vault for one currency.
    /// @param token_ zero, the chain's own
    constructor(address token_) {
        if (token_ != address(0)) revert TokenUnsupported(token_);
    }

    /// @inheritdoc IVault
    function depositSubmit(address settlement, bytes32 agreementHash) external payable {
        if (settlement.code.length == 0) revert NoSettlement(settlement);
        if (_closed[settlement]) revert SettlementClosed(settlement);
        Place storage place = _places[settlement][msg.sender];
        if (place.deposited) revert AlreadyDeposited(msg.sender);
        place.deposited = true;
        place.amount = msg.value.toUint128();
        // It may call back; all that it can reach by that is its own members' money, which is its to divide anyway.
        ISettlement(settlement).depositAccept(msg.sender, msg.value, agreementHash);
    }

    /// @inheritdoc IVault
    function settle(address[] calldata accounts, int256[] calldata deltas) external {
        if (_closed[msg.sender]) revert SettlementClosed(msg.sender);
        if (accounts.length != deltas.length) revert LengthMismatch(accounts.length, deltas.length);
        _closed[msg.sender] = true;
        mapping(address account => Place place) storage places = _places[msg.sender];
        int256 sum = 0;
        for (uint256 i = 0; i < accounts.length; ++i) {
            int256 delta = deltas[i];
            sum += delta;
            Place storage place = places[accounts[i]];
            int256 amount = int256(uint256(place.amount)) + delta;
            if (amount < 0) revert Short(accounts[i], place.amount, delta);
            place.amount = amount.toUint256().toUint128();
        }
        if (sum != 0) revert NotConserved(sum);
    }

    /// @inheritdoc IVault
    function withdraw(address settlement) external {
        _withdraw(settlement, msg.sender);
    }

    /// @inheritdoc IVault
    function withdrawTo(address settlement, address to) external {
        if (to == address(0) || to == address(this)) revert InvalidRecipient(to);
        _withdraw(settlement, to);
    }

    /// @inheritdoc IVault
    function locked(address settlement, address account) external view returns (uint256) {
        return _places[settlement][account].amount;
    }

    /// @inheritdoc IVault
    function isClosed(address settlement) external view returns (bool) {
        return _closed[settlement];
    }

    /// @inheritdoc IVault
    function withdrawn(address settlement, address account) external view returns (bool) {
        return _places[settlement][account].withdrawn;
    }

    // Zero is what the value begins with.
    // solhint-disable no-empty-blocks
    /// @notice Returns the currency.
    /// @return zero the chain's own
    function token() external pure returns (address zero) {}
    // solhint-enable no-empty-blocks

    function _withdraw(address settlement, address to) private nonReentrant {
        if (!_closed[settlement]) revert SettlementOpen(settlement);
        Place storage place = _places[settlement][msg.sender];
        uint256 amount = place.amount;
        if (place.withdrawn || (amount == 0 && !place.deposited)) revert NothingToWithdraw(msg.sender);
        place.amount = 0;
        place.withdrawn = true;
        ISettlement(settlement).withdrawalRecord(msg.sender, to, amount);
        Address.sendValue(payable(to), amount);
    }
}
