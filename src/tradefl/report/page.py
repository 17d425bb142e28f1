"""The whole page: the sections in order, put into the template with everything escaped."""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
import re
from importlib import resources
from typing import Literal

from tradefl._version import __version__
from tradefl.arguments import DOCUMENT, GAME, SOLUTION, accepts, choice, instance, optional
from tradefl.consortium import Consortium
from tradefl.consortium.playing import consortium_of
from tradefl.consortium.writing import fingerprint
from tradefl.errors import InputError, MissingExtraError, Parameter
from tradefl.game import CoopetitionGame
from tradefl.incentives.misreports import Incentives
from tradefl.incentives.uncertainty import Sensitivity
from tradefl.outcomes import Comparison
from tradefl.report import equations
from tradefl.report.agreed import competition_section, consortium_section, contributions_section
from tradefl.report.blocks import Fact, Section, amount_of, amounts, anchors_of, counted, kind
from tradefl.report.chinese import chinese_of
from tradefl.report.decision import decision_section
from tradefl.report.frames import chosen
from tradefl.report.honesty import honesty_section
from tradefl.report.mathml import mathml
from tradefl.report.payoffs import payments_section, payoffs_section, statements_section
from tradefl.report.proof import certificate_section, gamma_section, opening_words
from tradefl.report.ranges import ranges_section
from tradefl.report.records import (
    Source,
    settlement_of,
    settlement_section,
    training_of,
    training_section,
)
from tradefl.report.rules import rules_section
from tradefl.report.staying import staying_section
from tradefl.report.symbols import in_svg, symbols_of
from tradefl.solvers import Solution, solve
from tradefl.solvers.cautions import cautions
from tradefl.stability import Stability
from tradefl.tuning import Tuning

try:
    import jinja2
    from markupsafe import Markup
except ImportError:
    raise MissingExtraError("report", "charts") from None

Audience = Literal["board", "engineer", "auditor"]
Language = Literal["en", "zh"]
# The sections that each sees; None: all.
AUDIENCES: dict[Audience, frozenset[str] | None] = {
    "board": frozenset(
        {
            *("decision", "contributions", "payoffs", "payments", "rules", "stability"),
            *("settlement", "equations"),
        }
    ),
    "engineer": None,
    "auditor": frozenset(
        {
            "decision",
            "consortium",
            "payments",
            "certificate",
            "settlement",
            "statements",
            "equations",
        }
    ),
}


