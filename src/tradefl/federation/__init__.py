"""Federated training on Flower, bound to the mechanism.

For an app of your own, wrap the strategy on the server and replace ``ClientApp()`` on the client::

    strategy = TradeFL(strategy=FedAvg(), terms=Terms.load("consortium.toml"))
    app = ContributingApp()

and train on the samples that were pledged: ``data[pledged_indices(message, len(data))]``.
The package's own apps, models and data sets are behind ``tradefl train``.
"""

import os as _os

from tradefl.errors import MissingExtraError

# Flower and Ray report on their use unless that is switched off before they are imported. Nothing
# that rivals do together calls home, unless they want it to.
_os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
_os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

try:
    import flwr as _flwr  # noqa: F401
except ImportError:
    raise MissingExtraError("tradefl.federation", "federation") from None

from tradefl.federation.client import (
    ContributingApp,
    contribution_mod,
    pledge_of,
    pledged_indices,
    profile,
)
from tradefl.federation.ledger import Entry, Ledger, Measured
from tradefl.federation.plan import Plan
from tradefl.federation.pledge import Pledge
from tradefl.federation.strategy import TradeFL
from tradefl.federation.terms import Terms
from tradefl.federation.training import Training, federate, make_server_app, train

__all__ = [
    "ContributingApp",
    "Entry",
    "Ledger",
    "Measured",
    "Plan",
    "Pledge",
    "Terms",
    "TradeFL",
    "Training",
    "contribution_mod",
    "federate",
    "make_server_app",
    "pledge_of",
    "pledged_indices",
    "profile",
    "train",
]
