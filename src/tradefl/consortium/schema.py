"""The consortium file, section by section: names, units, ranges, defaults.

The ranges are here and nowhere else; tables of organizations in CSV or Parquet are held
to those of :class:`Organization` too.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from tradefl.foreign import name_problem, normalized
from tradefl.text import CELL_SHOWN, printable

if TYPE_CHECKING:
    from tradefl.consortium.consortium import Consortium
    from tradefl.game import Rule

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(gt=0, le=1)]
Intensity = Annotated[float, Field(ge=0, le=1)]
FILE_NAME_LENGTH = 1_000
MOST_LEVELS = 1_000
SHOWN = 60


def _name(text: str) -> str:
    name = normalized(text)
    problem = name_problem(name)
    if problem is not None:
        raise PydanticCustomError("name", "{problem}", {"problem": problem})
    return name


def _by_name(table: Any) -> Any:
    """Return a table by name with its keys in normal form."""
    if not isinstance(table, dict):
        return table
    normal = {normalized(key): value for key, value in table.items()}
    if len(normal) != len(table):
        raise PydanticCustomError("name", "{problem}", {"problem": "names somebody twice"})
    return normal


Name = Annotated[str, AfterValidator(_name)]
FileName = Annotated[str, StringConstraints(min_length=1, max_length=FILE_NAME_LENGTH)]
Address = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-fA-F]{40}$")]
Bytes32 = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-fA-F]{64}$")]
Seconds = Annotated[int, Field(gt=0)]
Point = Annotated[list[float], Field(min_length=2, max_length=2)]
Menu = Annotated[list[float], Field(min_length=1, max_length=50)]
Levels = Annotated[list[Positive], Field(min_length=1, max_length=MOST_LEVELS)]
# Only the first point that is wrong is reported: there may be millions.
Points = Annotated[list[Point], FailFast()]


class Section(BaseModel):
    """A table of the file: no unknown keys, no conversions, no NaN or infinity."""

    # Models are built when first used: building a whole file builds each of them once.
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, defer_build=True
    )


class Money(Section):
    """The top-level keys ``currency`` and ``payoff_unit``: what a unit of payoff is in money."""

    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] | None = None
    payoff_unit: Positive = 1.0  # amount of currency in a unit of payoff


class RuleOfFile(NamedTuple):
    """What a redistribution rule needs in the file.

    Attributes
    ----------
    build
        Returns the game's rule; ``None`` for the paper's, which gamma alone determines.
    section
        The table that must be there; empty for none.
    """

    build: Callable[[Consortium], Rule | None]
    section: str = ""


# The values of ``mechanism.rule``.
RULES: dict[str, RuleOfFile] = {
    "linear": RuleOfFile(lambda consortium: None),  # noqa: ARG005
    "efficient": RuleOfFile(lambda consortium: consortium.efficient_rule, "compensation"),
}


def _known_rule(name: str) -> str:
    if name not in RULES:
        known = " or ".join(map(repr, RULES)) + ", the rules with a contract"
        known += " (another mechanism cannot be settled; a report can show it)"
        raise PydanticCustomError("literal_error", "unknown rule", {"expected": known})
    return name


class Mechanism(Section):
    """``[mechanism]``: what the consortium has agreed on."""

    incentive_intensity: NonNegative  # gamma, payoff per bit
    compute_weight: Positive  # lambda, bits per Hz
    overhead_weight: NonNegative  # varpi_e, payoff per joule
    min_data_fraction: Fraction  # D_min
    deadline_seconds: Positive  # tau
    rule: Annotated[str, AfterValidator(_known_rule)] = "linear"  # who compensates whom


class Energy(Section):
    """``[energy]``: what training and communication consume."""

    capacitance: NonNegative  # kappa, J s^2 per cycle
    download_watts: NonNegative  # E_DL
    upload_watts: NonNegative  # E_UL


class _Accuracy(Section):
    measure: Literal["bits", "samples"]  # what Omega counts
    unit: Positive  # bits (or samples) per unit of Omega


class SqrtLossAccuracy(_Accuracy):
    """``[accuracy] model = "sqrt-loss"``: footnote 7 of the paper."""

    model: Literal["sqrt-loss"]
    epochs: Positive  # G
    untrained_loss: Positive  # A(0)


class PowerLawAccuracy(_Accuracy):
    """``[accuracy] model = "power-law"``."""

    model: Literal["power-law"]
    untrained_loss: Positive
    scale: Positive
    exponent: Positive
    floor: NonNegative


class EmpiricalAccuracy(_Accuracy):
    """``[accuracy] model = "empirical"``: a curve fitted to measured points."""

    model: Literal["empirical"]
    points_file: FileName  # CSV data,accuracy; data in units of Omega
    untrained_accuracy: Annotated[float, Field(ge=0, le=1)] = 0.0


Accuracy = SqrtLossAccuracy | PowerLawAccuracy | EmpiricalAccuracy
ACCURACY_MODELS: Mapping[str, type[Accuracy]] = {
    "sqrt-loss": SqrtLossAccuracy,
    "power-law": PowerLawAccuracy,
    "empirical": EmpiricalAccuracy,
}


class Competition(Section):
    """``[competition]``: rho by pairs, by matrix or by sector."""

    default: Intensity | None = None  # rho of pairs not listed; 0 when absent
    rescale: bool = False
    pairs: list[Any] = Field(default_factory=list)  # checked by pair_problem
    matrix_file: FileName | None = None
    segments_file: FileName | None = None  # organization x market segment: rho from overlap
    conduct: Fraction | None = None  # rho_ij = conduct x overlap_ij
    within_sector: Intensity | None = None
    across_sectors: Intensity | None = None


class TruthfulOrganization(Section):
    """What one organization may report, and what comes of it: lists along its menu."""

    figure: Name
    exact: bool  # whether utility rises by steps of the welfare, as for pure costs
    report: float
    menu: Menu
    performance: Menu  # P at the optimum of each report
    welfare: Menu  # W there, payoff
    utility: Menu  # U_i, payoff
    surplus: Menu  # S, payoff
    rebate: float  # R_i, payoff
    redistribution: float  # T_i + R_i, payoff

    @model_validator(mode="after")
    def _same_length(self) -> TruthfulOrganization:
        lists = (self.performance, self.welfare, self.utility, self.surplus)
        if any(len(list_) != len(self.menu) for list_ in lists):
            raise PydanticCustomError(
                "name", "{problem}", {"problem": "expected lists as long as the menu"}
            )
        return self


class Truthful(Section):
    """``[compensation.truthful]``: menus and proof, written by ``tradefl design``."""

    claimant: Name  # who is not asked, and receives what is left
    menus: Literal["agreed", "from reports"]
    range: float | None = None  # the half width of menus that were written around reports
    surplus: float
    least_surplus: float  # of all profiles tried
    profiles_tried: Annotated[int, Field(ge=1)]
    ironed: list[str] = Field(default_factory=list)  # menu points that were dropped
    organizations: Annotated[dict[str, TruthfulOrganization], BeforeValidator(_by_name)]


class Payee(Section):
    """``[compensation.payee]``: an account that receives what is left, and contributes nothing."""

    name: Name = "payee"
    address: Address | None = None


class Compensation(Section):
    """``[compensation]``: the efficient rule's figures, as ``tradefl design`` writes them."""

    target: Name | None = None  # what the constants are for; shown, not computed with
    constants: Annotated[dict[str, float], BeforeValidator(_by_name)]  # k_i by name, payoff
    pairs: list[Any] = Field(default_factory=list)  # [receiver, payer, amount], payoff
    schedules: Annotated[
        dict[str, Points], BeforeValidator(_by_name)
    ]  # phi_i by name: [share, payoff], ascending
    truthful: Truthful | None = None  # why nobody gains by misreporting
    payee: Payee | None = None  # settles with all; its constant is what theirs leave