@accepts(
    consortium=GAME,
    solution=optional(SOLUTION),
    tuning=optional(instance("tradefl.tuning.Tuning")),
    comparison=optional(instance("tradefl.outcomes.Comparison")),
    training=optional(DOCUMENT),
    settlement=optional(DOCUMENT),
    sensitivity=optional(instance("tradefl.incentives.uncertainty.Sensitivity")),
    stability=optional(instance("tradefl.stability.verdict.Stability")),
    incentives=optional(instance("tradefl.incentives.misreports.Incentives")),
    audience=choice(AUDIENCES),
    language=choice(("en", "zh")),
    date=optional(instance("datetime.date")),
)
def report(
    consortium: Consortium | CoopetitionGame,
    solution: Solution | None = None,
    *,
    tuning: Tuning | None = None,
    comparison: Comparison | None = None,
    training: Source | None = None,
    settlement: Source | None = None,
    sensitivity: Sensitivity | None = None,
    stability: Stability | None = None,
    incentives: Incentives | None = None,
    audience: Audience = "engineer",
    language: Language = "en",
    date: dt.date | None = None,
) -> str:
    """Return the report of a consortium: one HTML page that needs nothing else.

    Parameters
    ----------
    consortium
        Whose report; a game's is that of its consortium. The solution may be that of the same game
        under any mechanism; the page says which cannot be settled.
    solution
        Its contributions, solved or as settled; default: solved here.
    tuning
        The gamma curve; without it that section is left out.
    comparison
        The rules side by side; likewise.
    sensitivity
        What the ranges of the file's figures do; likewise.
    stability
        Whether a coalition could do better on its own; likewise.
    incentives
        What misreports gain; likewise.
    training, settlement
        What has happened since: as returned, as documents, or their files; their sections are left
        out without them.
    audience
        ``engineer``: everything; ``board``: the decision, contributions, payoffs, payments, the
        rules side by side, and who could leave; ``auditor``: the decision, payments, proof,
        settlement and every statement.
    language
        ``en``, or ``zh`` for the board.
    date
        The date in the head of the page; default: today in UTC, or the day of the environment
        variable ``SOURCE_DATE_EPOCH``, so that builds can be repeated.

    Raises
    ------
    InputError
        A document is of another consortium, or the audience has no report in the language.
    """
    if language != "en" and (audience != "board" or settlement is not None):
        what = "the Chinese report is the board's, without a settlement; expected audience 'board'"
        raise InputError.at(Parameter("language"), what)
    if solution is None:
        solution = solve(consortium)
    if isinstance(consortium, CoopetitionGame) and not consortium.mechanism.pairwise:
        # No consortium has a mechanism without a contract; its figures are those of the game.
        consortium = dataclasses.replace(consortium, compensation=None)
    consortium = consortium_of(consortium)
    told = cautions(solution)
    agreed, plain, solution = consortium, solution, solution.in_currency()
    consortium = consortium.in_currency()
    tuning = None if tuning is None else tuning.in_currency()
    comparison = None if comparison is None else comparison.in_currency()
    who = chosen(solution)
    stability = None if stability is None else stability.in_currency()
    sections = [
        decision_section(consortium, solution, who, comparison, _notes(agreed, told), stability),
        consortium_section(consortium, solution, who),
        competition_section(consortium, solution, who),
        contributions_section(solution, who),
        payoffs_section(solution, who),
        payments_section(solution, consortium.organizations.sectors),
        certificate_section(solution),
    ]
    if tuning is not None:
        sections.append(gamma_section(tuning, solution))
    if comparison is not None:
        sections.append(rules_section(comparison, who))
    if stability is not None:
        sections.append(staying_section(stability, who))
    if incentives is not None:
        sections.append(honesty_section(incentives, agreed))
    if sensitivity is not None:
        sections.append(ranges_section(sensitivity, who))
    if training is not None:
        sections.append(training_section(training_of(training, agreed)))
    if settlement is not None:
        settled = settlement_of(settlement, agreed)
        sections.append(settlement_section(settled, agreed, plain))
    sections += [statements_section(solution, who), equations.equations_section()]
    wanted = AUDIENCES[audience]
    if wanted is not None:
        sections = [section for section in sections if section.anchor in wanted]
    day = (date or _today()).isoformat()
    source = f"{day} · tradefl {__version__} · sha256 {fingerprint(agreed)}"
    return _rendered(consortium.name, solution, sections, language, source)


def _today() -> dt.date:
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    now = dt.datetime.now(dt.UTC)
    return (dt.datetime.fromtimestamp(int(epoch), dt.UTC) if epoch.isdigit() else now).date()


def _running(name: str, source: str) -> str:
    """Return the head and foot of each printed page, as CSS that no name can leave."""
    boxes = {
        "@top-left": _css_string(name),
        "@top-right": _css_string("TradeFL"),
        "@bottom-left": _css_string(source),
        "@bottom-right": 'counter(page) " / " counter(pages)',
    }
    rules = " ".join(f"{box} {{ content: {content}; }}" for box, content in boxes.items())
    return f"@page {{ {rules} }}"


def _css_string(text: str) -> str:
    """Return a CSS string; every character but letters and digits of ASCII is escaped."""
    escaped = re.sub(r"[^A-Za-z0-9]", lambda found: f"\\{ord(found[0]):x} ", text)
    return f'"{escaped}"'


