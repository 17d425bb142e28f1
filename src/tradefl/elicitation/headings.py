"""The column headings of business tables, in English and German, and what they mean."""

from __future__ import annotations

import dataclasses
import re
from typing import Literal

from tradefl.foreign import normalized

Kind = Literal["text", "amount", "count", "number"]


@dataclasses.dataclass(frozen=True)
class Field:
    """A figure that a business table may hold.

    Attributes
    ----------
    name
        As ``--map COLUMN=FIELD`` calls it.
    meaning
        What it is, with its unit.
    kind
        ``text``; ``amount``, money; ``count``, a whole number; or ``number``.
    english, german
        Headings that are recognized, as regular expressions on a heading in small letters without
        its unit of money.
    examples
        An English and a German heading.
    """

    name: str
    meaning: str
    kind: Kind
    english: str
    german: str
    examples: tuple[str, str]


_POINT_EN = r"(per|a|and) (percentage point|point|pp)( of (accuracy|performance))?"
_POINT_DE = r"(prozentpunkt|punkt|pp)"
_EACH = r"(per|pro|je|a|/)"
_SIZE = r"(bytes?|[kmgt]b|[kmgt]byte|[kmgt]ib)"

FIELDS = (
    Field(
        "name",
        "the organization",
        "text",
        r"(organi[sz]ation|name|member|partner|institution|company|firm|hospital|clinic|bank|"
        r"insurer|manufacturer|plant|site|university|utility|operator|retailer|carrier|laboratory|"
        r"lab|drug maker|pharma company)( name)?",
        r"(organisation|mitglied|partner|institut|institution|unternehmen|firma|klinik|klinikum|"
        r"krankenhaus|spital|bank|institut|versicherer|versicherung|hersteller|werk|standort|haus|"
        r"universität|hochschule|stadtwerk|betreiber|händler|labor|teilnehmer)(name)?",
        ("Organization", "Klinik"),
    ),
    Field(
        "cases_per_year",
        "cases a year that the model serves: patients, transactions, claims, parts",
        "number",
        r"(annual .+|.+ (per|a|each) (year|annum)|.+/year|yearly .+|cases|volume|annual volume)",
        r"(.+ (pro|im|je) jahr|.+/jahr|jährliche .+|jahresvolumen|jahresmenge|fallzahl|fälle)",
        ("Cases per year", "Fälle pro Jahr"),
    ),
    Field(
        "uplift_percent",
        "percent of that margin that a percentage point of accuracy adds",
        "number",
        rf"uplift( %| percent)?( {_POINT_EN})?( %| in %)?",
        rf"(steigerung|zuwachs|mehrwert)( %| prozent)?( (je|pro) {_POINT_DE})?( %| in %)?",
        ("Uplift % per percentage point", "Steigerung % je Prozentpunkt"),
    ),
    Field(
        "benefit_per_case_and_point",
        "money that one case brings in more for each percentage point of accuracy",
        "amount",
        rf".+ {_POINT_EN}",
        rf".+ (je|pro|und|/) {_POINT_DE}",
        (
            "Benefit per case and percentage point EUR",
            "Nutzen je Fall und Prozentpunkt €",
        ),
    ),
    Field(
        "margin_per_case",
        "money that one case earns; with uplift_percent in place of the benefit",
        "amount",
        rf"(contribution )?margin( {_EACH} .+)?|profit {_EACH} (?!.*point).+",
        rf"(deckungsbeitrag|marge|rohertrag)( {_EACH} .+)?",
        ("Margin per case EUR", "Deckungsbeitrag je Fall €"),
    ),
    Field(
        "profitability",
        "p in units of payoff, in place of cases, benefit, margin and uplift",
        "number",
        r"profitability|p",
        r"profitabilität",
        ("Profitability", "Profitabilität"),
    ),
    Field(
        "samples",
        "samples that are there: images, records, transactions",
        "count",
        r".+ (available|in stock|on hand|labelled|labeled|held)|"
        r"(available|labelled|labeled|number of|training) (images|records|samples|scans|"
        r"documents|transactions|rows|pictures|cases|"
        r"measurements|readings|claims|parts|compounds|molecules|data points)|samples|records|"
        r"data points|dataset size|data set size",
        r".+ (verfügbar|vorhanden|gelabelt|annotiert)|(verfügbare|vorhandene|anzahl( der)?) "
        r"(bilder|datensätze|aufnahmen|dokumente|transaktionen|buchungen|zeilen|messungen|"
        r"messreihen|beispiele|schäden|teile|moleküle)|datensätze|stichproben|datenpunkte",
        ("Images available", "Bilder verfügbar"),
    ),
    Field(
        "megabytes_per_sample",
        "size of a sample; KB, MB or GB as the heading says",
        "number",
        rf"{_SIZE} {_EACH} .+|(sample|image|record|file|average) size( \(?{_SIZE}\)?)?|"
        rf"size {_EACH} .+ \(?{_SIZE}\)?",
        rf"{_SIZE} {_EACH} .+|(größe|dateigröße) {_EACH} .+ \(?{_SIZE}\)?|"
        rf"(dateigröße|bildgröße)( \(?{_SIZE}\)?)?",
        ("MB per image", "MB je Bild"),
    ),
    Field(
        "gpu",
        "the model of its GPUs, such as A100",
        "text",
        r"gpu( (type|model))?|accelerator( (type|model))?",
        r"gpu[- ]?(typ|modell)|grafikkarte|beschleuniger",
        ("GPU", "GPU-Typ"),
    ),
    Field(
        "gpus",
        "how many of them it trains with",
        "count",
        r"(number of |no\. of |count of |#)(gpus?|accelerators?)|gpus|gpu count",
        r"(anzahl|zahl)( der)? (gpus?|grafikkarten|beschleuniger)|gpu-anzahl",
        ("Number of GPUs", "Anzahl GPU"),
    ),
    Field(
        "megabytes_per_second",
        "data that one GPU trains on in a second, MB/s, where it was measured",
        "number",
        r"mb/s( per gpu)?|(training )?throughput( mb/s)?",
        r"durchsatz( mb/s)?( je gpu)?|mb/s je gpu",
        ("Throughput MB/s", "Durchsatz MB/s"),
    ),
    Field(
        "watts",
        "power of one GPU under load, W, where it is not in the table of GPUs",
        "number",
        r"watts?( per gpu)?|gpu power( w)?",
        r"watt( je gpu)?|leistung w( je gpu)?",
        ("Watts per GPU", "Watt je GPU"),
    ),
    Field(
        "electricity_per_kwh",
        "price of electricity per kWh",
        "amount",
        rf"(electricity|power|energy)( price| cost)?( ?{_EACH} ?kwh)?|price {_EACH} kwh|/kwh",
        rf"(strom|energie)(preis|kosten)?( ?{_EACH} ?kwh)?|strom",
        ("Electricity EUR/kWh", "Strom €/kWh"),
    ),
    Field(
        "preparation_per_sample",
        "cost of preparing one sample: curation, privacy, labelling",
        "amount",
        rf"(preparation|curation|labell?ing|annotation|cleaning|data preparation|preparing|"
        rf"anonymi[sz]ation|data cost)( cost| costs)? {_EACH} .+",
        rf"(aufbereitung|annotation|kuratierung|bereinigung|anonymisierung|labeling|labelling|"
        rf"datenaufbereitung|beschriftung)(skosten)? {_EACH} .+",
        ("Curation per image EUR", "Aufbereitung je Bild €"),
    ),
    Field(
        "joining_cost",
        "what joining costs once: legal work, project, integration",
        "amount",
        r"(one-off|one-time|one off|one time|initial|legal|joining|project|setup|set-up|onboarding|"
        r"integration|fixed).*(costs?|fees?|expenses?)",
        r"(einmal|rechts|jurist|projekt|beitritt|initial|fix|anschluss|vertrag).*(kosten|aufwand|"
        r"gebühren|aufwendungen)",
        ("One-off legal and project costs EUR", "Einmalige Rechts- und Projektkosten €"),
    ),
    Field(
        "sector",
        "its sector",
        "text",
        r"sector|industry",
        r"branche|sparte|sektor",
        ("Sector", "Branche"),
    ),
)
BY_NAME = {field.name: field for field in FIELDS}

