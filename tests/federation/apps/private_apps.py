"""An app of one's own with Flower's differential privacy on the clients' side, held to pledges."""

from __future__ import annotations

import json
from pathlib import Path

from flwr.app import ConfigRecord, Context
from flwr.clientapp.mod import arrays_size_mod, fixedclipping_mod
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import DifferentialPrivacyClientSideFixedClipping, FedAvg

import tradefl
from tradefl.federation import ContributingApp, Plan, Terms, TradeFL, client
from tradefl.federation.datasets import load_dataset
from tradefl.federation.keys import public_keys
from tradefl.federation.models import make_model
from tradefl.federation.training import samples_held, train_config
from tradefl.federation.updates import record_of

CLIPPING_NORM = 0.25

app = ContributingApp(mods=[fixedclipping_mod, arrays_size_mod])
app.train()(client.train)

server = ServerApp()


@server.main()
def main(grid: Grid, context: Context) -> None:
    """Train one round, and write down the ledger."""
    plan = Plan.from_run_config(context.run_config)
    consortium = tradefl.load(plan.consortium)
    dataset = load_dataset(plan.data, plan.folder)
    held, _ = samples_held(consortium, dataset, plan)
    terms = Terms.of(consortium, tradefl.solve(consortium).profile, held, plan.seed)
    inner = DifferentialPrivacyClientSideFixedClipping(
        FedAvg(fraction_evaluate=0.0, min_train_nodes=1, min_available_nodes=1),
        noise_multiplier=0.01,
        clipping_norm=CLIPPING_NORM,
        num_sampled_clients=len(terms),
    )
    strategy = TradeFL(inner, terms, public_keys=public_keys(Path(plan.keys), terms.names))
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
