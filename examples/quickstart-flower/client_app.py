"""The client of an ordinary Flower app; the two lines of TradeFL are marked."""

from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from task import fit, load_partition

from tradefl.federation import ContributingApp, pledged_indices

app = ContributingApp()  # TradeFL, line 2: in place of ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train the global model on the organization's share of its data."""
    x, y = load_partition(int(context.node_config["partition-id"]))
    chosen = pledged_indices(message, len(y))  # TradeFL: the samples that were pledged
    model = {key: array.numpy() for key, array in message.content["arrays"].items()}
    model = fit(model, x[chosen], y[chosen], lr=float(message.content["config"]["lr"]))
    return Message(
        RecordDict(
            {
                "arrays": ArrayRecord({key: Array(value) for key, value in model.items()}),
                "metrics": MetricRecord({"num-examples": len(chosen)}),
            }
        ),
        reply_to=message,
    )
