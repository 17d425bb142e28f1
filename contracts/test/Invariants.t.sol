// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";
import {Handler} from "./support/Handler.sol";
import {Efficient} from "./support/Efficient.sol";
import {Linear} from "./support/Linear.sol";

contract LinearHandler is Handler, Linear {
    constructor(uint256 size, bool court, uint256 acting) Handler(size, court, acting) {}
}

contract EfficientHandler is Handler, Efficient {
    constructor(uint256 size, bool court, uint256 acting) Handler(size, court, acting) {}
}

abstract contract Handlers is Test {
    /// @dev Three of its organizations act. Not `new`, for the sake of the time that compiling takes.
    function deployHandler(string memory rule, uint256 size, bool court) internal returns (Handler) {
        string memory name = string.concat("Invariants.t.sol:", rule, "Handler");
        return Handler(vm.deployCode(name, abi.encode(size, court, 3)));
    }
}

/// @title What holds whatever anybody does, in whatever order.
/// @notice forge lets the actors of {Handler} loose on one settlement. The handler asserts around each call, and
/// fail_on_revert turns that into a failure; what holds between calls is asserted here. All in one invariant: forge
/// runs a campaign of its own for each.
abstract contract Campaign is Handlers {
    Handler internal handler;

    function _start(string memory rule, uint256 size, bool court) internal {
        handler = deployHandler(rule, size, court);
        bytes4[] memory selectors = new bytes4[](9);
        selectors[0] = Handler.proceed.selector;
        selectors[1] = Handler.member.selector;
        selectors[2] = Handler.outsider.selector;
        selectors[3] = Handler.raw.selector;
        selectors[4] = Handler.quarrel.selector;
        selectors[5] = Handler.provoke.selector;
        selectors[6] = Handler.force.selector;
        selectors[7] = Handler.wait_.selector;
        selectors[8] = Handler.scheme.selector;
        targetContract(address(handler));
        targetSelector(FuzzSelector({addr: address(handler), selectors: selectors}));
    }

    /// @param every how often the end is tried out: after each call, or each few calls where that takes long
    function _holds(uint256 every) internal {
        handler.conserves();
        handler.redistributes();
        if (handler.calls() % every != 0) return;
        // Liveness: from here, a stranger alone can end it. Then back to where it was.
        uint256 snapshot = vm.snapshotState();
        handler.finish();
        vm.revertToStateAndDelete(snapshot);
    }
}

/// @title Three organizations, no verifier, no arbiter.
contract PlainInvariants is Campaign {
    function setUp() public {
        _start("Linear", 3, false);
    }

    /// forge-config: default.invariant.fail-on-revert = true
    /// forge-config: ci.invariant.fail-on-revert = true
    function invariant_holds() public {
        _holds(1);
    }
}

/// @title Three organizations, a verifier and an arbiter.
contract CourtInvariants is Campaign {
    function setUp() public {
        _start("Linear", 3, true);
    }

    /// forge-config: default.invariant.fail-on-revert = true
    /// forge-config: ci.invariant.fail-on-revert = true
    function invariant_holds() public {
        _holds(1);
    }
}

/// @title 130 organizations: two blocks of pairs, four of the list. All but three have reported when it starts.
contract BlocksInvariants is Campaign {
    function setUp() public {
        _start("Linear", 130, true);
    }

    /// forge-config: default.invariant.runs = 2
    /// forge-config: default.invariant.depth = 40
    /// forge-config: default.invariant.fail-on-revert = true
    /// forge-config: ci.invariant.runs = 10
    /// forge-config: ci.invariant.depth = 40
    /// forge-config: ci.invariant.fail-on-revert = true
    function invariant_holds() public {
        _holds(8);
    }
}

/// @title The same under the efficient rule, without a court.
contract EfficientPlainInvariants is Campaign {
    function setUp() public {
        _start("Efficient", 3, false);
    }

    /// forge-config: default.invariant.fail-on-revert = true
    /// forge-config: ci.invariant.fail-on-revert = true
    function invariant_holds() public {
        _holds(1);
    }
}

