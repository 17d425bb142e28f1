// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Create2} from "@openzeppelin/contracts/utils/Create2.sol";

/// @title Deploys contracts at addresses that follow from what they are.
/// @author The TradeFL developers
/// @notice Nobody owns it, it holds nothing and decides nothing. A contract's address follows from this
/// factory's address, the salt and the creation code; so whoever knows these knows the contract before it exists, and
/// it does not matter who deploys it.
contract Factory {
    /// @notice Deploys a contract, unless it exists already.
    /// @dev Its constructor runs as called by the factory. A constructor that fails reverts with its own data.
    /// @param salt tells contracts of the same creation code apart
    /// @param creationCode what makes the contract, arguments included
    /// @return place its address
    function deploy(bytes32 salt, bytes calldata creationCode) external returns (address place) {
        place = Create2.computeAddress(salt, keccak256(creationCode));
        // What it returns is the same place.
        // slither-disable-next-line unused-return
        if (place.code.length == 0) Create2.deploy(0, salt, creationCode);
    }
}
