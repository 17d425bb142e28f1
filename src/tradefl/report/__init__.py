"""The report: one page that shows a consortium its contributions, payments and proofs."""

from tradefl.report.page import report
from tradefl.report.records import read_settlement, read_training, require_agreement_of

__all__ = ["read_settlement", "read_training", "report", "require_agreement_of"]
