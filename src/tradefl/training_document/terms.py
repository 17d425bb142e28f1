"""The public terms of a training: what partners sign, and what a document must agree with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from tradefl.consortium import Consortium
from tradefl.consortium.schema import LEFT_OPEN, Training, shown

SCHEMA = "tradefl/training/1"
# What became of an update, and what it is worth to the organization that sent it: the samples that
# it used, of the data that measured_fraction counts, or nothing. The agreement states it.
PAYS = {
    "aggregated": "the samples used",
    "excluded": "the samples used",
    "rolled back": "the samples used",
    "rejected": "nothing",
    "late": "nothing",
    "absent": "nothing",
}


def terms_sha256(consortium: Consortium) -> str:
    """Return the hash of the public terms that pledges and contributions are counted by.

    Names, sizes, samples, CPU levels, competition, the mechanism's constants and ``[training]``:
    what all partners have alike. Accounts and windows of the settlement, and private figures, are
    not in it.
    """
    who, mechanism = consortium.organizations, consortium.mechanism
    digest = hashlib.sha256()
    head = [
        consortium.name,
        list(consortium.names),
        who.data_bits.tolist(),
        who.samples.tolist(),
        [list(who.levels(i)) for i in range(len(who))],
        mechanism.incentive_intensity,
        mechanism.compute_weight,
        mechanism.min_data_fraction,
        mechanism.deadline_seconds,
        None if consortium.training is None else consortium.training.terms(),
    ]
    digest.update(json.dumps(head, ensure_ascii=False).encode())
    for i in range(len(who)):
        competitors, rho = consortium.rho.row(i)
        pairs = sorted(zip(competitors.tolist(), rho.tolist(), strict=True))
        digest.update(json.dumps([pair for pair in pairs if pair[1] != 0.0]).encode())
    return digest.hexdigest()


def training_terms(consortium: Consortium) -> dict[str, Any]:
    """Return how updates become a model, and what each outcome pays, as everybody signs it."""
    section = consortium.training or Training()
    return {**section.terms(), "pays": dict(PAYS)}


def deviations(settings: Mapping[str, Any], consortium: Consortium) -> Iterator[tuple[str, str]]:
    """Yield where a training's settings are not those that the consortium has agreed on.

    Parameters
    ----------
    settings
        Of a training document, or a plan's.
    consortium
        Without ``[training]`` nothing is agreed.

    Yields
    ------
    The key, and what was expected and found.
    """
    if consortium.training is None:
        return
    agreed = consortium.training.terms()
    kind = agreed["aggregation"]
    for key, applies in (
        ("aggregation", True),
        ("clip_norm", True),
        ("proximal_mu", kind == "fedprox"),
        ("assumed_hostile", agreed["assumed_hostile"] is not None),
        *((key, key in agreed) for key in LEFT_OPEN),
    ):
        if applies and key in settings and settings[key] != agreed[key]:
            what = f"expected {shown(agreed[key])}, as [training] of {consortium.source} says"
            yield key, f"{what}, got {shown(settings[key])}"
