"""The server of an ordinary Flower app; the two lines of TradeFL are marked."""

import json
from pathlib import Path

from flwr.app import Array, ArrayRecord, ConfigRecord, Context, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from task import evaluate, initial_model

from tradefl.federation import Terms, TradeFL

CONSORTIUM = Path(__file__).with_name("consortium.toml")

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Train, and write what each organization has contributed."""
    strategy = FedAvg(fraction_evaluate=0.0, min_available_nodes=4)
    strategy = TradeFL(strategy=strategy, terms=Terms.load(CONSORTIUM))  # TradeFL, line 1
    accuracies = []

    def evaluate_global(server_round: int, arrays: ArrayRecord) -> MetricRecord:
        loss, accuracy = evaluate({key: array.numpy() for key, array in arrays.items()})
        accuracies.append(accuracy)
        print(f"round {server_round}: accuracy {accuracy:.4f}")
        return MetricRecord({"loss": loss, "accuracy": accuracy})

    strategy.start(
        grid,
        ArrayRecord({key: Array(value) for key, value in initial_model().items()}),
        num_rounds=int(context.run_config.get("num-server-rounds", 5)),
        train_config=ConfigRecord({"lr": 0.5}),
        evaluate_fn=evaluate_global,
    )

    measured = {entry.name: entry.measured_fraction for entry in strategy.ledger.measured()}
    for name, fraction in measured.items():
        print(f"{name} contributed {fraction:.4f} of its data")
    output = context.run_config.get("output")
    if output:
        document = {"accuracy": accuracies, "measured_fraction": measured}
        path = Path(str(output)).resolve()
        path.write_text(json.dumps(document, indent=2))
        print(f"results: {path}")
