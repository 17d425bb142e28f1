"""An organization's side: who it is, what it pledged, and the app that trains.

``ContributingApp`` is Flower's ClientApp with the mod and the query that the server's
:class:`~tradefl.federation.TradeFL` strategy needs; what is trained, and on what, is the app's own.
:data:`app` trains the package's models on the package's data sets.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from flwr.app import ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from tradefl.federation.datasets import load_dataset
from tradefl.federation.models import LocalTraining, Shape, make_model
from tradefl.federation.partition import Scheme, partition
from tradefl.federation.pledge import (
    PLEDGE,
    PROFILE,
    PROFILE_QUERY,
    RECEIPT,
    Pledge,
    chosen_samples,
)
from tradefl.federation.updates import config_of, parameters_of, pledge_record, record_of

Handler = Callable[[Message, Context], Message]


def pledge_of(message: Message) -> Pledge:
    """Return what the organization that a message is for has to contribute.

    Raises
    ------
    KeyError
        The server's strategy is not wrapped in TradeFL.
    """
    record = pledge_record(message.content)
    if record is None:
        raise KeyError(PLEDGE)
    return Pledge.from_record(record)


def pledged_indices(message: Message, available: int) -> npt.NDArray[np.int64]:
    """Return which of an organization's samples it trains on, of so many that it has.

    A seeded random choice of ``d_i |S_i|`` samples, the same in every round. Without a pledge
    (in evaluation, or under a strategy that is not wrapped) all of them.
    """
    if pledge_record(message.content) is None:
        return np.arange(available)
    return chosen_samples(pledge_of(message), available)


def contribution_mod(message: Message, context: Context, call_next: Handler) -> Message:
    """Add the receipt to a reply: the round, the time, and the CPU level of the node config.

    A node that runs below its pledged level says so by ``cpu-hz`` in its node config.
    """
    if pledge_record(message.content) is None:
        return call_next(message, context)
    start = time.perf_counter()
    reply = call_next(message, context)
    if reply.has_content():
        receipt: dict[str, Any] = {
            "organization": pledge_of(message).organization,
            "seconds": time.perf_counter() - start,
        }
        number = _round_of(message)
        if number is not None:
            receipt["round"] = number
        if "cpu-hz" in context.node_config:
            receipt["cpu-hz"] = float(context.node_config["cpu-hz"])
        reply.content[RECEIPT] = ConfigRecord(receipt)
    return reply


def profile(message: Message, context: Context) -> Message:
    """Answer which organization a node is: what its node config says, or its partition."""
    config = context.node_config
    answer: dict[str, Any] = {
        key: config[key] for key in ("organization", "partition-id") if key in config
    }
    return Message(RecordDict({PROFILE: ConfigRecord(answer)}), reply_to=message)


class ContributingApp(ClientApp):
    """A ClientApp that answers the profile query and adds the receipt to what it trains.

    Parameters
    ----------
    mods
        Further mods, inside of ours. The query that asks who a node is does not pass through them.
    """

    def __init__(self, mods: list[Any] | None = None) -> None:
        super().__init__(mods=[contribution_mod, *map(_not_for_queries, mods or [])])
        self.query(PROFILE_QUERY.partition(".")[2])(profile)


def _not_for_queries(mod: Any) -> Any:
    """Return a mod that leaves our query alone, and whose failures name it."""
    name = mod_name(mod)

    def mod_of_messages(message: Message, context: Context, call_next: Handler) -> Message:
        if message.metadata.message_type == PROFILE_QUERY:
            return call_next(message, context)
        inside: list[BaseException] = []

        def called(message: Message, context: Context) -> Message:
            try:
                return call_next(message, context)
            except BaseException as error:
                inside.append(error)  # the app's own, not the mod's
                raise

        try:
            reply: Message = mod(message, context, called)
        except Exception as error:
            if inside and error is inside[-1]:
                raise
            raise RuntimeError(f"mod {name}: {type(error).__name__}: {error}") from error
        return reply

    mod_of_messages.__name__ = name
    return mod_of_messages


def mod_name(mod: Any) -> str:
    """Return what a mod is called in messages."""
    return str(getattr(mod, "__name__", type(mod).__name__))


def _round_of(message: Message) -> int | None:
    """Return the round that a message belongs to, if its configuration says so."""
    for record in message.content.values():
        if isinstance(record, ConfigRecord) and type(record.get("server-round")) is int:
            return int(record["server-round"])  # type: ignore[arg-type]
    return None


# --- the package's own app -----------------------------------------------------------------------

app = ContributingApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train the model on the pledged share of the organization's samples."""
    pledge = pledge_of(message)
    config = config_of(message, "config")
    x, y, shape = _samples(pledge, config, context)
    chosen = pledged_indices(message, len(y))
    model = make_model(
        str(config["model"]),
        shape,
        width=float(config["width"]),  # type: ignore[arg-type]
        device=str(context.node_config.get("device", config["device"])),
    )
    how = LocalTraining(
        epochs=int(config["local-epochs"]),  # type: ignore[arg-type]
        learning_rate=float(config["learning-rate"]),  # type: ignore[arg-type]
        batch_size=int(config["batch-size"]),  # type: ignore[arg-type]
        seed=round_seed(pledge, int(config["server-round"])),  # type: ignore[arg-type]
        proximal_mu=float(config.get("proximal-mu", 0.0)),  # type: ignore[arg-type]
    )
    sent = next(iter(message.content.array_records.values()))
    parameters, loss = model.train(parameters_of(sent), x[chosen], y[chosen], how)
    return Message(
        RecordDict(
            {
                "arrays": record_of(parameters),
                "metrics": MetricRecord({"num-examples": len(chosen), "train-loss": loss}),
            }
        ),
        reply_to=message,
    )


def round_seed(pledge: Pledge, server_round: int) -> int:
    """Return the seed of an organization's training in one round."""
    words = [pledge.seed, server_round, *pledge.organization.encode()]
    return int(np.random.SeedSequence(words).generate_state(1, np.uint32)[0])


def _samples(
    pledge: Pledge, config: ConfigRecord, context: Context
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64], Shape]:
    """Return the samples that the organization holds, and what a model for them must fit."""
    place = context.node_config.get("data-dir", config.get("data-dir"))
    folder = None if place is None else Path(str(place))
    dataset = load_dataset(str(config["data"]), folder)
    if config["partition"] == "own":
        return dataset.x_train, dataset.y_train, dataset.shape
    parts = _partitioned(
        str(config["data"]),
        folder,
        tuple(config["samples-held"]),  # type: ignore[arg-type]
        config["partition"],  # type: ignore[arg-type]
        float(config["alpha"]),  # type: ignore[arg-type]
        pledge.seed,
    )
    names = list(config["organizations"])  # type: ignore[arg-type]
    own = parts[names.index(pledge.organization)]
    return dataset.x_train[own], dataset.y_train[own], dataset.shape


@lru_cache(maxsize=4)
def _partitioned(
    name: str, folder: Path | None, held: tuple[int, ...], scheme: Scheme, alpha: float, seed: int
) -> list[npt.NDArray[np.int64]]:
    """Return everybody's samples; one process may be many organizations, round after round."""
    labels = load_dataset(name, folder).y_train
    return partition(labels, held, scheme=scheme, alpha=alpha, seed=seed)