MENU = Field(min_length=2, max_length=50)
MENUS = ("profitability_menu", "data_cost_menu", "joining_cost_menu", "capacitance_menu")


class Organization(Section):
    """``[[organization]]``: one organization's own figures."""

    name: Name
    profitability: Positive  # p_i
    data_bits: Positive  # s_i
    samples: Annotated[int, Field(ge=1, le=2**53)]  # |S_i|
    cycles_per_bit: Positive  # eta_i
    cpu_levels_hz: Levels  # F_i, ascending
    download_seconds: NonNegative  # T1_i
    upload_seconds: NonNegative  # T3_i
    data_cost: NonNegative = 0.0  # payoff, to prepare the full dataset
    joining_cost: NonNegative = 0.0  # payoff, once, whatever is contributed
    capacitance: NonNegative | None = None  # kappa_i; default that of [energy]
    quality: Positive = 1.0  # weight of its data in Omega
    profitability_menu: Annotated[list[Positive], MENU] | None = None  # what it may report
    data_cost_menu: Annotated[list[NonNegative], MENU] | None = None
    joining_cost_menu: Annotated[list[NonNegative], MENU] | None = None
    capacitance_menu: Annotated[list[NonNegative], MENU] | None = None
    sector: Name | None = None
    address: Address | None = None


