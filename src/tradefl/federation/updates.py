"""What an organization sends back, checked: no reply may crash or spoil the training of others."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict

from tradefl.federation.pledge import PLEDGE, RECEIPT

# No organization has more samples: whole numbers up to here are exact in every arithmetic.
MOST_SAMPLES = 2**53
SERIALIZATION = "numpy.ndarray"  # Flower's


FEW_NAMES = 3


class UnusableUpdateError(ValueError):
    """A reply that cannot be used; the message says why."""


class NotFiniteError(UnusableUpdateError):
    """A reply that fits in every way, and holds a NaN or an infinity.

    The only fault that the model, and not the organization, may have caused: the strategy decides.
    """

    def __init__(self, message: str, update: Update) -> None:
        super().__init__(message)
        self.update = update


@dataclasses.dataclass(frozen=True)
class Update:
    """A reply that can be aggregated.

    Attributes
    ----------
    reply
        The message.
    arrays
        The model after training, in the precision of the model that was sent.
    values
        The same as NumPy arrays, by name.
    metrics
        Whatever the app measured.
    claimed
        The number of samples that it says it trained on.
    seconds, cpu_hz
        Of its receipt: wall time (0 without one), and the CPU level that it says it ran at.
    sha256
        Of the arrays' bytes.
    remark
        What in its receipt is recorded otherwise than it says.
    """

    reply: Message
    arrays: ArrayRecord
    values: dict[str, npt.NDArray[Any]]
    metrics: MetricRecord
    claimed: int | float
    seconds: float
    cpu_hz: float | None
    sha256: str
    remark: str = ""


def checked_update(
    reply: Message, sent: ArrayRecord, weight_key: str, number: int | None = None
) -> Update:
    """Return what a reply holds.

    Arrays of another precision are cast to the precision of the model that was sent, and checked
    afterwards: no organization decides how precise the global model is.

    Parameters
    ----------
    reply
        A reply without an error.
    sent
        The model that was to be trained: its names, shapes and precision.
    weight_key
        The metric that says how many samples were trained on.
    number
        The round; a receipt that names another round is refused.

    Raises
    ------
    NotFiniteError
        The arrays fit, and hold a NaN or an infinity (after the cast).
    UnusableUpdateError
        There is not one model and one set of metrics in it, the model's arrays have other names or
        shapes, the number of samples is not a number, or it answers another round.
    """
    # Not content.array_records and its like: each access checks and copies every record again.
    records = list(reply.content.values())
    models = [record for record in records if isinstance(record, ArrayRecord)]
    measured = [record for record in records if isinstance(record, MetricRecord)]
    if len(models) != 1 or len(measured) != 1:
        raise UnusableUpdateError(
            f"expected one ArrayRecord and one MetricRecord, got {len(models)} and {len(measured)}"
        )
    [arrays], [metrics] = models, measured
    if set(arrays) != set(sent):
        raise UnusableUpdateError(
            "its arrays have other names than the model's: " + _differing(set(sent), set(arrays))
        )
    receipt = config_of(reply, RECEIPT)
    answered = receipt.get("round")
    if number is not None and answered is not None and answered != number:
        raise UnusableUpdateError(
            f"it answers round {shown_briefly(answered)}, this is round {number}"
        )
    claimed = _claim(metrics.get(weight_key), weight_key)
    cpu_hz = _number(receipt.get("cpu-hz"))
    if "cpu-hz" in receipt and cpu_hz is None:
        got = shown_briefly(receipt["cpu-hz"])
        raise UnusableUpdateError(f"expected one of its levels as 'cpu-hz', got {got}")
    cast, values, infinite = {}, {}, None
    for key, like in sent.items():
        raw = _values(key, arrays[key], like)
        cast[key], values[key] = _as_sent(arrays[key], raw, np.dtype(like.dtype))
        if infinite is None and not all_finite(values[key]):
            infinite = f"array {key!r} holds a number that is not finite"
            if all_finite(raw):
                infinite = f"array {key!r} holds numbers beyond {np.dtype(like.dtype)}"
    remark = ""
    if "seconds" in receipt and _number(receipt["seconds"]) is None:
        remark = f"reports {shown_briefly(receipt['seconds'])} as its 'seconds'; recorded as 0"
    update = Update(
        reply=reply,
        arrays=ArrayRecord(cast),
        values=values,
        metrics=metrics,
        claimed=claimed,
        seconds=_number(receipt.get("seconds")) or 0.0,
        remark=remark,
        cpu_hz=cpu_hz,
        sha256=_hashed([arrays[key].data for key in sent]),
    )
    if infinite is not None:
        raise NotFiniteError(infinite, update)
    return update


def _hashed(parts: Sequence[bytes]) -> str:
    """Return the SHA-256 of bytes, one after the other."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _as_sent(
    array: Array, values: npt.NDArray[Any], kind: np.dtype[Any]
) -> tuple[Array, npt.NDArray[Any]]:
    """Return an array in the precision that was sent; whole numbers as they are, until the mean."""
    if kind.kind != "f" or values.dtype == kind:
        return array, values
    with np.errstate(over="ignore", invalid="ignore"):
        cast = values.astype(kind)
    return Array(np.asarray(cast)), cast


def _differing(expected: set[str], got: set[str]) -> str:
    """Return which names are missing and which are unknown, a few of each."""
    parts = []
    for what, names in (("missing", expected - got), ("unknown", got - expected)):
        if names:
            shown = ", ".join(repr(name)[:50] for name in sorted(names)[:FEW_NAMES])
            rest = len(names) - FEW_NAMES
            parts.append(f"{what} {shown}" + (f" and {rest:,} more" if rest > 0 else ""))
    return "; ".join(parts)


