"""Which of Flower's strategies aggregate, and what each of them means for weights.

A strategy that is a weighted mean has weights that the ledger can record. The robust ones have
none: a median has no weight for anybody, and Krum has one for the update that it picks.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, MetricRecord, RecordDict
from flwr.serverapp.strategy import (
    Bulyan,
    FedAdagrad,
    FedAdam,
    FedAvg,
    FedAvgM,
    FedMedian,
    FedProx,
    FedTrimmedAvg,
    FedXgbBagging,
    FedXgbCyclic,
    FedYogi,
    Krum,
    MultiKrum,
    Strategy,
)

from tradefl.consortium.robust import BEARABLE, unbearable
from tradefl.errors import InputError, Parameter
from tradefl.federation.grid import quiet

# Those whose aggregate is the weighted mean of the updates, or a step along it.
_MEANS = (FedAvg, FedProx, FedAvgM, FedAdam, FedAdagrad, FedYogi, MultiKrum, Krum)
_REFUSED = {
    FedXgbBagging: "FedXgbBagging exchanges trees, which have no shape that the server could check",
    FedXgbCyclic: "FedXgbCyclic trains one organization a round, so the pledges cannot be held",
}


def make_strategy(
    name: str, organizations: int, *, proximal_mu: float = 0.1, hostile: int = -1
) -> Strategy:
    """Return the strategy of a name, in which everybody who is there takes part.

    Parameters
    ----------
    name
        One of ``AGGREGATIONS`` of :mod:`tradefl.consortium.schema`.
    organizations
        How many take part.
    proximal_mu
        FedProx's weight.
    hostile
        How many organizations may be hostile, for trimmed-mean, krum and bulyan; -1: as many as
        the strategy can bear (a third for trimmed-mean).

    Raises
    ------
    InputError
        The strategy cannot bear so many of so few organizations.
    """
    common: dict[str, Any] = {
        "fraction_evaluate": 0.0,  # the server evaluates
        "min_train_nodes": 1,
        "min_available_nodes": 1,
    }
    if name in BEARABLE:
        hostile = assumed_hostile(name, organizations, hostile)
    with quiet():  # Flower warns that nodes do not evaluate
        return _made(name, organizations, common, proximal_mu, hostile)


def _made(
    name: str, organizations: int, common: dict[str, Any], proximal_mu: float, hostile: int
) -> Strategy:
    if name == "fedprox":
        return FedProx(**common, proximal_mu=proximal_mu)
    if name == "fedadam":
        return FedAdam(**common)
    if name == "fedmedian":
        return FedMedian(**common)
    if name == "trimmed-mean":
        # In the middle between two whole numbers: the product with n must not round down.
        return FedTrimmedAvg(**common, beta=min((hostile + 0.5) / organizations, 0.499))
    if name == "krum":
        return Krum(**common, num_malicious_nodes=hostile)
    if name == "bulyan":
        return Bulyan(**common, num_malicious_nodes=hostile)
    return FedAvg(**common)


def assumed_hostile(name: str, organizations: int, hostile: int) -> int:
    """Return how many hostile organizations a strategy is set up for.

    Raises
    ------
    InputError
        It cannot bear so many, or not even one.
    """
    found = unbearable(name, organizations, None if hostile < 0 else hostile)
    if found is not None:
        key, what = found
        raise InputError.at(Parameter(key), what)
    return BEARABLE[name](organizations) if hostile < 0 else hostile


def require_supported(strategy: Strategy) -> None:
    """Refuse strategies that cannot be held to pledges, before anybody trains.

    Raises
    ------
    ValueError
        Says why.
    """
    inner = innermost(strategy)
    for kind, why in _REFUSED.items():
        if isinstance(inner, kind):
            raise ValueError(f"strategy: {why}; use a strategy that averages models")
    accountant = getattr(strategy, "accountant", None)
    if accountant is not None:
        raise ValueError(
            "strategy: Flower's privacy accountant requires equal weights, and TradeFL weighs "
            "updates by pledged samples; leave accountant out"
        )


# What clips on the client's side, and the wrapper of the strategy that tells it how much.
CLIENT_SIDE = {
    "fixedclipping_mod": "DifferentialPrivacyClientSideFixedClipping",
    "adaptiveclipping_mod": "DifferentialPrivacyClientSideAdaptiveClipping",
}


def mod_needed(strategy: Strategy) -> str:
    """Return the mod that every ClientApp needs under a strategy; empty if it needs none."""
    for mod, wrapper in CLIENT_SIDE.items():
        if type(strategy).__name__ == wrapper:
            return mod
    return ""


def innermost(strategy: Strategy) -> Strategy:
    """Return the strategy inside of wrappers, such as those for differential privacy."""
    inner: Any = strategy
    while not hasattr(inner, "weighted_by_key") and hasattr(inner, "strategy"):
        inner = inner.strategy
    return inner  # type: ignore[no-any-return]


def weighs(strategy: Strategy) -> bool:
    """Tell whether the aggregate is a mean with the weights that the updates carry."""
    method = type(innermost(strategy)).aggregate_train
    return any(method is kind.aggregate_train for kind in _MEANS)


@contextlib.contextmanager
def watched(strategy: Strategy) -> Iterator[list[RecordDict]]:
    """Collect the contents that a strategy really aggregates, for as long as the context lasts.

    Flower's strategies hand exactly these to their function for metrics: what Krum and Bulyan leave
    out is not among them. A strategy without such a function leaves the list empty.
    """
    inner: Any = innermost(strategy)
    seen: list[RecordDict] = []
    function = getattr(inner, "train_metrics_aggr_fn", None)
    if function is None:
        yield seen
        return

    def collect(contents: list[RecordDict], key: str) -> MetricRecord:
        seen.extend(contents)
        return function(contents, key)  # type: ignore[no-any-return]

    inner.train_metrics_aggr_fn = collect
    try:
        yield seen
    finally:
        inner.train_metrics_aggr_fn = function


# FedAdam's, FedYogi's and FedAdagrad's moments, and FedAvgM's momentum: what a single update can
# spoil for all rounds to come.
MOMENTS = ("m_t", "v_t", "momentum_vector")


def largest_moment(strategy: Strategy) -> float:
    """Return the largest number that a strategy carries into later rounds; NaN if it has one."""
    largest = 0.0
    for key in MOMENTS:
        kept = getattr(innermost(strategy), key, None)
        values = kept.values() if isinstance(kept, dict) else kept or ()
        for value in values:
            found = float(np.max(np.abs(value), initial=0.0))
            if not math.isfinite(found):
                return math.nan
            largest = max(largest, found)
    return largest


class Snapshot:
    """The state of a strategy and of what it wraps, to try an aggregation and take it back.

    Flower's strategies replace their arrays and numbers in each round and change only dictionaries
    and records in place, so these are copied and everything else is kept by reference.
    """

    def __init__(self, strategy: Strategy) -> None:
        self._kept: list[tuple[Any, dict[str, Any]]] = []
        one: Any = strategy
        while one is not None:
            self._kept.append((one, _copied(vars(one))))
            one = vars(one).get("strategy")

    def restore(self) -> None:
        """Put the state back."""
        for strategy, state in self._kept:
            vars(strategy).clear()
            vars(strategy).update(_copied(state))


def _copied(state: dict[str, Any]) -> dict[str, Any]:
    return {
        key: copy.copy(value) if isinstance(value, dict | list) else _record(value)
        for key, value in state.items()
    }


def _record(value: Any) -> Any:
    return value.copy() if isinstance(value, ArrayRecord) else value
