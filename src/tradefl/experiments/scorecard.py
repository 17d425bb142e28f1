"""The scorecard: what became of each claim of the paper, and the command that shows it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tradefl.experiments.figure import Finding, Verdict

if TYPE_CHECKING:
    from tradefl.documents.scorecard import ScorecardDocument

ENOUGH_DRAWS = 20
FEW = f"Fewer than {ENOUGH_DRAWS} draws: the verdicts of the simulation figures mean little."
VERDICTS: tuple[Verdict, ...] = (
    "reproduced",
    "reproduced after correction",
    "not reproduced",
    "not determinable",
)
# Where the paper claims nothing.
OWN: tuple[Verdict, ...] = ("holds", "does not hold")


@dataclasses.dataclass(frozen=True)
class Scorecard:
    """The findings of the figures that were made.

    Attributes
    ----------
    findings
        Of each figure, by its name.
    titles
        What each figure shows.
    commands
        What makes each figure again.
    draws
        How many consortia a simulation figure has.
    """

    findings: Mapping[str, Sequence[Finding]]
    titles: Mapping[str, str]
    commands: Mapping[str, str]
    draws: int

    def counts(self) -> dict[Verdict, int]:
        """Return how many claims got each verdict; the paper's verdicts, ours, or both."""
        found = Counter(finding.verdict for each in self.findings.values() for finding in each)
        kinds = [kind for kind in (VERDICTS, OWN) if found.keys() & set(kind)] or [VERDICTS]
        return {verdict: found[verdict] for kind in kinds for verdict in kind}

    @property
    def _of_the_paper(self) -> bool:
        return not self.counts().keys() <= set(OWN)

    def document(self) -> ScorecardDocument:
        """Return the JSON document ``tradefl/scorecard/1``."""
        from tradefl.documents.scorecard import Claim, ScorecardDocument

        return ScorecardDocument(
            document="tradefl/scorecard/1",
            verdicts={str(verdict): count for verdict, count in self.counts().items()},
            claims=[
                Claim.of(figure=name, **dataclasses.asdict(finding), command=self.commands[name])
                for name, each in self.findings.items()
                for finding in each
            ],
        )

    def to_dict(self) -> dict[str, Any]:
        """Return :meth:`document` as plain values."""
        return self.document().to_dict()

    def to_markdown(self) -> str:
        """Return a table a figure."""
        counted = ", ".join(f"{count} {verdict}" for verdict, count in self.counts().items())
        few = f" **{FEW}**" if self.draws < ENOUGH_DRAWS else ""
        title, said = ("of the paper's claims", "paper")
        if not self._of_the_paper:
            title, said = ("beyond the paper", "expected")
        parts = [f"# Scorecard {title}\n\n{counted}.{few}\n"]
        for name, each in self.findings.items():
            rows = "\n".join(_row(finding) for finding in each)
            parts.append(
                f"## {name}: {self.titles[name]}\n\n`{self.commands[name]}`\n\n"
                f"| claim | {said} | ours | verdict |\n|---|---|---|---|\n{rows}\n"
            )
        return "\n".join(parts)


def _row(one: Finding) -> str:
    verdict = one.verdict + (f" ({one.correction})" if one.correction else "")
    ours = one.ours + (f". {one.remark}" if one.remark else "")
    cells = (one.claim, one.paper, ours, f"**{verdict}**")
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
