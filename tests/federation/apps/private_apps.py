"""Apps of one's own with Flower's differential privacy, held to pledges.

A ServerApp ``server_...`` for each wrapper and a ClientApp ``client_...`` for each mod; a run names
one of each.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from flwr.app import ConfigRecord, Context, Message
from flwr.clientapp.mod import (
    LocalDpMod,
    adaptiveclipping_mod,
    arrays_size_mod,
    fixedclipping_mod,
)
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import (
    DifferentialPrivacyClientSideAdaptiveClipping,
    DifferentialPrivacyClientSideFixedClipping,
    DifferentialPrivacyServerSideAdaptiveClipping,
    DifferentialPrivacyServerSideFixedClipping,
    FedAvg,
    Strategy,
)

import tradefl
from tradefl.federation import ContributingApp, Plan, Terms, TradeFL, client, pledge_of
from tradefl.federation.datasets import load_dataset
from tradefl.federation.keys import public_keys
from tradefl.federation.models import make_model
from tradefl.federation.training import samples_held, train_config
from tradefl.federation.updates import record_of

CLIPPING_NORM = 0.25


def client_app(mods: list[Any]) -> ContributingApp:
    """Return an app that trains as the package does, and notes down which node has trained."""
    made = ContributingApp(mods=mods)

    @made.train()
    def train(message: Message, context: Context) -> Message:
        folder = Path(os.environ["FAULTS"]) / "trained" / pledge_of(message).organization
        folder.mkdir(parents=True, exist_ok=True)
        (folder / Path(os.environ["FLWR_HOME"]).name).touch()
        return client.train(message, context)

    return made


def server_app(wrapper: Any) -> ServerApp:
    """Return an app that trains, and writes down the ledger."""
    made = ServerApp()

    @made.main()
    def main(grid: Grid, context: Context) -> None:
        plan = Plan.from_run_config(context.run_config)
        consortium = tradefl.load(plan.consortium)
        dataset = load_dataset(plan.data, plan.folder)
        held, _ = samples_held(consortium, dataset, plan)
        terms = Terms.of(consortium, tradefl.solve(consortium).profile, held, plan.seed)
        inner: Strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=1, min_available_nodes=1)
        if wrapper is not None:
            norm = "clipping_norm" if "Fixed" in wrapper.__name__ else "initial_clipping_norm"
            how = {norm: CLIPPING_NORM, "num_sampled_clients": len(terms)}
            inner = wrapper(inner, noise_multiplier=0.01, **how)
        keys = public_keys(Path(plan.keys), terms.names) if plan.keys else None
        allowed = plan.allow_unregistered
        strategy = TradeFL(inner, terms, public_keys=keys, allow_unregistered=allowed)
        strategy.start(
            grid,
            record_of(make_model(plan.model, dataset.shape, width=plan.width).initial(plan.seed)),
            num_rounds=plan.rounds,
            timeout=plan.round_seconds,
            train_config=ConfigRecord(train_config(plan, terms, dataset)),
        )
        document = {"entries": strategy.ledger.to_list(), "refusals": strategy.refusals}
        temporary = Path(plan.output + ".tmp")
        temporary.write_text(json.dumps(document), "utf-8")
        temporary.replace(plan.output)

    return made


# One by one: Flower looks for the names in the module's text.
server_client_fixed = server_app(DifferentialPrivacyClientSideFixedClipping)
server_client_adaptive = server_app(DifferentialPrivacyClientSideAdaptiveClipping)
server_server_fixed = server_app(DifferentialPrivacyServerSideFixedClipping)
server_server_adaptive = server_app(DifferentialPrivacyServerSideAdaptiveClipping)
server_plain = server_app(None)
client_fixed = client_app([fixedclipping_mod, arrays_size_mod])
client_adaptive = client_app([adaptiveclipping_mod])
client_local_dp = client_app([LocalDpMod(CLIPPING_NORM, 1e-4, epsilon=10.0, delta=1e-5)])
client_plain = client_app([])