def _notes(consortium: Consortium, told: tuple[str, ...]) -> list[str]:
    """Return what a reader must know before any number: money, assumptions, and cautions."""
    notes = []
    if consortium.currency is not None:
        unit = f"{consortium.payoff_unit:,.12g} {consortium.currency}"
        notes.append(
            f"All amounts are in {consortium.currency}. A unit of payoff in the consortium file is "
            f"{unit}."
        )
    if consortium.segments is not None:
        notes.append(
            "Assumed: rivals take from each other what their markets overlap times "
            f"{consortium.competition.conduct:g} (conduct). Overlap is computed from market "
            "segments; conduct is a judgement."
        )
    return [*notes, *(f"Note: {text}." for text in told)]


def _rendered(
    name: str, solution: Solution, sections: list[Section], language: Language, source: str
) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tradefl.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (resources.files("tradefl.report") / "templates" / "report.css").read_text("utf-8")
    game = solution.game
    names = [name, *(game.name_of(i) for i in range(game.size)), game.mechanism.payee or ""]
    symbols, translated = symbols_of(names), chinese_of(names)

    def inner(text: str) -> str:
        return translated(text) if language == "zh" else text

    def shown(text: str) -> str:
        return symbols(inner(text))

    environment.filters["symbols"] = shown
    return environment.get_template("report.html.j2").render(
        name=name,
        language="zh-CN" if language == "zh" else "en",
        summary=_summary(solution),
        status=opening_words(solution),
        sections=sections,
        style=Markup(style),  # noqa: S704  the package's own file
        running=Markup(_running(name, source)),  # noqa: S704  every character is escaped
        source=source,
        # The charts, whose texts are escaped where they are drawn.
        markup=lambda svg: Markup(in_svg(svg, shown)),  # noqa: S704
        # Every text in it is escaped.
        formula=lambda text: Markup(mathml(inner(text), shown(text))),  # noqa: S704
        targets=anchors_of(sections),
        kind=kind,
        anchor=equations.anchor,
        known=equations.EQUATIONS,
        method=solution.method,
        version=__version__,
    )


def _summary(solution: Solution) -> list[Fact]:
    """Return the few numbers that a reader wants first."""

    def shown(amount: float) -> str:
        code = solution.game.currency
        return amounts([amount])[0] if code is None else amount_of(amount, code)

    certificate = solution.certificate
    received = solution.terms.redistribution
    lowest = int(solution.payoffs.argmin()) + 1
    least = int(solution.gain_over_alone.argmin()) + 1
    return [
        Fact(
            "organizations",
            f"{solution.game.size:,}",
            link="table-contributed contributions consortium payments",
        ),
        Fact(
            "social welfare",
            shown(solution.social_welfare),
            "Eq. (11)",
            "all payoffs together",
            "table-payoffs table-transfers payments",
        ),
        Fact(
            "money that changes hands, net",
            shown(float(received[received > 0.0].sum())),
            "Eq. (10)",
            f"{counted(int((received > 0.0).sum()), 'organization')} receive, "
            f"{int((received < 0.0).sum()):,} pay",
            "table-transfers payments",
        ),
        Fact(
            "lowest payoff",
            shown(float(solution.payoffs.min())),
            "Eq. (11)",
            "no payoff is negative"
            if certificate.individually_rational
            else "somebody would lose by taking part",
            f"statement-{lowest}-payoff payoff-{lowest} payoffs",
        ),
        Fact(
            "least gain over training alone",
            shown(float(solution.gain_over_alone.min())),
            "",
            "everybody earns at least what it would by training alone"
            if solution.better_than_alone
            else f"{counted(int(solution.below_alone.size), 'organization')} would earn more by "
            "training alone",
            f"payoff-{least} payoffs statement-{least}",
        ),
        Fact(
            "largest regret",
            f"{certificate.max_regret:.3g}",
            "Eq. (12)",
            "the most that anybody could gain by changing alone",
            "certificate equations",
        ),
    ]
