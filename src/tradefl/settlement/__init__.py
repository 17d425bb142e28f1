"""Settlement: an agreement in integers, the contract that carries it out, and its audit.

The integers (``agreement``, ``arithmetic``, ``wei_statement``, ``quantization``) need nothing
beyond the core but a hash function; the chain (``contract``, ``chains``, ``accounts``, ``settle``,
``audit``) needs the ``settlement`` extra, and is imported where it is used.
"""

from tradefl.settlement import recursion as _recursion  # before anything brings web3
from tradefl.settlement.agreement import Agreement
from tradefl.settlement.quantization import quantization_bounds
from tradefl.settlement.rules import Report
from tradefl.settlement.wei_statement import WeiStatement, wei_statement

del _recursion

__all__ = ["Agreement", "Report", "WeiStatement", "quantization_bounds", "wei_statement"]