/// @title The same under the efficient rule, with a court.
contract EfficientCourtInvariants is Campaign {
    function setUp() public {
        _start("Efficient", 3, true);
    }

    /// forge-config: default.invariant.fail-on-revert = true
    /// forge-config: ci.invariant.fail-on-revert = true
    function invariant_holds() public {
        _holds(1);
    }
}

/// @title 100 organizations under the efficient rule: two blocks of pairs, seven of the list.
contract EfficientBlocksInvariants is Campaign {
    function setUp() public {
        _start("Efficient", 100, true);
    }

    /// forge-config: default.invariant.runs = 2
    /// forge-config: default.invariant.depth = 40
    /// forge-config: default.invariant.fail-on-revert = true
    /// forge-config: ci.invariant.runs = 10
    /// forge-config: ci.invariant.depth = 40
    /// forge-config: ci.invariant.fail-on-revert = true
    function invariant_holds() public {
        _holds(8);
    }
}

/// @title The same actors with choices drawn here instead of by forge, to count what such campaigns reach: one that
/// never left Joining would prove nothing.
contract ReachTest is Handlers {
    uint256 private constant RUNS = 32;
    uint256 private constant DEPTH = 100;

    Handler private handler;

    function test_CampaignsReachEveryPhaseAndCallWithoutCourt() public {
        handler = deployHandler("Linear", 3, false);
        _reach(false);
    }

    function test_CampaignsReachEveryPhaseAndCallWithCourt() public {
        handler = deployHandler("Linear", 3, true);
        _reach(true);
    }

    function test_CampaignsReachEveryPhaseAndCallUnderTheEfficientRule() public {
        handler = deployHandler("Efficient", 3, true);
        _reach(true);
    }

    function _reach(bool court) private {
        vm.pauseGasMetering();
        uint256[7] memory visits;
        uint256[15] memory successes;
        uint256[15] memory refusals;
        uint256 start = vm.snapshotState();
        for (uint256 run = 0; run < RUNS; ++run) {
            for (uint256 k = 0; k < DEPTH; ++k) {
                _choose(uint256(keccak256(abi.encode(run, k))));
            }
            for (uint256 p = 0; p < visits.length; ++p) {
                visits[p] += handler.visits(p);
            }
            for (uint256 s = 0; s < successes.length; ++s) {
                successes[s] += handler.successes(s);
                refusals[s] += handler.refusals(s);
            }
            vm.revertToState(start);
        }
        for (uint256 p = 0; p < visits.length; ++p) {
            emit log_named_uint(string.concat("calls in phase ", vm.toString(p)), visits[p]);
            assertGe(visits[p], RUNS / 2, "a phase is hardly ever reached");
        }
        for (uint256 s = 0; s < successes.length; ++s) {
            emit log_named_uint(string.concat("successes of step ", vm.toString(s)), successes[s]);
            emit log_named_uint(string.concat("refusals of step ", vm.toString(s)), refusals[s]);
            bool possible = court || (s != uint256(Handler.Step.Dispute) && s != uint256(Handler.Step.Rule));
            if (possible) assertGe(successes[s], RUNS / 8, "a call hardly ever succeeds");
            assertGe(refusals[s], RUNS / 8, "a call is hardly ever refused");
        }
    }

    function _choose(uint256 x) private {
        uint256 y = uint256(keccak256(abi.encode(x)));
        uint256 z = uint256(keccak256(abi.encode(y)));
        bytes memory data = abi.encode(x, z);
        if (x % 9 == 0) handler.proceed(y, z);
        else if (x % 9 == 1) handler.member(x, y, z);
        else if (x % 9 == 2) handler.outsider(y, z);
        else if (x % 9 == 3) handler.raw(x, y, data, z);
        else if (x % 9 == 4) handler.quarrel(y, z);
        else if (x % 9 == 5) handler.provoke(x >> 8, y, z, data);
        else if (x % 9 == 6) handler.force(y);
        else if (x % 9 == 7) handler.scheme(y, z);
        else handler.wait_(y);
    }
}
