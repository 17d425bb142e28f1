"""What the report and the console say about each redistribution rule: all of its sentences."""

from __future__ import annotations

from typing import NamedTuple


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
