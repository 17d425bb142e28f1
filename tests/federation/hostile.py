"""Organizations that send garbage: what each does to its reply, and whole trainings with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message

from tradefl.federation import Plan, Training, make_server_app
from tradefl.federation.client import app as honest_app
from tradefl.federation.client import pledge_of
from tradefl.federation.grid import quiet, run_in_process
from tradefl.federation.pledge import PROFILE_QUERY

CONSORTIUM = Path(__file__).parents[2] / "examples" / "drug_discovery.toml"
NAMES = ("Alpha", "Beta", "Gamma", "Delta", "Epsilon", "Zeta", "Eta", "Theta", "Iota", "Kappa")

Values = dict[str, np.ndarray]
Attack = Callable[[Values, Values, np.random.Generator], Values]


def _each(change: Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]) -> Attack:
    def attack(trained: Values, sent: Values, rng: np.random.Generator) -> Values:
        return {key: change(trained[key], sent[key], rng) for key in trained}

    return attack


def _signs(value: float) -> Attack:
    return _each(
        lambda own, _, rng: (value * rng.choice([-1.0, 1.0], own.shape)).astype(np.float32)
    )


ATTACKS: dict[str, Attack] = {
    "overflow": _signs(3e38),
    "huge": _signs(1e20),
    "noise": _each(lambda own, _, rng: (own + rng.normal(0, 100, own.shape)).astype(np.float32)),
    "scaled": _each(lambda own, sent, _: (sent + 100.0 * (own - sent)).astype(np.float32)),
    "flipped": _each(lambda own, sent, _: (sent - 10.0 * (own - sent)).astype(np.float32)),
    "constant": _each(lambda own, *_: np.full(own.shape, 1e30, np.float32)),
    "float64": _each(lambda own, *_: np.full(own.shape, 1e300, np.float64)),
    "nan": _each(lambda own, *_: np.full(own.shape, np.nan, np.float32)),
    "unchanged": _each(lambda _, sent, __: sent.copy()),
}


class Hostile:
    """The package's ClientApp, in which some organizations attack; its replies are kept."""

    def __init__(self, attack: str | Attack, hostile: Iterable[str]) -> None:
        self.attack = ATTACKS[attack] if isinstance(attack, str) else attack
        self.hostile = set(hostile)
        self.rng = np.random.default_rng(5)
        self.kept: list[tuple[str, Values, Values, int]] = []  # who, sent, returned, samples

    def __call__(self, message: Message, context: Context) -> Message:
        sent = dict(message.content.array_records)
        reply = honest_app(message, context)
        if message.metadata.message_type == PROFILE_QUERY or reply.has_error():
            return reply
        name = pledge_of(message).organization
        before = {key: value.numpy() for key, value in next(iter(sent.values())).items()}
        after = {key: value.numpy() for key, value in reply.content["arrays"].items()}
        if name in self.hostile:
            after = self.attack(after, before, self.rng)
            reply.content["arrays"] = ArrayRecord({k: Array(v) for k, v in after.items()})
        samples = int(reply.content["metrics"]["num-examples"])
        self.kept.append((name, before, after, samples))
        return reply


def attacked(
    attack: str | Attack, hostile: Iterable[str], *, app: Any = None, **settings: Any
) -> Training:
    """Train the ten organizations of the example, some of them hostile."""
    results: list[Training] = []
    given = Plan(**{"consortium": str(CONSORTIUM), **settings})
    server = make_server_app(given, done=results.append)
    nodes = [{"organization": name} for name in NAMES]
    with quiet():
        run_in_process(server, app or Hostile(attack, hostile), nodes, {})
    return results[0]
