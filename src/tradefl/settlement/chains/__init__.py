"""Chains: where a settlement lives. A new kind of chain is a new class here."""

from tradefl.settlement import recursion
from tradefl.settlement.chains.answers import NoAnswerError, RefusedError, StateChangedError
from tradefl.settlement.chains.base import (
    GAS_LIMIT,
    Chain,
    KeySigner,
    NodeSigner,
    Receipt,
    Signer,
)
from tradefl.settlement.chains.embedded import EmbeddedChain
from tradefl.settlement.chains.rpc import RpcChain

recursion.restore()

__all__ = [
    "GAS_LIMIT",
    "Chain",
    "EmbeddedChain",
    "KeySigner",
    "NoAnswerError",
    "NodeSigner",
    "Receipt",
    "RefusedError",
    "RpcChain",
    "Signer",
    "StateChangedError",
]
