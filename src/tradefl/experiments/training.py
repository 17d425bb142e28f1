"""Trainings of real models on the schemes' contributions: what Figs. 2 and 12 to 15 are made of.

Ten organizations hold 1,000 to 2,000 samples each (Table II), in proportion fewer if the data set
has not so many. Each takes part with the share that a scheme of the game gives it, by the game of
:mod:`.draws` with the same seed. All schemes of a seed have the same partition, initial model and
test part; of two schemes, the one that contributes more uses the samples of the other and further
ones.

Know before you compare. The paper states no learning rate, epochs or seeds. Its published prototype
starts from ImageNet weights, resizes images to 128 pixels, takes densenet121 and
mobilenet_v3_small, gives each organization a block of consecutive samples, and trains by SGD with
momentum. Ours trains from scratch, by SGD with momentum too, at the data set's 28 or 32 pixels,
with networks in forms for such images and samples drawn at random. So orderings and gaps can be
compared, absolute accuracies cannot. The reduced width of ``small`` lowers accuracy once more.

The numbers of ``small`` were chosen before any scheme was compared with another. Widths and rounds
are such that five trainings take two processor cores about ten minutes. The learning rate is the
better of 0.02 and 0.05 after four to ten rounds in which everybody took part with the same share,
with batches of 32; MobileNet learned little with that, and got batches of 16, two epochs a round
and the best of 0.01, 0.02 and 0.05. The numbers of ``full`` are for a GPU, and are untried.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from tradefl.experiments.draws import GAMMA_STAR, draw
from tradefl.experiments.figure import Settings, Unit
from tradefl.experiments.parameters import FigureParameter
from tradefl.solvers import solve

ProfileName = Literal["small", "full"]
Labels = dict[str, str | int | float]
METHODS = {"DBR": "dbr", "WPR": "wpr", "GCA": "gca", "FIP": "fip", "TOS": "tos"}
ORGANIZATIONS = 10
FEWEST_SAMPLES, MOST_SAMPLES = 1000, 2000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Effort:
    """How long a network of which width is trained.

    Attributes
    ----------
    width
        Of the network, as in :func:`tradefl.federation.models.make_model`.
    rounds, local_epochs, learning_rate, batch_size
        As in :class:`tradefl.federation.Plan`.
    """

    width: float
    rounds: int
    local_epochs: int
    learning_rate: float
    batch_size: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pair:
    """A model and the data set it is trained on.

    Attributes
    ----------
    model, data
        As in :class:`tradefl.federation.Plan`.
    title
        What charts call it.
    small, full
        The effort under each profile.
    """

    model: str
    data: str
    title: str
    small: Effort
    full: Effort

    def effort(self, profile: ProfileName) -> Effort:
        """Return the effort under a profile."""
        return self.small if profile == "small" else self.full


FULL = Effort(width=1.0, rounds=60, local_epochs=2, learning_rate=0.02, batch_size=32)
PAIRS = {
    "resnet18-cifar10": Pair(
        model="resnet18",
        data="cifar10",
        title="ResNet-18, CIFAR-10",
        small=Effort(width=0.125, rounds=20, local_epochs=1, learning_rate=0.02, batch_size=32),
        full=FULL,
    ),
    "alexnet-fashion-mnist": Pair(
        model="alexnet",
        data="fashion-mnist",
        title="AlexNet, Fashion-MNIST",
        small=Effort(width=0.25, rounds=25, local_epochs=1, learning_rate=0.02, batch_size=32),
        full=FULL,
    ),
    "densenet-eurosat": Pair(
        model="densenet",
        data="eurosat",
        title="DenseNet, EuroSAT",
        small=Effort(width=0.25, rounds=12, local_epochs=1, learning_rate=0.05, batch_size=32),
        full=FULL,
    ),
    "mobilenet-svhn": Pair(
        model="mobilenet",
        data="svhn",
        title="MobileNet, SVHN",
        small=Effort(width=0.25, rounds=30, local_epochs=2, learning_rate=0.02, batch_size=16),
        full=FULL,
    ),
}
# What can be varied in a training; the default is the profile's, for each pair.
PARAMETERS = (
    FigureParameter(name="width", meaning="of the network", default=None, positive=True, most=4.0),
    FigureParameter(
        name="rounds", meaning="rounds", default=None, kind="integer", least=1, most=10_000
    ),
    FigureParameter(
        name="local_epochs",
        meaning="epochs of an organization in a round",
        default=None,
        kind="integer",
        least=1,
        most=1000,
    ),
    FigureParameter(name="learning_rate", meaning="of SGD", default=None, positive=True),
    FigureParameter(
        name="batch_size", meaning="samples", default=None, kind="integer", least=1, most=100_000
    ),
)
# How many, unless the user says so.
SEEDS = {"small": 1, "full": 5}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """What the user asks of the training figures.

    Attributes
    ----------
    profile
        ``small`` is for two processor cores, ``full`` for a GPU.
    pairs
        Names of ``PAIRS``: those that are trained.
    data_dir
        The folder of the data sets; an empty text: they are fetched from their public home.
    device
        As in :func:`tradefl.federation.models.make_model`.
    seeds
        How many consortia are drawn, seeds 0 .. seeds - 1; 0: the profile's number.
    """

    profile: ProfileName = "small"
    pairs: tuple[str, ...] = tuple(PAIRS)
    data_dir: str = ""
    device: str = "cpu"
    seeds: int = 0

    def __post_init__(self) -> None:
        """Refuse what there is not."""
        if self.profile not in SEEDS:
            raise ValueError(f"profile: expected small or full, got {self.profile!r}")
        if unknown := [name for name in self.pairs if name not in PAIRS]:
            raise ValueError(f"pairs: expected names of {', '.join(PAIRS)}, got {unknown[0]!r}")

    @property
    def draws(self) -> range:
        """The seeds."""
        return range(self.seeds or SEEDS[self.profile])


# --- units -----------------------------------------------------------------------------------


def settings_of(settings: Settings) -> TrainingSettings:
    """Return the settings of training, or their defaults."""
    return settings.training or TrainingSettings()


def scheme_units(
    settings: Settings,
    pairs: Sequence[str] = tuple(PAIRS),
    schemes: Sequence[str] = tuple(METHODS),
    gammas: Sequence[float] = (GAMMA_STAR,),
) -> list[Unit]:
    """Return a training for each pair that is asked for, seed, gamma and scheme."""
    asked = settings_of(settings)
    units = []
    for name in (pair for pair in asked.pairs if pair in pairs):
        for seed in asked.draws:
            held = samples_held(seed)
            for gamma in gammas:
                for scheme in schemes:
                    fractions = contributions(scheme, seed, gamma)
                    labels: Labels = {"pair": name, "scheme": scheme, "gamma": gamma}
                    pair = PAIRS[name]
                    effort = pair.effort(asked.profile)
                    units.append(
                        training_unit(name, asked, pair, effort, seed, held, fractions, labels)
                    )
    return units


def training_unit(
    name: str,
    asked: TrainingSettings,
    pair: Pair,
    effort: Effort,
    seed: int,
    held: Sequence[int],
    fractions: Sequence[float],
    labels: Labels,
) -> Unit:
    """Return the unit of one training; its key has the name, and the sum of d in hundredths."""
    used = round(100 * sum(fractions))
    arguments = {
        "model": pair.model,
        "data": pair.data,
        "data_dir": str(Path(asked.data_dir).resolve()) if asked.data_dir else "",
        "device": asked.device,
        **dataclasses.asdict(effort),
        "seed": seed,
        "held": list(held),
        "fractions": list(fractions),
    }
    return Unit(f"{name}-seed-{seed}-data-{used}", arguments, labels)


def samples_held(seed: int) -> list[int]:
    """Return ``|S_i|`` of each organization, whole numbers in Table II's range."""
    # A stream of its own: the game's draw has the seed alone.
    rng = np.random.default_rng([seed, ORGANIZATIONS])
    return [
        int(integer) for integer in rng.integers(FEWEST_SAMPLES, MOST_SAMPLES + 1, ORGANIZATIONS)
    ]


@lru_cache(maxsize=1024)
def contributions(scheme: str, seed: int, gamma: float = GAMMA_STAR) -> tuple[float, ...]:
    """Return each organization's share of its data under a scheme.

    Rounded far below one sample, so that a solver's last bits are no reason to train again.
    """
    game = draw(seed, incentive_intensity=gamma)
    profile = solve(game, METHODS[scheme]).profile
    return tuple(round(float(share), 9) for share in profile.data_fraction)