class Settlement(Section):
    """``[settlement]``: the terms of the contract on the chain."""

    wei_per_payoff: Annotated[int, Field(gt=0)] = 10**15
    verifier: Address | None = None
    arbiter: Address | None = None
    join_seconds: Seconds = 86_400
    report_seconds: Seconds = 604_800
    dispute_seconds: Seconds = 86_400
    ruling_seconds: Seconds = 86_400
    closing_blocks: Annotated[int, Field(gt=0)] = 20  # that a window stays open once it is closed
    dispute_stake_wei: Annotated[int, Field(ge=0)] = (
        0  # on top of the bond; a lost dispute costs it
    )
    chain_id: Annotated[int, Field(gt=0, lt=2**64)] | None = None  # of the chain it is settled on
    factory: Address | None = None  # what creates the contracts; default: one for every chain
    series: Bytes32 | None = None  # agreements of one series share a vault
    block_gas_limit: Annotated[int, Field(gt=0)] = 16_777_216  # that no call exceeds
    max_transaction_bytes: Annotated[int, Field(gt=0)] = 30_000  # that no transaction exceeds
    turn_seconds: Annotated[int, Field(gt=0, le=86_400)] = 60  # of a negotiation
    turn_blocks: Annotated[int, Field(ge=0, le=1_000)] = 3  # that a turn stays open after its time

    @field_validator("turn_blocks")
    @classmethod
    def _leaves_blocks(cls, value: int, info: ValidationInfo) -> int:
        """After an outage the window may be closed in the block that ends the last turn's time."""
        closing = info.data.get("closing_blocks")
        if closing is not None and value >= closing:
            raise PydanticCustomError(
                "turn_blocks",
                "fewer than closing_blocks = {closing}, so that a negotiation that an outage has "
                "ended leaves a block in which to contribute",
                {"closing": closing},
            )
        return value

    @property
    def turn_blocks_agreed(self) -> int:
        """How many blocks a turn stays open: as the file says, else fewer than the window does."""
        return min(self.turn_blocks, self.closing_blocks - 1)


Aggregation = Literal["fedavg", "fedprox", "fedadam", "fedmedian", "trimmed-mean", "krum", "bulyan"]
AGGREGATIONS: tuple[str, ...] = get_args(Aggregation)


class Training(Section):
    """``[training]``: how updates become a model, as the consortium has agreed."""

    aggregation: Aggregation = "fedavg"
    proximal_mu: NonNegative = 0.1  # fedprox: the weight of staying close
    clip_norm: NonNegative = 0.0  # the longest step of an update; 0: any
    assumed_hostile: Annotated[int, Field(ge=1)] | None = None  # trimmed-mean, krum, bulyan
    # An update with one of these flags, if it is certain, pays nothing. Not copied: of two equal
    # updates nobody knows which is the copy.
    unpaid_flags: Annotated[list[Literal["unchanged", "outlier"]], Field(max_length=2)] = []
    # Not agreed where they are missing: then they are not in what is signed either.
    deadline: Literal["model", "wall", "off"] | None = None  # by Eq. (2), by the clock, or not
    validation_fraction: Annotated[float, Field(ge=0.0, lt=1.0)] | None = None

    def terms(self) -> dict[str, Any]:
        """Return what is signed: all keys, without those that the partners have left open."""
        values = self.model_dump()
        for key in LEFT_OPEN:
            if values[key] is None:
                del values[key]
        return values


