"""The state of a training after a round: written whole or not at all, and continued exactly."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tradefl.consortium.files import atomic_write
from tradefl.errors import InputError, Problem
from tradefl.federation.ledger import Entry
from tradefl.foreign import parse_json, read_bytes

SCHEMA = "tradefl/checkpoint/1"
META = "meta"
# FedAdam's moments; other strategies of ours keep nothing between rounds.
STATE = ("m_t", "v_t")
LONGEST = 60  # characters of a value that is shown


# A training goes on exactly: what this version does not know it could not continue.
KEYS = frozenset(
    {"schema", "rounds_done", "accuracy", "loss", "entries", "identity", "names", "state"}
)


class UnknownKeysError(ValueError):
    """A checkpoint holds what this version does not know."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Everything that the rounds to come depend on.

    Attributes
    ----------
    rounds_done
        How many rounds are in it.
    arrays
        The global model's parameters.
    state
        The aggregating strategy's own arrays, by attribute and parameter.
    accuracy, loss
        Of the global model, before the first round and after each.
    entries
        The ledger's entries.
    identity
        What the training was: the plan, the consortium, the pledges.
    """

    rounds_done: int
    arrays: dict[str, npt.NDArray[Any]]
    state: dict[str, dict[str, npt.NDArray[Any]]]
    accuracy: list[float]
    loss: list[float]
    entries: list[dict[str, Any]]
    identity: dict[str, Any]

    def write(self, path: Path) -> None:
        """Write the checkpoint: a NumPy archive with the figures as JSON in it."""
        meta = {
            "schema": SCHEMA,
            "rounds_done": self.rounds_done,
            # A diverged model has a loss that JSON has no number for.
            "accuracy": [value.hex() for value in self.accuracy],
            "loss": [value.hex() for value in self.loss],
            "entries": self.entries,
            "identity": self.identity,
            "names": list(self.arrays),
            "state": {key: list(arrays) for key, arrays in self.state.items()},
        }
        content = io.BytesIO()
        columns = {f"array.{k}": value for k, value in enumerate(self.arrays.values())}
        for key, arrays in self.state.items():
            columns |= {f"{key}.{k}": value for k, value in enumerate(arrays.values())}
        text = np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)
        np.savez(content, **columns, **{META: text})  # type: ignore[arg-type]
        atomic_write(path, content.getvalue(), private=True)

    @classmethod
    def read(cls, path: Path) -> Checkpoint:
        """Return the checkpoint of a file.

        Raises
        ------
        InputError
            No such file, or no checkpoint.
        """
        try:
            content = read_bytes(path, field="checkpoint_bytes")
        except InputError as error:
            (problem,) = error.problems
            if problem.message == "no such file":
                what = "no such file: there is no checkpoint to resume from"
            else:
                what = f"is not a readable checkpoint: {problem.message}"
            raise InputError.at(path, what) from None
        try:
            return cls._parsed(content)
        except UnknownKeysError as error:
            what = f"is not a checkpoint of this version ({SCHEMA}): {error}"
            raise InputError.at(path, what) from None
        # Whatever the readers of zip, NumPy and JSON raise means that it is no checkpoint.
        except Exception:
            raise InputError.at(path, f"is not a checkpoint of this version ({SCHEMA})") from None

    @classmethod
    def _parsed(cls, content: bytes) -> Checkpoint:
        with zipfile.ZipFile(io.BytesIO(content)) as members:
            # Ours are not compressed; what is could unpack to a thousand times as much.
            if any(member.compress_type != zipfile.ZIP_STORED for member in members.infolist()):
                raise ValueError("expected an archive without compression")
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            meta = parse_json(archive[META].tobytes(), META)
            if meta["schema"] != SCHEMA:
                raise ValueError(f"expected {SCHEMA}, got {meta['schema']!r}")
            if unknown := sorted(meta.keys() - KEYS):
                raise UnknownKeysError(f"unknown key {unknown[0]!r}")
            if not set(meta["state"]) <= set(STATE):
                raise ValueError(f"expected only {STATE} as state, got {sorted(meta['state'])}")
            arrays = _arrays(archive, "array", meta["names"])
            state = {key: _arrays(archive, key, names) for key, names in meta["state"].items()}
        done = meta["rounds_done"]
        if type(done) is not int or done < 0:
            raise ValueError(f"expected a number of rounds >= 0, got {done!r}")
        accuracy = [float.fromhex(value) for value in meta["accuracy"]]
        loss = [float.fromhex(value) for value in meta["loss"]]
        if not len(accuracy) == len(loss) == (done + 1 if accuracy else done):
            raise ValueError(f"expected the accuracy and loss of {done} rounds and before")
        if not all(0.0 <= value <= 1.0 for value in accuracy):  # not a number is in no range
            raise ValueError("expected accuracies from 0 to 1")
        entries = [Entry.from_dict(entry) for entry in meta["entries"]]
        if any(entry.round > done for entry in entries):
            raise ValueError(f"expected entries of {done} rounds")
        return cls(
            rounds_done=done,
            arrays=arrays,
            state=state,
            accuracy=accuracy,
            loss=loss,
            entries=list(meta["entries"]),
            identity=dict(meta["identity"]),
        )

    def require(self, path: Path, identity: Mapping[str, Any]) -> None:
        """Refuse to continue another training than this one.

        Raises
        ------
        InputError
            Names every figure that differs.
        """
        # Compared as JSON has them: a tuple is a list.
        wanted = json.loads(json.dumps(identity))
        problems = [
            Problem(f"{path}: {key}", _difference(self.identity.get(key), wanted.get(key)))
            for key in {**self.identity, **wanted}
            if self.identity.get(key) != wanted.get(key)
        ]
        if problems:
            raise InputError(problems)


def _arrays(archive: Mapping[str, Any], prefix: str, names: Any) -> dict[str, npt.NDArray[Any]]:
    """Return arrays of numbers by name."""
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"expected a list of names, got {names!r}")
    arrays = {name: archive[f"{prefix}.{k}"] for k, name in enumerate(names)}
    if len(arrays) != len(names) or any(value.dtype.kind not in "fiu" for value in arrays.values()):
        raise ValueError("expected different names, and arrays of numbers")
    return arrays


def strategy_state(strategy: object) -> dict[str, dict[str, npt.NDArray[Any]]]:
    """Return the arrays that a strategy of Flower's keeps between rounds."""
    return {
        key: dict(arrays) for key in STATE if (arrays := getattr(strategy, key, None)) is not None
    }


def restore_state(strategy: object, state: Mapping[str, dict[str, npt.NDArray[Any]]]) -> None:
    """Give a strategy its arrays back.

    Raises
    ------
    ValueError
        The strategy keeps nothing of that name: the state is another's.
    """
    for key in STATE:  # and nothing else that a file may name
        if key not in state:
            continue
        if not hasattr(strategy, key):
            raise ValueError(f"the state {key!r} is not one of {type(strategy).__name__}")
        setattr(strategy, key, state[key])


def _difference(own: object, wanted: object) -> str:
    texts = [json.dumps(value) for value in (own, wanted)]
    if max(map(len, texts)) > LONGEST:
        return "the checkpoint has others than this training"
    return f"the checkpoint is of {texts[0]}, this training of {texts[1]}"
