"""A training, as the user asks for it: everything that its result depends on."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

from tradefl.arguments import NUMBER, TEXT, TRUTH, whole
from tradefl.consortium.robust import BEARABLE
from tradefl.consortium.schema import AGGREGATIONS, suggestion
from tradefl.consortium.schema import Training as Agreed
from tradefl.errors import InputError, Parameter, Problem
from tradefl.federation.datasets import DEFAULT_DATA
from tradefl.federation.models import DEFAULT_MODEL
from tradefl.federation.objects import plain
from tradefl.federation.partition import Scheme
from tradefl.federation.terms import DEADLINES, Deadline
from tradefl.solvers import DEFAULT_METHOD, METHODS

PARTITIONS: tuple[str, ...] = (*get_args(Scheme), "own")
LEARNING_RATE = {DEFAULT_MODEL: 0.5}
TORCH_LEARNING_RATE = 0.02
VALIDATION_FRACTION = 0.1
ALPHA = 0.5
# A number that the consortium's file decides. Not None: Flower's run config has no such value.
AS_AGREED = -1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """What to train, on what, how long, and whose pledges.

    Attributes
    ----------
    consortium
        The file; an empty text where the consortium itself is passed along.
    scheme
        The solver whose contributions are pledged.
    data, data_dir
        The data set, and the folder where its files are; an empty text: none.
    partition, alpha
        Who holds what: ``iid`` and ``dirichlet`` (with the concentration alpha) deal the data set
        out; ``own``: each organization's folder holds its own.
    model, width, device
        As in :func:`tradefl.federation.models.make_model`.
    rounds, local_epochs, learning_rate, batch_size
        Of federated averaging; a learning rate of 0 is the model's default.
    aggregation, proximal_mu, clip_norm, assumed_hostile
        Which of Flower's strategies aggregates; FedProx's weight; the longest step of an update (0:
        any); how many hostile organizations trimmed-mean, krum and bulyan are set up for. An empty
        text or -1: as the consortium's ``[training]`` says, or its default.
    validation_fraction
        The part of the test samples that serves the server alone, to judge every round's model;
        accuracies are of the rest. 0: none, and only a model that is not finite is undone. -1: as
        the consortium's ``[training]`` says, or 0.1.
    deadline
        As in :class:`tradefl.federation.TradeFL`; an empty text: as the consortium's ``[training]``
        says, or by Eq. (2); none under TOS, which ignores the deadline.
    seed
        Of the partition, the choice of samples, the model and the order of training.
    join_seconds, round_seconds
        How long to wait for organizations to connect, and for their replies in a round.
    output, checkpoint
        Where the document and the state after every round go; an empty text: nowhere.
    resume, overwrite
        Continue from the checkpoint; replace one that is there. Without either, a checkpoint that
        is there is an error.
    keys
        A folder of public keys, ``<organization>.pub``: then nodes must have these.
    allow_unregistered
        Train without keys on nodes of other machines.
    allow_other_code
        Let nodes take part that run another version of this package.
    """

    consortium: str = ""
    scheme: str = DEFAULT_METHOD
    data: str = DEFAULT_DATA
    data_dir: str = ""
    partition: str = "iid"
    alpha: float = ALPHA
    model: str = DEFAULT_MODEL
    width: float = 1.0
    device: str = "cpu"
    rounds: int = 5
    local_epochs: int = 1
    learning_rate: float = 0.0
    batch_size: int = 32
    aggregation: str = ""
    proximal_mu: float = AS_AGREED
    clip_norm: float = AS_AGREED
    assumed_hostile: int = AS_AGREED
    validation_fraction: float = AS_AGREED
    deadline: str = ""
    seed: int = 0
    join_seconds: float = 60.0
    round_seconds: float = 3600.0
    output: str = ""
    checkpoint: str = ""
    resume: bool = False
    overwrite: bool = False
    keys: str = ""
    allow_unregistered: bool = False
    allow_other_code: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be meant, all of it at once."""
        problems: list[Problem] = []

        def require(name: str, holds: bool, expected: str) -> None:
            if not holds:
                problems.append(
                    Problem(Parameter(name), f"expected {expected}, got {getattr(self, name)!r}")
                )

        def choice(name: str, known: tuple[str, ...]) -> None:
            words = tuple(filter(None, known))  # an empty one is the default
            hint = suggestion(str(getattr(self, name)), words)
            require(name, getattr(self, name) in known, f"one of {', '.join(words)}{hint}")

        for field, kind in KINDS.items():
            if not kind.fits(getattr(self, field)):
                kind.require(field, getattr(self, field))
        choice("scheme", METHODS)
        choice("partition", PARTITIONS)
        choice("aggregation", ("", *AGGREGATIONS))
        choice("deadline", ("", *DEADLINES))
        for name in ("rounds", "local_epochs", "batch_size"):
            number = getattr(self, name)
            whole = type(number) is int and 1 <= number <= 1_000_000
            require(name, whole, "a whole number from 1 to 1,000,000")
        for name in ("alpha", "width", "round_seconds"):
            require(name, 0.0 < getattr(self, name) < math.inf, "a number > 0")
        for name in ("learning_rate", "join_seconds"):
            require(name, 0.0 <= getattr(self, name) < math.inf, "a number >= 0")
        for name in ("proximal_mu", "clip_norm"):
            number = getattr(self, name)
            require(name, number == AS_AGREED or 0.0 <= number < math.inf, "a number >= 0")
        number = self.assumed_hostile
        least = type(number) is int and (number == AS_AGREED or number >= 1)
        require("assumed_hostile", least, "a whole number >= 1")
        fraction = self.validation_fraction
        fits = fraction == AS_AGREED or 0.0 <= fraction < 1.0
        require("validation_fraction", fits, "0 or more, below 1")
        whole = type(self.seed) is int and 0 <= self.seed < 2**63
        require("seed", whole, "a whole number from 0 to 2^63 - 1")
        for name in ("resume", "overwrite"):
            alone = getattr(self, name) and not self.checkpoint
            problems += [Problem(Parameter(name), "needs `checkpoint`")] * alone
        if problems:
            raise InputError(problems)

    @property
    def rate(self) -> float:
        """The learning rate, or the model's default."""
        return self.learning_rate or LEARNING_RATE.get(self.model, TORCH_LEARNING_RATE)

    @property
    def rule(self) -> Deadline:
        """The deadline's rule, or the scheme's default."""
        for rule in DEADLINES:
            if rule == self.deadline:
                return rule
        return "off" if self.scheme == "tos" else "model"

    @property
    def folder(self) -> Path | None:
        """The folder of the data."""
        return Path(self.data_dir) if self.data_dir else None

    def agreed(self, section: Agreed | None) -> Plan:
        """Return the plan with the consortium's ``[training]`` where it says nothing itself.

        Raises
        ------
        InputError
            The plan sets what its aggregation does not use.
        """
        own = Agreed() if section is None else section
        kind = self.aggregation or own.aggregation
        problems = [
            Problem(Parameter(key), f"has no effect with {kind}, only with {', '.join(users)}")
            for key, users in (("proximal_mu", ("fedprox",)), ("assumed_hostile", tuple(BEARABLE)))
            if kind not in users and getattr(self, key) not in (AS_AGREED, getattr(own, key))
        ]
        if problems:
            raise InputError(problems)
        return dataclasses.replace(
            self,
            aggregation=self.aggregation or own.aggregation,
            proximal_mu=_first(self.proximal_mu, own.proximal_mu),
            clip_norm=_first(self.clip_norm, own.clip_norm),
            assumed_hostile=_first(self.assumed_hostile, own.assumed_hostile or AS_AGREED),
            validation_fraction=_first(
                self.validation_fraction,
                VALIDATION_FRACTION if own.validation_fraction is None else own.validation_fraction,
            ),
            deadline=self.deadline or own.deadline or "",
        )

    def identity(self) -> dict[str, Any]:
        """Return what a checkpoint must agree with to be continued.

        The number of rounds may grow; where files are and how long one waits changes nothing.
        """
        free = {"consortium", "data_dir", "rounds", "join_seconds", "round_seconds", "output"}
        free |= {"checkpoint", "resume", "overwrite", "keys", "device", "learning_rate", "deadline"}
        own = {key: value for key, value in dataclasses.asdict(self).items() if key not in free}
        names = {"data": plain(self.data), "model": plain(self.model)}
        return own | names | {"learning_rate": self.rate, "deadline": self.rule}

    # --- as Flower's run config: flat, with hyphens ----------------------------------------------

    def to_run_config(self) -> dict[str, Any]:
        """Return the plan as Flower's run config."""
        return {key.replace("_", "-"): value for key, value in dataclasses.asdict(self).items()}

    @classmethod
    def from_run_config(cls, config: Mapping[str, Any]) -> Plan:
        """Return the plan of Flower's run config; keys that are not there have their defaults.

        Raises
        ------
        InputError
            An unknown key, or a value of another kind or range than expected.
        """
        kinds: dict[str, Callable[[Any], Any]] = get_type_hints(cls)
        problems, values = [], {}
        for key, value in config.items():
            name = key.replace("-", "_")
            kind: Any = kinds.get(name)
            place = f"run config: {key}"
            if kind is None:
                hint = suggestion(key, tuple(kind.replace("_", "-") for kind in kinds))
                problems.append(Problem(place, f"unknown key{hint}"))
                continue
            if kind is float and type(value) is int:
                value = float(value)
            if type(value) is not kind:
                what = f"expected {kind.__name__}, got {value!r}"
                problems.append(Problem(place, what))
            values[name] = value
        if not values.get("consortium"):
            problems.append(Problem("run config: consortium", "expected the consortium's file"))
        if problems:
            raise InputError(problems)
        return cls(**values)


# By its annotation; ranges are judged above.
KINDS = {
    field.name: {"str": TEXT, "float": NUMBER, "int": whole(), "bool": TRUTH}[str(field.type)]
    for field in dataclasses.fields(Plan)
}


def _first(own: Any, agreed: Any) -> Any:
    """Return the plan's own number if it has one."""
    return agreed if own == AS_AGREED else own
