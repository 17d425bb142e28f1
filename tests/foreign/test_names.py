"""Names: one rule, and two that look alike are found."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradefl.foreign import look_alikes, name_problem, normalized, printable, skeleton

NFD = unicodedata.normalize("NFD", "Müller")


@pytest.mark.parametrize(
    "name",
    [
        "A",
        "Müller & Söhne",
        "Hôpital de l'Est",
        "北京协和分院",
        "Банк",
        "Τράπεζα",
        "בנק",
        "x" * 200,
        "(+) @home",
        "S.p.A. #1",
        "a\u00a0b",
        "नमस्ते",
    ],
)
def test_names_that_people_have(name):
    assert name_problem(name) is None


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("", "must not be empty"),
        ("x" * 201, "is 201 characters long; expected at most 200"),
        ("x" * 10**6, "is 1,000,000 characters long"),
        (" a", "no spaces around it"),
        ("a\u00a0", "no spaces around it"),
        ("Al\u200bpha", "character 3 is U+200B (zero width space)"),
        ("\u202eahplA", "character 1 is U+202E (right-to-left override)"),
        ("a\x1b[2J", "character 2 is U+001B (a control character)"),
        ("a\nb", "character 2 is U+000A"),
        ("a\u2028b", "character 2 is U+2028 (line separator)"),
        ("a\u00adb", "soft hyphen"),
        ("a\u3164b", "hangul filler"),
        ("a\u115fb", "hangul choseong filler"),
        ("a\u1160b", "hangul jungseong filler"),
        ("a\uffa0b", "halfwidth hangul filler"),
        ("a\u034fb", "combining grapheme joiner"),
        ("a\u17b4b", "khmer vowel inherent aq"),
        ("a\u180bb", "mongolian free variation selector one"),
        ("a\u2065b", "U+2065"),
        ("a\ufff0b", "U+FFF0"),
        ("a\U0001bca0b", "shorthand format letter overlap"),
        ("a\U0001d173b", "musical symbol begin beam"),
        ("a\U000e0020b", "tag space"),
        ("a\U000e0fffb", "U+E0FFF"),
        ("a\ufe0fb", "variation selector-16"),
        ("a\U000e0100b", "variation selector-17"),
        ("a\ud800b", "U+D800"),
        ("a\ue000b", "U+E000"),
        ("a\ufeffb", "zero width no-break space"),
    ],
    ids=ascii,
)
def test_names_that_are_refused(name, what):
    problem = name_problem(name)
    assert what in problem
    assert problem.isprintable()
    assert len(problem) < 200


# Default_Ignorable_Code_Point of DerivedCoreProperties.txt: what is drawn as nothing.
IGNORABLE = (
    *(0x00AD, 0x034F, 0x061C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFEFF, 0xFFA0),
    *(*range(0x180B, 0x1810), *range(0x200B, 0x2010), *range(0x202A, 0x202F)),
    *(*range(0x2060, 0x2070), *range(0xFE00, 0xFE10), *range(0xFFF0, 0xFFF9)),
    *(*range(0x1BCA0, 0x1BCA4), *range(0x1D173, 0x1D17B), *range(0xE0000, 0xE1000)),
)


def test_no_ignorable_character_is_in_a_name_or_is_printed():
    for c in map(chr, IGNORABLE):
        assert "invisible" in name_problem(f"a{c}b"), ascii(c)
        assert c not in printable(f"a{c}b"), ascii(c)


def test_one_written_name_is_one_name():
    assert normalized(NFD) == "Müller" != NFD


@pytest.mark.parametrize(
    "twin",
    [
        "\u0410lpha",
        "Alph\u0430",
        "\u0391lpha",
        "Αlρhа",
        "A\u04cfpha",
        "A1pha",
        "Аl\u0440h\u0251",
        "Ａlpha",
        "𝐀lpha",
    ],
    ids=ascii,
)
def test_look_alikes(twin):
    assert look_alikes(["Beta", "Alpha", "Gamma", twin]) == [("Alpha", twin)]


def test_pairs_of_letters_and_runs_of_spaces_look_alike():
    for entry, other in (("Alpha Group", "Alpha  Group"), ("mill", "rnill"), ("wave", "vvave")):
        assert look_alikes([entry, other]) == [(entry, other)]
    assert not look_alikes(["Alpha", "alpha", "Alpha Group", "AlphaGroup", "nill", "will"])


def test_spaces_dashes_and_apostrophes_look_alike():
    for entry, other in (("a b", "a\u2009b"), ("a-b", "a\u2013b"), ("l'Est", "l\u2019Est")):
        assert skeleton(entry) == skeleton(other)


def test_what_a_reader_can_tell_apart_stays_apart():
    names = ["Müller", "Muller", "Alpha", "alpha", "Site 2", "Site 3", "Банк А", "Банк Б", "Bank"]
    names += [f"Organization {k}" for k in range(2, 400)]
    assert look_alikes(names) == []


@given(st.text())
def test_any_text_is_judged_without_an_error(text):
    name_problem(text)
    skeleton(text)
    assert look_alikes([text, text]) == []
