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

from tradefl.errors import InputError
from tradefl.federation.datasets import Dataset, load_dataset
from tradefl.federation.models import LocalTraining, Shape, make_model
from tradefl.federation.orphans import end_with_supernode
from tradefl.federation.partition import Scheme, partition
from tradefl.federation.pledge import (
    PLEDGE,
    PROFILE,
    PROFILE_QUERY,
    RECEIPT,
    Pledge,
    chosen_samples,
    own_code,
)
from tradefl.federation.updates import config_of, parameters_of, pledge_record, record_of, round_of

Handler = Callable[[Message, Context], Message]
FEW = 8
# (the terms of the run, the node's context) -> why the node cannot train by them, or None.
Confirm = Callable[[ConfigRecord, Context], str | None]


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
    end_with_supernode()
    start = time.perf_counter()
    reply = call_next(message, context)
    if reply.has_content():
        receipt: dict[str, Any] = {
            "organization": pledge_of(message).organization,
            "seconds": time.perf_counter() - start,
        }
        number = round_of(message)
        if number is not None:
            receipt["round"] = number
        if "cpu-hz" in context.node_config:
            receipt["cpu-hz"] = float(context.node_config["cpu-hz"])
        reply.content[RECEIPT] = ConfigRecord(receipt)
    return reply


def profile(message: Message, context: Context) -> Message:
    """Answer which organization a node is: what its node config says, or its partition.

    To a server that states the terms of the run, also which code the node runs.
    """
    return _profile(message, context, [], None)


def _profile(
    message: Message, context: Context, mods: list[str], confirm: Confirm | None
) -> Message:
    """Answer who a node is, and whether it can train by the terms of the run."""
    config, terms = context.node_config, config_of(message, PROFILE)
    answer: dict[str, Any] = {
        key: config[key] for key in ("organization", "partition-id") if key in config
    }
    if terms:
        answer |= {**own_code(), "mods": mods}
        try:
            refusal = None if confirm is None else confirm(terms, context)
        except Exception as error:  # the app's own; the server refuses the node with its words
            refusal = f"{type(error).__name__}: {error}"
        answer |= {"refusal": refusal} if refusal else {}
    return Message(RecordDict({PROFILE: ConfigRecord(answer)}), reply_to=message)


class ContributingApp(ClientApp):
    """A ClientApp that answers the profile query and adds the receipt to what it trains.

    Parameters
    ----------
    mods
        Further mods, inside of ours. The query that asks who a node is does not pass through them.
    confirm
        Called with the terms of the run before the first round; returns why this node cannot train
        by them, or ``None`` if it can. A node that refuses takes no part.
    """

    def __init__(self, mods: list[Any] | None = None, confirm: Confirm | None = None) -> None:
        super().__init__(mods=[contribution_mod, *map(_not_for_queries, mods or [])])
        names = [mod_name(mod) for mod in mods or []]

        def answer(message: Message, context: Context) -> Message:
            return _profile(message, context, names, confirm)

        self.query(PROFILE_QUERY.partition(".")[2])(answer)


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


# --- the package's own app -----------------------------------------------------------------------


def _confirm(terms: ConfigRecord, context: Context) -> str | None:
    """Return why this node's data or model does not fit the run, before anybody trains."""
    if "classes" not in terms:  # another's server
        return None
    try:
        dataset = _dataset(terms, context)
        _labels_of_the_run(dataset, terms)
        inputs = "x".join(map(str, dataset.shape.inputs))
        if inputs != terms["inputs"]:
            return f"its samples have the shape {inputs}, those of the run {terms['inputs']!s}"
        width, classes = float(str(terms["width"])), int(str(terms["classes"]))
        names, shapes, dtypes = _parameters(
            str(terms["model"]), width, dataset.shape.inputs, classes
        )
    except InputError as error:
        return "; ".join(error.lines())
    for what, own in (("names", names), ("shapes", shapes), ("dtypes", dtypes)):
        if list(terms[what]) != own:  # type: ignore[arg-type]
            return f"its model {terms['model']!r} has parameters of other {what} than the run's"
    return None


@lru_cache(maxsize=4)
def _parameters(
    model: str, width: float, inputs: tuple[int, ...], classes: int
) -> tuple[list[str], list[str], list[str]]:
    """Return the names, shapes and precisions of a model's parameters."""
    initial = make_model(model, Shape(inputs, classes), width=width).initial(0)
    shapes = ["x".join(map(str, value.shape)) for value in initial.values()]
    return list(initial), shapes, [str(value.dtype) for value in initial.values()]


app = ContributingApp(confirm=_confirm)


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
    dataset = _dataset(config, context)
    shape = Shape(dataset.shape.inputs, int(config["classes"]))  # type: ignore[arg-type]
    if config["partition"] == "own":
        return dataset.x_train, _labels_of_the_run(dataset, config), shape
    folder = _folder(config, context)
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
    return dataset.x_train[own], dataset.y_train[own], shape


def _folder(config: ConfigRecord, context: Context) -> Path | None:
    place = context.node_config.get("data-dir", config.get("data-dir"))
    return None if place is None else Path(str(place))


def _dataset(config: ConfigRecord, context: Context) -> Dataset:
    """Return the data set that the run names: of everybody, or this organization's own."""
    share, folder = config["partition"] == "own", _folder(config, context)
    own = "data-dir" in context.node_config
    # Organizations that are partitions of one machine have the server's folder in common.
    if share and not own and (folder is None or "partition-id" in context.node_config):
        what = 'partition = "own" needs the folder of this organization\'s own data'
        raise InputError.at("node config: data-dir", what)
    return load_dataset(str(config["data"]), folder, share=share)


def _labels_of_the_run(dataset: Dataset, config: ConfigRecord) -> npt.NDArray[np.int64]:
    """Return the training labels as the run numbers its classes.

    Classes with names, such as folders of images, are matched by name: an organization that lacks
    one counts on from another.

    Raises
    ------
    InputError
        A label is not among the classes of the run.
    """
    classes, names = int(config["classes"]), list(config.get("labels", ()))  # type: ignore[arg-type]
    place = f"{dataset.name}: y_train"
    if names and dataset.labels:
        strange = [name for name in dataset.labels if name not in names]
        if strange:
            known = ", ".join(map(str, names[:FEW]))
            what = f"its class {strange[0]!r} is not one of the run's: {known}"
            raise InputError.at(place, what + (", ..." if len(names) > FEW else ""))
        return np.array([names.index(name) for name in dataset.labels])[dataset.y_train]
    if dataset.y_train.max() >= classes:
        what = f"it has the label {int(dataset.y_train.max())}, the run has 0 .. {classes - 1}"
        raise InputError.at(place, what)
    return dataset.y_train


@lru_cache(maxsize=4)
def _partitioned(
    name: str, folder: Path | None, held: tuple[int, ...], scheme: Scheme, alpha: float, seed: int
) -> list[npt.NDArray[np.int64]]:
    """Return everybody's samples; one process may be many organizations, round after round."""
    labels = load_dataset(name, folder).y_train
    return partition(labels, held, scheme=scheme, alpha=alpha, seed=seed)