# Keys that were added when agreements had been signed without them.
LEFT_OPEN = ("deadline", "validation_fraction")


SIGNS = {
    "greater_than": ">",
    "greater_than_equal": ">=",
    "less_than": "<",
    "less_than_equal": "<=",
}


def described(error: Any, known: Iterable[str] = ()) -> str:
    """Return what was expected, from one entry of :meth:`ValidationError.errors`."""
    kind, got = error["type"], shown(error["input"])
    context = error.get("ctx", {})
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return "unknown key" + suggestion(str(error["loc"][-1]), known)
    if kind in SIGNS:
        sign = SIGNS[kind]
        bound = next(iter(context.values()))
        return f"expected a number {sign} {bound:g}, got {got}"
    if kind == "finite_number":
        return f"expected a finite number, got {got}"
    if kind == "string_pattern_mismatch" and "[A-Z]{3}" in context["pattern"]:
        return f"expected a currency of three capital letters, such as 'EUR', got {got}"
    if kind == "string_pattern_mismatch" and "0x" not in context["pattern"]:
        return f"expected text of the form {context['pattern']}, got {got}"
    if kind == "string_pattern_mismatch":
        digits = re.search(r"\{(\d+)\}$", context["pattern"].rstrip("$"))
        if digits is None:
            return f"expected 0x and two hexadecimal digits for each byte, got {got}"
        count = digits[1]
        what = "an address: " if count == "40" else ""
        return f"expected {what}0x and {count} hexadecimal digits, got {got}"
    if kind == "name":
        return f"{context['problem']}, got {got}"
    if kind == "string_too_long":
        return f"expected at most {context['max_length']:,} characters, got {len(error['input']):,}"
    if kind == "literal_error":
        return f"expected {context['expected']}, got {got}"
    if kind == "too_long" and context["max_length"] > 2:
        return f"expected at most {context['max_length']:,} values"
    if kind == "too_short" and str(error["loc"][-1]).endswith("_menu"):
        return f"expected at least {context['min_length']} ascending numbers, got {got}"
    if kind == "too_short" and context.get("min_length", 1) > 1:
        kind = "too_long"  # either way it is not a pair
    if kind in ("too_short", "string_too_short"):
        return f"must not be empty, got {got}"
    expected = _EXPECTED.get(kind, error["msg"])
    return f"expected {expected}, got {got}"


_EXPECTED = {
    "dataclass_type": "a table",
    "float_type": "a number",
    "float_parsing": "a number",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number of reasonable size",
    "int_from_float": "a whole number",
    "string_type": "text",
    "bool_type": "true or false",
    "list_type": "a list",
    "too_long": "a pair [share, payoff]",
    "model_type": "a table",
    "dict_type": "a table",
}


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean ...?)"`` when one of the known words is close.

    Of many known words only the first 5,000 are compared, and no long word is: the comparison
    takes time that grows as the square of a word's length.
    """
    if len(word) > SHOWN:
        return ""
    few = list(itertools.islice(known, 5_000))
    close = difflib.get_close_matches(word, few, n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


def shown(value: Any) -> str:
    """Return a value for a message: printable, of text at most 40 characters, of others 60."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, bool):
        return "true" if value else "false"
    # What is cut off need not be written out: it may be a million numbers.
    if isinstance(value, str):
        text = repr(value[: CELL_SHOWN + 1])
        return text if len(text) <= CELL_SHOWN + 2 else text[: CELL_SHOWN - 2] + "..." + text[0]
    if isinstance(value, list):
        text = f"[{', '.join(map(shown, value[:SHOWN]))}]"
    elif isinstance(value, int) and value.bit_length() > 1_000:
        return "a number of more than 300 digits"
    else:
        text = printable(repr(value))
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


__all__ = [
    "ACCURACY_MODELS",
    "AGGREGATIONS",
    "MENUS",
    "Accuracy",
    "Compensation",
    "Competition",
    "EmpiricalAccuracy",
    "Energy",
    "Mechanism",
    "Money",
    "Organization",
    "Payee",
    "PowerLawAccuracy",
    "Section",
    "Settlement",
    "SqrtLossAccuracy",
    "Training",
    "Truthful",
    "TruthfulOrganization",
    "ValidationError",
    "described",
    "shown",
    "suggestion",
]