_MONEY = {
    "€": "EUR", "eur": "EUR", "euro": "EUR", "euros": "EUR", "$": "USD", "usd": "USD",
    "us$": "USD", "chf": "CHF", "£": "GBP", "gbp": "GBP", "¥": "CNY", "cny": "CNY", "rmb": "CNY",
    "jpy": "JPY", "sek": "SEK", "nok": "NOK", "dkk": "DKK", "pln": "PLN", "czk": "CZK",
    "cad": "CAD", "aud": "AUD", "inr": "INR", "krw": "KRW", "sgd": "SGD",
}  # fmt: skip
_UNIT = re.compile(
    r"(?<![a-zäöüß])(?P<scale>t|k|mio\.?|m|tsd\.?)?\s?(?P<money>"
    + "|".join(sorted(map(re.escape, _MONEY), key=len, reverse=True))
    + r")(?![a-zäöüß])"
)
_CENT = re.compile(r"(?<![a-zäöüß])(cents?|ct)(?![a-zäöüß])")
_SCALES = {None: 1.0, "t": 1e3, "k": 1e3, "tsd": 1e3, "m": 1e6, "mio": 1e6}
_BYTES = {"k": 1e-3, "m": 1.0, "g": 1e3, "t": 1e6}


@dataclasses.dataclass(frozen=True)
class Meaning:
    """What a heading means: its field, the factor on its numbers, and its currency if any."""

    field: Field
    factor: float = 1.0
    currency: str | None = None


