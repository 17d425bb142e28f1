"""Accounts: keystore files with their keys, and the organizations that a process acts for."""

from tradefl.settlement.accounts.keystore import (
    PASSWORD_VARIABLE,
    keystore_accounts,
    open_keystore,
    password_from,
)
from tradefl.settlement.accounts.parties import Parties, embedded, on_node

__all__ = [
    "PASSWORD_VARIABLE",
    "Parties",
    "embedded",
    "keystore_accounts",
    "on_node",
    "open_keystore",
    "password_from",
]
