"""The promise that honesty pays, as it is written: menus and proof in the file and in the annex.

``[compensation.truthful]`` holds for every organization that is asked its menu, what the optimum
is worth to it and to all for each report, its utility, what is left, its rebate and what it
receives. :func:`consistent` checks the section by itself, as everybody can; :func:`recomputed`
works it out again from the whole file, as an auditor with all figures can.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tradefl.consortium.schema import Payee, Truthful, TruthfulOrganization
from tradefl.errors import InputError
from tradefl.game import CoopetitionGame
from tradefl.incentives.optima import Optima, Reports
from tradefl.incentives.rounding import PROVEN, rounding
from tradefl.incentives.truthful import Mechanism, Menus, Proof, exact_steps

if TYPE_CHECKING:
    from tradefl.consortium import Consortium
    from tradefl.design import Design


class Check(NamedTuple):
    """A figure of a promise: where it is, what it must be, what it is, how far it may be off."""

    place: str
    expected: float
    found: float
    tolerance: float

    @property
    def agrees(self) -> bool:
        """Whether it is what it must be."""
        return abs(self.expected - self.found) <= self.tolerance


def section(proof: Proof, game: CoopetitionGame, payee: str | None = None) -> Truthful:
    """Return ``[compensation.truthful]`` of a proof; ``payee`` is the name of the rule's payee."""
    menus, names = proof.menus, [game.name_of(i) for i in range(game.size)]
    organizations = {}
    for i in menus.asked:
        axis = proof.axes[i]
        organizations[names[i]] = TruthfulOrganization(
            figure=str(menus.fields[i]),
            exact=exact_steps(game, menus.fields[i], i),
            report=float(menus.reports[i]),
            menu=menus.points[i].tolist(),
            performance=axis.performance.tolist(),
            welfare=axis.welfare.tolist(),
            utility=axis.utility.tolist(),
            surplus=proof.surplus_on_axes[i].tolist(),
            rebate=float(proof.rebates[i]),
            redistribution=float(proof.redistribution[i]),
        )
    return Truthful(
        claimant=(payee or "payee") if menus.claimant is None else names[menus.claimant],
        menus=menus.origin,
        **({} if proof.range is None else {"range": proof.range}),
        surplus=proof.surplus,
        least_surplus=proof.least_surplus,
        profiles_tried=proof.profiles_tried,
        ironed=[f"{names[i]}: {point!r}" for i, point in proof.ironed],
        organizations=organizations,
    )


def words(promise: Truthful, payee: str | None = None) -> list[str]:
    """Return what a promise covers, whom it asks for what, and what has to be audited.

    ``payee`` is the name of the rule's payee, ``None`` without one.
    """
    asked: dict[str, list[str]] = {}
    for name, organization in promise.organizations.items():
        asked.setdefault(organization.figure, []).append(name)
    covered = "; ".join(f"{figure} of {', '.join(names)}" for figure, names in asked.items())
    sentences = [
        f"No report from the menus gains while the others are honest: {covered}.",
        f"{promise.claimant} receives what is left; it contributes nothing and reports no figure."
        if promise.claimant == payee
        else f"{promise.claimant} is not asked and receives the remainder; its figures have to be "
        "audited.",
        "All other figures have to be measured or audited: sizes, samples, levels, effort, link "
        "times, quality, rho, and costs that are not asked.",
    ]
    if promise.menus == "from reports":
        sentences.append(
            "The menus were written around the reports: this holds only once they are agreed and "
            "figures are reported afresh."
        )
    return sentences


def written(
    consortium: Consortium, designed: Design, proof: Proof, payee: Payee | None = None
) -> Consortium:
    """Return the consortium under the rule, with its menus and the proof.

    ``payee`` is the account of the rule's payee.
    """
    menus, names = proof.menus, consortium.names
    lists: dict[str, list[tuple[float, ...] | None]] = {}
    for i in menus.asked:
        column = f"{menus.fields[i]}_menu"
        lists.setdefault(column, [None] * len(names))[i] = tuple(menus.points[i].tolist())
    organizations = dataclasses.replace(
        consortium.organizations, menus={key: tuple(value) for key, value in lists.items()}
    )
    found = dataclasses.replace(consortium, organizations=organizations)
    promise = section(proof, consortium.game, designed.rule.payee)
    return found.designed(designed.rule, "truthful", promise, payee)