def money_of(heading: str) -> tuple[str, float, str | None]:
    """Return a heading without its unit of money, the factor on its numbers, and the currency."""
    text = " ".join(normalized(heading).lower().replace("(", " ").replace(")", " ").split())
    text = text.replace("[", " ").replace("]", " ")
    found = _UNIT.search(text)
    factor, currency = 1.0, None
    if found:
        scale = (found["scale"] or "").rstrip(".") or None
        factor, currency = _SCALES[scale], _MONEY[found["money"]]
        text = text[: found.start()] + " " + text[found.end() :]
    cents = _CENT.search(text)
    if cents:
        factor, text = factor / 100.0, text[: cents.start()] + " " + text[cents.end() :]
    text = re.sub(r"(^| )in( |$)", " ", text)
    return " ".join(text.split()).strip(" ,;:"), factor, currency


def meaning_of(heading: str, field: str | None = None) -> Meaning | None:
    """Return what a heading means; ``None`` if it is not a known one.

    Parameters
    ----------
    heading
        The text of the heading.
    field
        The field that it is said to be; only unit and currency are then read off the heading.
    """
    text, factor, currency = money_of(heading)
    found = BY_NAME.get(field or "")
    if found is None:
        known = re.sub(r"[\s_]+", "_", text)
        found = BY_NAME.get(known)
    if found is None:
        for candidate in FIELDS:
            if re.fullmatch(candidate.english, text) or re.fullmatch(candidate.german, text):
                found = candidate
                break
    if found is None:
        return None
    if found.kind == "amount":
        return Meaning(found, factor, currency)
    if found.name == "megabytes_per_sample":
        size = re.search(r"(?<![a-z])([kmgt])i?b(yte)?s?(?![a-z])", normalized(heading).lower())
        return Meaning(found, _BYTES[size[1]] if size else 1.0)
    return Meaning(found)
