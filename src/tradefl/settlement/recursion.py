"""Python's recursion limit as it was: web3 brings py-evm, which raises it a hundredfold.

At that height a deeply nested file overruns the stack instead of being refused.
"""

import sys

LIMIT = sys.getrecursionlimit()


def restore() -> None:
    """Set the limit back to what it was before web3 came."""
    sys.setrecursionlimit(LIMIT)
