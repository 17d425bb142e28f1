"""Chains: where a settlement lives. A new kind of chain is a new class here."""

from tradefl.settlement import recursion
from tradefl.settlement.chains.answers import (
    BehindError,
    DisagreementError,
    MissingLogsError,
    NoAnswerError,
    RefusedError,
    StateChangedError,
)
from tradefl.settlement.chains.base import (
    GAS_LIMIT,
    Chain,
    KeySigner,
    NodeSigner,
    Receipt,
    Signer,
)
from tradefl.settlement.chains.embedded import EmbeddedChain
from tradefl.settlement.chains.fees import FeeCapError, FeeCaps
from tradefl.settlement.chains.increments import EventReader
from tradefl.settlement.chains.journal import Journal
from tradefl.settlement.chains.rpc import RpcChain

recursion.restore()

__all__ = [
    "GAS_LIMIT",
    "BehindError",
    "Chain",
    "DisagreementError",
    "EmbeddedChain",
    "EventReader",
    "FeeCapError",
    "FeeCaps",
    "Journal",
    "KeySigner",
    "MissingLogsError",
    "NoAnswerError",
    "NodeSigner",
    "Receipt",
    "RefusedError",
    "RpcChain",
    "Signer",
    "StateChangedError",
]
