"""What the report and the console say about each redistribution rule: all of its sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tradefl.game import Mechanism


class RuleWords(NamedTuple):
    """The sentences of one rule.

    Attributes
    ----------
    principle
        Ends "the agreement answers with money:".
    summary
        What the rule does, in the table of terms.
    data
        Follows "x counts both in bits: x = d s + lambda f."
    payments
        How organizations pay each other.
    without_gamma
        Where gamma is searched: what the search is about, if the rule does not use gamma.
    """

    principle: str
    summary: str
    data: str
    payments: str
    without_gamma: str = ""


def words_of(mechanism: Mechanism) -> RuleWords:
    """Return the sentences of a mechanism; those of one without a contract name its equation."""
    if mechanism.name in WORDS:
        return WORDS[mechanism.name]
    title = mechanism.title or mechanism.name
    payments = (
        f"Each organization receives or pays what the mechanism says: {title}. The transfers "
        f"follow {mechanism.equation}. They are net amounts: who pays whom below is one way to "
        "clear them, with few payments."
    )
    if not mechanism.pairwise:
        payments += " " + NOT_SETTLED
    return RuleWords(
        principle=f"everybody receives or pays what the mechanism says: {title}.",
        summary=f"{title}, {mechanism.equation}",
        data="",
        payments=payments,
        without_gamma=" Another mechanism is in force here: this is what the paper's rule would "
        "bring.",
    )


NOT_SETTLED = (
    "No contract computes this mechanism, so it cannot be settled: agreement, settle and audit "
    "know the linear and the efficient rule."
)
# By the rule's name.
WORDS: dict[str, RuleWords] = {
    "linear": RuleWords(
        principle="of two rivals, the one that contributes less pays the one that contributes "
        "more.",
        summary="of two rivals the one that contributes less pays, Eq. (9)",
        data=" So they can be paid with one price.",
        payments="Of two rivals, the one that contributes less pays the other: gamma times rho "
        "times the difference of what they contribute, Eq. (9). What one pays the other receives, "
        "so nobody has to put money in.",
    ),
    "efficient": RuleWords(
        principle="everybody is paid what its data is worth to the others, as far as that differs "
        "from what was agreed on, and agreed constants share among all what they gain together.",
        summary="everybody is paid what its data is worth to the others, Eq. (9e)",
        data=" This rule pays for data alone, by each organization's schedule.",
        payments="Each organization's data is worth something to all others; how much, its "
        "schedule says. Of two, the one whose data is worth less than was agreed on, against the "
        "other's, pays the other a share of the difference, and both settle the constant "
        "that they have agreed on, Eq. (9e). What one pays the other receives, so nobody has "
        "to put money in.",
        without_gamma=" The efficient rule is in force here, which knows no gamma: this is what "
        "the paper's rule would bring.",
    ),
}
