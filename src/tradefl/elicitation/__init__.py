"""From business figures to a consortium file: volumes, margins, GPUs and markets.

:func:`elicit` is the whole way; :func:`gpu` gives effort, levels and capacitance of a machine.
"""

from tradefl.elicitation.business import ACCURACIES, Assumption, Elicited, elicit, power_law_of
from tradefl.elicitation.gpus import DEVICES, Device, Machine, device, gpu
from tradefl.elicitation.headings import FIELDS, Field, meaning_of
from tradefl.elicitation.tables import Business, known_headings, mapping, read_business
from tradefl.elicitation.writing import text_of, write_elicited

__all__ = [
    "ACCURACIES",
    "DEVICES",
    "FIELDS",
    "Assumption",
    "Business",
    "Device",
    "Elicited",
    "Field",
    "Machine",
    "device",
    "elicit",
    "gpu",
    "known_headings",
    "mapping",
    "meaning_of",
    "power_law_of",
    "read_business",
    "text_of",
    "write_elicited",
]