def agreed_menus(consortium: Consortium, claimant: int | None) -> Menus | None:
    """Return the menus of a file, ``None`` if it has none.

    ``claimant`` is the organization that is not asked; ``None`` with a payee.

    Raises
    ------
    InputError
        Somebody other than the claimant has no menu, or more than one.
    """
    who, game = consortium.organizations, consortium.game
    if not who.menus:
        return None
    fields: list[str | None] = []
    points, reports = [], np.full(len(consortium), np.nan)
    for i, name in enumerate(who.names):
        own = {key: lists[i] for key, lists in who.menus.items() if lists[i] is not None}
        if i == claimant:
            fields.append(None)
            points.append(np.empty(0))
            continue
        if len(own) != 1:
            what = (
                "has no menu, and others have one; give it one, or make it the residual claimant"
                if not own
                else f"has {len(own)} menus; a rule can ask for one figure of each organization"
            )
            raise InputError.at(f"{consortium.source}: organization {name!r}", what)
        ((key, menu),) = own.items()
        field = key.removesuffix("_menu")
        fields.append(field)
        points.append(np.array(menu, dtype=float))
        reports[i] = np.broadcast_to(getattr(game, field), game.size)[i]
    return Menus(claimant, tuple(fields), tuple(points), reports, "agreed")


def consistent(promise: Truthful) -> Iterator[Check]:
    """Yield what everybody can check of a promise: it needs no figure that is not in it."""
    tolerance = rounding(
        (own.figure, own.menu, own.performance, own.welfare)
        for own in promise.organizations.values()
    )
    count = len(promise.organizations)
    for name, organization in promise.organizations.items():
        menu, slope = np.array(organization.menu), np.array(organization.performance)
        if not organization.exact:
            share = -np.diff(slope) / np.maximum(np.abs(slope[:-1]), np.finfo(float).tiny)
            fall = max(float(share.max()), 0.0)
            yield Check(f"{name}: fall of P over its menu, as a share", 0.0, fall, PROVEN)
            steps = np.diff(menu) * (slope[:-1] + slope[1:]) / 2.0
        else:
            steps = np.diff(organization.welfare)
        for k, (step, rise) in enumerate(zip(steps, np.diff(organization.utility), strict=True)):
            place = f"{name}: utility from {menu[k]:g} to {menu[k + 1]:g}"
            yield Check(place, float(step), float(rise), tolerance)
        yield Check(
            f"{name}: rebate", min(organization.surplus) / count, organization.rebate, tolerance
        )
        short = max(-min(organization.surplus), 0.0)
        yield Check(f"{name}: outside money", 0.0, short, tolerance)
    yield Check(
        "outside money at a profile tried", 0.0, max(-promise.least_surplus, 0.0), tolerance
    )


def recomputed(consortium: Consortium) -> Iterator[Check]:
    """Yield the figures of a file's promise against those that its figures give."""
    promise = None if consortium.compensation is None else consortium.compensation.truthful
    if promise is None:
        return
    names, game = consortium.names, consortium.game
    claimant = names.index(promise.claimant) if promise.claimant in names else None
    menus = agreed_menus(consortium, claimant)
    if menus is None:
        raise InputError.at(
            f"{consortium.source}: organization", "expected the menus of compensation.truthful"
        )
    mechanism = Mechanism(game, menus, Optima(Reports(game, menus.fields)))
    axes = {i: mechanism.axis(menus.reports, i) for i in menus.asked}
    tolerance = rounding(  # of what the figures give, whatever the promise says
        (menus.fields[i], menus.points[i], axis.performance, axis.welfare)
        for i, axis in axes.items()
    )
    paid, rebates = mechanism.redistribution(menus.reports)
    yield Check("surplus", mechanism.surplus(menus.reports), promise.surplus, tolerance)
    for i in menus.asked:
        one = promise.organizations[names[i]]
        axis, own = axes[i], float(game.profitability[i])
        columns = {
            "menu": (menus.points[i], one.menu, PROVEN * float(menus.points[i].max())),
            "performance": (axis.performance, one.performance, tolerance / own),
            "welfare": (axis.welfare, one.welfare, tolerance),
            "utility": (axis.utility, one.utility, tolerance),
            "surplus": (mechanism.surplus_on_axis(menus.reports, i), one.surplus, tolerance),
        }
        for key, (mine, theirs, allowed) in columns.items():
            for point, a, b in zip(menus.points[i], mine, theirs, strict=True):
                yield Check(f"{names[i]}: {key} at {point:g}", float(a), b, allowed)
        yield Check(f"{names[i]}: rebate", float(rebates[i]), one.rebate, tolerance)
        yield Check(
            f"{names[i]}: redistribution by the proof",
            float(paid[i]),
            one.redistribution,
            tolerance,
        )
    rule = consortium.efficient_rule
    if rule is not None:
        for name, mine, theirs in zip(
            names, paid.tolist(), rule.net_constants.tolist(), strict=True
        ):
            yield Check(f"{name}: redistribution as paid", mine, theirs, tolerance)
