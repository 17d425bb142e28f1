"""The first sections: who takes part on which terms, who competes, who contributes what."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tradefl import charts
from tradefl.consortium import Consortium
from tradefl.incentives.promise import words as honesty
from tradefl.report import frames
from tradefl.report.blocks import (
    Block,
    Column,
    Fact,
    Facts,
    Figure,
    Section,
    Table,
    Text,
    counted,
    listed,
    quantity,
)
from tradefl.report.rule_words import words_of
from tradefl.solvers import Solution
from tradefl.statement import number


def chosen_words(solution: Solution, who: Sequence[int]) -> str:
    """Return the sentence that says who is shown of a large consortium."""
    return (
        f"Of {solution.game.size:,} organizations {len(who)} are shown: those that receive most, "
        "pay most, contribute most and have the lowest payoff. The solution document has all."
    )


def consortium_section(consortium: Consortium, solution: Solution, who: Sequence[int]) -> Section:
    """Return who takes part, with what, under which terms."""
    members, terms, game = consortium.organizations, consortium.mechanism, consortium.game
    measured = "bits" if consortium.accuracy.measure == "bits" else "samples"
    sectors = sorted({sector for sector in members.sectors if sector})
    words = (
        f"{counted(len(members), 'organization')} "
        f"{'trains' if len(members) == 1 else 'train'} one model together. Each keeps its data "
        "at home: training visits the data, and only the model travels. Together they hold "
        f"{quantity(float(members.data_bits.sum()), 'bit')} in {int(members.samples.sum()):,} "
        "samples. All get the same model, and some of them sell to the same customers. So each "
        "asks what its data is worth to its rivals, and the agreement answers with money: "
    )
    words += words_of(solution.game.mechanism).principle
    blocks: list[Block] = [Text(words)]
    section = consortium.compensation
    if (
        section is not None
        and section.truthful is not None
        and not solution.game.mechanism.uses_gamma
    ):
        blocks.append(
            Text(
                "Could somebody misstate its figures? "
                + " ".join(honesty(section.truthful, game.mechanism.payee))
            )
        )
    if game.mechanism.payee is not None:
        blocks.append(
            Text(
                f"{game.mechanism.payee} is the payee: an account that contributes nothing, "
                "deposits no bond, and receives what the organizations leave."
            )
        )
    if sectors:
        among = f": {listed(sectors)}" if len(sectors) <= 12 else ""
        blocks.append(Text(f"They belong to {counted(len(sectors), 'sector')}{among}."))
    blocks.append(
        Table(
            "terms",
            "What the consortium has agreed on",
            (
                Column("term", text=True),
                Column("symbol", text=True),
                Column("value"),
                Column("unit", text=True),
                Column("what it does", text=True),
            ),
            _terms(consortium, solution, measured),
        )
    )
    if game.mechanism.uses_gamma and terms.incentive_intensity != solution.game.incentive_intensity:
        blocks.append(
            Text(
                f"The method {solution.method} pays no redistribution: everything below is with "
                f"gamma = {solution.game.incentive_intensity:g}.",
                strong=True,
            )
        )
    if len(who) < len(members):
        blocks.append(Text(chosen_words(solution, who)))
    chosen = np.asarray(who, dtype=np.intp)
    blocks.append(
        Table(
            "organizations",
            "What each organization brings to the agreement",
            (
                Column("organization", text=True),
                Column("profitability p", "Eq. (4)"),
                Column("data s", "Eq. (2)"),
                Column("samples |S|"),
                Column("its weight u in Omega", "Eq. (4)"),
                Column("cycles per bit eta", "Eq. (2)"),
                Column("CPU levels F", "Eq. (13)"),
                Column("download T1, upload T3 (s)", "Eq. (13)"),
            ),
            [
                (
                    members.names[i],
                    f"{float(profit):,.6g}",
                    quantity(float(members.data_bits[i]), "bit"),
                    f"{int(members.samples[i]):,}",
                    f"{float(game.data_units[i]):.6g}",
                    f"{float(members.cycles_per_bit[i]):,.6g}",
                    _levels(members.levels(i)),
                    f"{float(members.download_seconds[i]):g}, {float(members.upload_seconds[i]):g}",
                )
                for i, profit in zip(who, members.profitability[chosen], strict=True)
            ],
        )
    )
    return Section("consortium", "The consortium", blocks)


def _levels(levels: Sequence[float]) -> str:
    if len(levels) == 1:
        return quantity(levels[0], "Hz")
    return f"{len(levels)} from {quantity(levels[0], 'Hz')} to {quantity(levels[-1], 'Hz')}"


def _terms(consortium: Consortium, solution: Solution, measured: str) -> list[tuple[str, ...]]:
    terms, energy = consortium.mechanism, consortium.energy
    mechanism = solution.game.mechanism
    rule, uses_gamma = words_of(mechanism).summary, mechanism.uses_gamma
    return [
        ("rule", "r", mechanism.name, "", rule),
        (
            "incentive intensity",
            "gamma",
            f"{terms.incentive_intensity:g}",
            "payoff per bit",
            "the price of a bit of difference between two full rivals, Eq. (9)"
            + ("" if uses_gamma else "; not in force"),
        ),
        (
            "compute weight",
            "lambda",
            f"{terms.compute_weight:g}",
            "bit per Hz",
            "how many bits of data one hertz of computing counts for, Eq. (9)",
        ),
        (
            "overhead weight",
            "varpi_e",
            f"{terms.overhead_weight:g}",
            "payoff per J",
            "what a joule of training costs, Eq. (8)",
        ),
        (
            "smallest share of data",
            "D_min",
            f"{terms.min_data_fraction:g}",
            "share",
            "everybody contributes at least this, Eq. (13)",
        ),
        (
            "deadline",
            "tau",
            f"{terms.deadline_seconds:,g}",
            "s",
            "download, training and upload must fit in it, Eq. (13)",
        ),
        (
            "energy of a cycle",
            "kappa",
            f"{energy.capacitance:g}",
            "J s^2 per cycle",
            "computing at f takes kappa f^2 joules a cycle, Eq. (8)",
        ),
        (
            "download and upload power",
            "E_DL, E_UL",
            f"{energy.download_watts:g}, {energy.upload_watts:g}",
            "W",
            "while the model travels, Eq. (8)",
        ),
        (
            "unit of Omega",
            "unit",
            f"{consortium.accuracy.unit:g}",
            measured,
            f"Omega counts the data in the training in so many {measured}, Eq. (4)",
        ),
    ]


def competition_section(consortium: Consortium, solution: Solution, who: Sequence[int]) -> Section:
    """Return who competes with whom, and how strongly."""
    game = solution.game
    blocks: list[Block] = [
        Text(
            "rho says how similar what two organizations sell is: 0 for strangers, 1 for full "
            "rivals. It enters the damage, Eq. (7), and the payments, Eq. (9). It is the same in "
            "both directions, which is what makes the payments cancel."
        )
    ]
    if consortium.competition_factor != 1.0:
        blocks.append(
            Text(
                "As the file asks (competition.rescale), all intensities were multiplied by "
                f"{consortium.competition_factor:.6g}."
            )
        )
    of_sectors = None
    if len(who) < game.size:
        of_sectors = frames.competition_of_sectors(game, consortium.organizations.sectors)
    large = of_sectors is not None
    pairs = of_sectors if of_sectors is not None else frames.competition_pairs(game, who)
    what = "sectors, on average" if large else "organizations"
    if len(who) < game.size and not large:
        blocks.append(Text(chosen_words(solution, who)))
    names = list(dict.fromkeys(pairs["first"]))
    strongest = pairs.sort_values("intensity", ascending=False, kind="stable").head(1)
    description = f"A square of cells for {counted(len(names), 'name')}; each holds its rho."
    if len(strongest) and float(strongest["intensity"].iloc[0]) > 0.0:
        first, second, rho = strongest.iloc[0]
        description += f" The strongest competition is between {first} and {second}: rho {rho:.4g}."
    else:
        description += " Nobody competes with anybody: nothing is damaged, and nothing is paid."
    blocks.append(Text(description.partition(". ")[2] or description))
    blocks.append(
        Figure(
            "competition",
            charts.inline_svg(
                charts.competition_map(pairs),
                name="competition",
                label=f"Competition intensity rho between {what}",
                description=description,
            ),
            f"Competition intensity rho between {what}, Eq. (7). The table below has the numbers.",
        )
    )
    values = {(a, b): rho for a, b, rho in pairs.itertuples(index=False)}
    blocks.append(
        Table(
            "intensities",
            f"Competition intensity rho between {what}, Eq. (7)",
            (Column("", text=True), *(Column(name) for name in names)),
            [
                (first, *(_intensity(values.get((first, other))) for other in names))
                for first in names
            ],
            folded=True,
        )
    )
    return Section("competition", "Who competes with whom", blocks)


def _intensity(rho: float | None) -> str:
    """Return rho as text; an organization with itself has none."""
    return "–" if rho is None else f"{rho:.4g}"


def contributions_section(solution: Solution, who: Sequence[int]) -> Section:
    """Return what each contributes: d, f, bits, and x of both."""
    game, profile, figures = solution.game, solution.profile, solution.figures
    given = frames.contributions(solution, who)
    fractions = profile.data_fraction
    everything = int((fractions >= 1.0).sum())
    blocks: list[Block] = [
        Text(
            "Each organization chooses two things: d, the share of its data that it lets the "
            "training use, and f, the CPU frequency it trains at. Data improves the model for "
            "everybody; computing costs energy. x counts both in bits: x = d s + lambda f."
            + words_of(game.mechanism).data
        ),
        Facts(
            (
                Fact(
                    "data in the training, Omega",
                    number(figures.omega),
                    "Eq. (4)",
                    "the sum of d u over all organizations",
                ),
                Fact(
                    "performance of the model, P(Omega)",
                    f"{figures.performance:.6g}",
                    "Eq. (4)",
                    f"{game.accuracy.formula(figures.omega)}: the loss that training removed",
                ),
                Fact(
                    "share of data, all together",
                    f"{float(profile.data_fraction @ game.data_bits / game.data_bits.sum()):.1%}",
                    "Eq. (13)",
                    f"{everything:,} of {counted(game.size, 'organization')} contribute all of it",
                ),
            )
        ),
    ]
    if len(who) < game.size:
        quantiles = np.quantile(fractions, [0.0, 0.1, 0.5, 0.9, 1.0])
        blocks.append(
            Table(
                "fractions",
                f"The share d over all {game.size:,} organizations",
                tuple(
                    Column(heading)
                    for heading in ("lowest", "a tenth below", "median", "a tenth above", "highest")
                ),
                [tuple(f"{value:.4f}" for value in quantiles)],
            )
        )
        blocks.append(Text(chosen_words(solution, who)))
    most = given.sort_values("resource_bits", ascending=False, kind="stable").iloc[0]
    blocks += [
        Figure(
            "contributions",
            charts.inline_svg(
                charts.contributions(given),
                name="contributions",
                label="What each organization contributes: d, f and x",
                description=f"Three bars for each of {counted(len(given), 'organization')}. The "
                f"largest contribution x is that of {most['organization']}: "
                f"{quantity(float(most['resource_bits']), 'bit')}.",
            ),
            "What each contributes: the share d of its data, the frequency f, and both together "
            "as x, Eq. (9).",
        ),
        Table(
            "contributed",
            "The contributions in numbers",
            (
                Column("organization", text=True),
                Column("share d", "Eq. (13)"),
                Column("frequency f", "Eq. (13)"),
                Column("data d s", "Eq. (9)"),
                Column("resource x", "Eq. (9)"),
                Column("training time (s)", "Eq. (2)"),
                Column("what binds", "Eq. (13)", text=True),
            ),
            [
                (
                    name,
                    f"{d:.6f}",
                    quantity(f, "Hz"),
                    quantity(bits, "bit"),
                    quantity(x, "bit"),
                    f"{seconds:,.6g}",
                    solution.binds[i],
                )
                for i, (name, d, f, bits, x, seconds) in zip(
                    who, given.itertuples(index=False), strict=True
                )
            ],
            anchors=[f"contributed-{i + 1}" for i in who],
        ),
    ]
    return Section("contributions", "What each contributes", blocks)