def record_of(parameters: Mapping[str, npt.NDArray[Any]]) -> ArrayRecord:
    """Return a model's parameters as they travel."""
    return ArrayRecord({key: Array(value) for key, value in parameters.items()})


def parameters_of(record: ArrayRecord) -> dict[str, npt.NDArray[Any]]:
    """Return the parameters that have travelled."""
    return {key: array.numpy() for key, array in record.items()}


def with_pledge(content: RecordDict, pledge: Mapping[str, Any]) -> RecordDict:
    """Return a message's content with a pledge in its configuration.

    In the ConfigRecord that is there, because Flower's mods for differential privacy take messages
    if there is exactly one; otherwise in a record of its own.
    """
    configs = {key: record for key, record in content.items() if isinstance(record, ConfigRecord)}
    keyed = {f"{PLEDGE}.{key}": value for key, value in pledge.items()}
    if len(configs) == 1:
        [(key, record)] = configs.items()
        return RecordDict({**content, key: ConfigRecord({**record, **keyed})})
    return RecordDict({**content, PLEDGE: ConfigRecord(keyed)})


def pledge_record(content: RecordDict) -> dict[str, Any] | None:
    """Return the pledge in a message's configuration; ``None`` if it has no pledge."""
    prefix = f"{PLEDGE}."
    for record in content.values():
        if isinstance(record, ConfigRecord) and f"{prefix}organization" in record:
            return {
                key.removeprefix(prefix): value
                for key, value in record.items()
                if key.startswith(prefix)
            }
    return None


def round_of(message: Message) -> int | None:
    """Return the round that a message belongs to, if its configuration says so."""
    for record in message.content.values():
        if isinstance(record, ConfigRecord) and type(record.get("server-round")) is int:
            return int(record["server-round"])  # type: ignore[arg-type]
    return None


def config_of(message: Message, name: str) -> ConfigRecord:
    """Return a message's ConfigRecord of a name, an empty one if it has none."""
    record = message.content.get(name)
    return record if isinstance(record, ConfigRecord) else ConfigRecord()


def all_finite(values: npt.NDArray[Any]) -> bool:
    """Tell whether an array holds neither NaN nor infinities."""
    return bool(np.isfinite(values).all())


def _values(key: str, array: Array, like: Array) -> npt.NDArray[Any]:
    """Return an array's numbers; nothing is allocated before its header is what it must be."""
    start = len(like.data) - math.prod(like.shape) * np.dtype(like.dtype).itemsize
    if (
        array.stype == like.stype == SERIALIZATION
        and len(array.data) == len(like.data)
        and array.data[:start] == like.data[:start]
        and np.dtype(like.dtype).kind in "fiu"
    ):  # the header that was sent: no need to parse it
        order: Literal["F", "C"] = "F" if b"'fortran_order': True" in array.data[:start] else "C"
        flat = np.frombuffer(array.data, dtype=like.dtype, offset=start)
        return flat.reshape(like.shape, order=order)
    shape = tuple(like.shape)
    stream = io.BytesIO(array.data)
    try:
        if array.stype != SERIALIZATION:  # the aggregating strategy will read it by Flower's rules
            raise ValueError(f"expected the serialization {SERIALIZATION!r}, got {array.stype!r}")
        version = np.lib.format.read_magic(stream)
        read = {(1, 0): np.lib.format.read_array_header_1_0}.get(
            version, np.lib.format.read_array_header_2_0
        )
        found, _, kind = read(stream)
    # The parser meets bytes of a stranger: whatever it raises means that they are no array.
    except Exception as error:
        what = f"{type(error).__name__}: {error}"[:200]
        raise UnusableUpdateError(f"array {key!r} cannot be read: {what}") from None
    if tuple(found) != shape:
        raise UnusableUpdateError(f"array {key!r} has shape {tuple(found)}, expected {shape}")
    if kind.kind not in "fiu":
        raise UnusableUpdateError(f"array {key!r} cannot be read: it holds {kind}, not numbers")
    size = math.prod(shape) * kind.itemsize
    if len(array.data) - stream.tell() != size:
        have = len(array.data) - stream.tell()
        what = f"it has {have:,} bytes of {size:,}"
        raise UnusableUpdateError(f"array {key!r} cannot be read: {what}")
    stream.seek(0)
    return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))


def _claim(claimed: object, weight_key: str) -> int | float:
    """Return a number of samples."""
    if (
        isinstance(claimed, bool)
        or not isinstance(claimed, int | float)
        or not 0 <= claimed < math.inf
    ):
        raise UnusableUpdateError(
            f"expected a number of samples >= 0 as {weight_key!r}, got {shown_briefly(claimed)}"
        )
    return min(claimed, MOST_SAMPLES)


def shown_briefly(value: object) -> str:
    """Return a value as text that is not too long; an int of thousands of digits has none."""
    try:
        return repr(value)[:50]
    except ValueError:
        return "a number of thousands of digits"


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**1000:
        return None
    return float(value)


def common_metrics(records: Sequence[MetricRecord]) -> list[str]:
    """Return the metrics that all have in the same form; one node must not spoil the others'."""
    return [
        key
        for key, value in records[0].items()
        if all(
            key in record
            and isinstance(record[key], list) == isinstance(value, list)
            and (not isinstance(value, list) or len(record[key]) == len(value))  # type: ignore[arg-type]
            for record in records
        )
    ]
