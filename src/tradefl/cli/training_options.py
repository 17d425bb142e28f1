"""What ``train``, ``run`` and ``fit-accuracy`` ask about a training: one list for all of them."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tradefl.cli.declaring import Option
from tradefl.cli.options import DataDir, Device, OneOf, Seed
from tradefl.consortium.schema import AGGREGATIONS
from tradefl.errors import InputError

if TYPE_CHECKING:
    from tradefl.federation import Plan
    from tradefl.federation.training import Backend

# Texts of a plan that are empty where nothing was given; numbers are AS_AGREED there.
TEXTS = frozenset({"consortium", "data_dir", "checkpoint", "partition", "deadline", "aggregation"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """What is trained on which data, and how updates become a model."""

    data: Annotated[
        str,
        Option(
            "--data",
            help="digits, breast-cancer (embedded); cifar10, fashion-mnist, svhn, eurosat; or a "
            "name that the folder holds.",
        ),
    ] = "digits"
    data_dir: DataDir = None
    partition: Annotated[
        str,
        Option(
            "--partition",
            help="Who holds what: in proportion to |S_i|, or drawn by class (Dirichlet).",
            type=OneOf(["iid", "dirichlet"]),
        ),
    ] = "iid"
    alpha: Annotated[
        float | None,
        Option("--alpha", help="dirichlet: the concentration; small is uneven; default: 0.5."),
    ] = None
    model: Annotated[
        str,
        Option(
            "--model",
            help="logistic; with the vision extra mlp, cnn, resnet18, alexnet, densenet, "
            "mobilenet.",
        ),
    ] = "logistic"
    width: Annotated[
        float, Option("--width", help="Scales the model's channels; 0.25 is a quick one.")
    ] = 1.0
    rounds: Annotated[int, Option("--rounds", "-r", help="Rounds of federated averaging.")] = 5
    local_epochs: Annotated[
        int, Option("--local-epochs", help="Passes over its samples in a round.")
    ] = 1
    learning_rate: Annotated[
        float | None,
        Option("--lr", "--learning-rate", help="The learning rate; default: the model's own."),
    ] = None
    batch_size: Annotated[int, Option("--batch-size", help="Samples in a step.")] = 32
    aggregation: Annotated[
        str | None,
        Option(
            "--aggregation",
            help="How updates become a model; default: [training] of the file, or fedavg.",
            type=OneOf(AGGREGATIONS),
            show_default=False,
        ),
    ] = None
    proximal_mu: Annotated[
        float | None,
        Option(
            "--proximal-mu",
            help="fedprox: the weight of staying close to the model; default: the file's, or 0.1.",
            show_default=False,
        ),
    ] = None
    clip_norm: Annotated[
        float | None,
        Option(
            "--clip-norm",
            help="The longest step of an update, longer ones are shortened; 0: any; default: the "
            "file's.",
            show_default=False,
        ),
    ] = None
    assumed_hostile: Annotated[
        int | None,
        Option(
            "--assumed-hostile",
            min=1,
            help="trimmed-mean, krum, bulyan: how many organizations may be hostile; default: the "
            "file's, or as many as it bears.",
            show_default=False,
        ),
    ] = None
    validation_fraction: Annotated[
        float | None,
        Option(
            "--validation-fraction",
            help="The part of the test samples with which the server judges every round; default: "
            "the file's, or 0.1; fit-accuracy: 0.",
            show_default=False,
        ),
    ] = None
    device: Device = "cpu"

    def plan(self, consortium: Path | None, **more: Any) -> Plan:
        """Return the plan of a command's options.

        Parameters
        ----------
        consortium
            The file, if there is one.
        more
            What the command decides itself.

        Raises
        ------
        InputError
            An option is out of range; all of them at once, but for the numbers that a plan may
            leave open.
        """
        from tradefl.federation import Plan
        from tradefl.federation.plan import ALPHA, AS_AGREED

        rate = self.learning_rate
        if rate is not None and not 0.0 < rate < math.inf:
            raise InputError.at("--lr", f"expected a number > 0, got {rate!r}")
        for name, most, expected in (
            ("proximal_mu", math.inf, "a number >= 0"),
            ("clip_norm", math.inf, "a number >= 0"),
            ("validation_fraction", 1.0, "0 or more, below 1"),
        ):
            value = getattr(self, name)
            if value is not None and not 0.0 <= value < most:
                flag = f"--{name.replace('_', '-')}"
                raise InputError.at(flag, f"expected {expected}, got {value!r}")
        if self.alpha is not None and self.partition != "dirichlet":
            what = f"has no effect with --partition {self.partition}, only with dirichlet"
            raise InputError.at("--alpha", what)
        known = {field.name for field in dataclasses.fields(Plan)}
        options = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name in known
        }
        options |= {"consortium": consortium, **more}
        options["learning_rate"] = rate or 0.0
        options["alpha"] = ALPHA if self.alpha is None else self.alpha
        given: dict[str, Any] = {
            name: ("" if value is None else str(value))
            if name in TEXTS
            else (AS_AGREED if value is None else value)
            for name, value in options.items()
        }
        return Plan(**given)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PledgedTrainingOptions(TrainingOptions):
    """How the training of a solution's contributions is held to its deadline, and where it runs."""

    deadline: Annotated[
        str | None,
        Option(
            "--deadline",
            help="How tau is enforced: by Eq. (2), by the clock, or not; default: the file's, or "
            "model; with tos off.",
            type=OneOf(["model", "wall", "off"]),
            show_default=False,
        ),
    ] = None
    seed: Seed = 0
    backend: Annotated[
        str | None,
        Option(
            "--backend",
            help="In this process (the default), or a process for each CPU (Ray).",
            type=OneOf(["in-process", "ray"]),
            show_default=False,
        ),
    ] = None
    ray: Annotated[
        str | None,
        Option(
            "--ray",
            help="Train on this Ray cluster (host:port or auto); default with --backend ray: one "
            "of its own on this machine.",
            show_default=False,
        ),
    ] = None
    checkpoint: Annotated[
        Path | None,
        Option(
            "--checkpoint",
            help="File for the state after each round; default of train: next to the output.",
        ),
    ] = None
    resume: Annotated[bool, Option("--resume", help="Continue from the checkpoint, exactly.")] = (
        False
    )
    overwrite: Annotated[
        bool, Option("--overwrite", help="Replace a checkpoint that is there.")
    ] = False

    @property
    def runtime(self) -> Backend:
        """Where the organizations train.

        Raises
        ------
        InputError
            A cluster is named, and training in this process is asked for.
        """
        if self.ray is None:
            return "ray" if self.backend == "ray" else "in-process"
        if self.backend == "in-process":
            raise InputError.at("--ray", "needs --backend ray, got --backend in-process")
        return "ray"

    def kept(self, checkpoint: Path | None, otherwise: str) -> str:
        """Return what an interrupted training has left, and how to go on.

        Parameters
        ----------
        checkpoint
            Where the state after each round is.
        otherwise
            What to say where there is no such file.
        """
        if checkpoint is None:
            return otherwise
        if checkpoint.exists():
            return f"{checkpoint} has the rounds that are done: --resume goes on"
        return "no round was done; start again"
