"""The charts of one consortium: what is drawn where, and how they stand in a page."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree as ET

import pandas as pd
import pytest

from tradefl import charts

HOSTILE = '<script>alert("1")</script> & fill="#1f2328" url(#clip1) id="x"'
NAMES = ["Alpha", HOSTILE, "Gamma"]


def pairs(intensity=0.05):
    rows = [(a, b, intensity) for a in NAMES for b in NAMES if a != b]
    return pd.DataFrame(rows, columns=["first", "second", "intensity"])


def given():
    return pd.DataFrame(
        {
            "organization": NAMES,
            "data_fraction": [0.1, 0.5, 1.0],
            "cpu_hz": [1e9, 2e9, 3e9],
            "resource_bits": [1e10, 2e10, 3e10],
        }
    )


def steps():
    rows = [
        (HOSTILE, "revenue", 0.0, 10.0, "10"),
        (HOSTILE, "overhead", 10.0, 7.0, "-3"),
        (HOSTILE, "payoff", 0.0, 7.0, "7"),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["organization", "step", "start", "end", "label"])


def network():
    paid = pd.DataFrame({"payer": [HOSTILE], "receiver": ["Alpha"], "amount": [2.0]})
    net = pd.DataFrame(
        {"organization": NAMES, "amount": [2.0, -2.0, 0.0], "label": ["+2", "-2", "0"]}
    )
    return charts.payment_network(paid, net)


def curve(rational=(True, True, False)):
    points = pd.DataFrame(
        {"gamma": [1e-9, 1e-8, 1e-7], "welfare": [1.0, 3.0, 2.0], "rational": rational}
    )
    marks = pd.DataFrame({"gamma": [1e-8], "mark": ["gamma now"]})
    return charts.gamma_curve(points, marks, negative="somebody's payoff is negative")


def training():
    rounds = pd.DataFrame(
        {"round": [0, 1, 2], "accuracy": [0.1, 0.5, 0.6], "loss": [2.0, None, 1.0]}
    )
    return charts.training_curves(rounds)


ALL = {
    "map": lambda: charts.competition_map(pairs()),
    "contributions": lambda: charts.contributions(given()),
    "waterfall": lambda: charts.payoff_waterfall(steps()),
    "network": network,
    "curve": curve,
    "training": training,
}


def drawn(chart, prefix="one", label="A chart", description="What it shows"):
    return charts.inline_svg(chart, name=prefix, label=label, description=description)


def parsed(svg):
    return ET.fromstring(svg)  # noqa: S314  our own


def texts(svg):
    return ["".join(entry.itertext()) for entry in parsed(svg).iter() if entry.text]


@pytest.mark.parametrize("kind", ALL)
def test_a_chart_says_what_it_is_to_those_who_cannot_see_it(kind):
    svg = drawn(ALL[kind](), label=HOSTILE, description="It <b>shows</b>")
    root = parsed(svg)
    assert root.get("role") == "img"
    title, description = list(root)[:2]
    assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    assert (title.text, description.text) == (HOSTILE, "It <b>shows</b>")
    assert "viewBox" in root.attrib


@pytest.mark.parametrize("kind", ALL)
def test_two_charts_of_a_page_share_no_ids_and_find_their_own(kind):
    found = []
    for prefix in ("one", "two"):
        svg = drawn(ALL[kind](), prefix)
        root = parsed(svg)
        ids = [entry.get("id") for entry in root.iter() if entry.get("id")]
        assert len(ids) == len(set(ids))
        tags = "".join(re.findall(r"<[^>]*>", svg))
        assert set(re.findall(r"url\(#([^)]+)\)", tags)) <= set(ids)
        found.append(set(ids))
    assert not found[0] & found[1]


@pytest.mark.parametrize("kind", ALL)
def test_the_same_chart_is_drawn_the_same_again(kind):
    assert drawn(ALL[kind]()) == drawn(ALL[kind]())


@pytest.mark.parametrize("kind", ALL)
def test_the_ink_is_that_of_the_page(kind):
    svg = drawn(ALL[kind]())
    tags = "".join(re.findall(r"<[^>]*>", svg))
    assert 'fill="currentColor"' in tags
    assert charts.INK not in tags
    assert charts.FAINT not in tags
    assert "aria-label=" not in tags


@pytest.mark.parametrize("kind", ["map", "contributions", "waterfall", "network"])
def test_names_are_text_whatever_they_look_like(kind):
    svg = drawn(ALL[kind]())
    assert "<script" not in svg
    shown = [text for text in texts(svg) if text.startswith("<script>")]
    # Too long for its place, it ends in an ellipsis; what is left is as it was.
    assert shown
    assert all(HOSTILE.startswith(entry.partition("…")[0]) for entry in shown)


def test_the_intensities_stand_in_their_cells_as_long_as_they_fit():
    assert texts(drawn(charts.competition_map(pairs(0.0625)))).count("0.063") == 6
    many = [f"o{k}" for k in range(25)]
    rows = [(a, b, 0.0625) for a in many for b in many]
    large = pd.DataFrame(rows, columns=["first", "second", "intensity"])
    assert "0.063" not in texts(drawn(charts.competition_map(large)))


def test_a_map_without_any_competition_is_drawn():
    assert texts(drawn(charts.competition_map(pairs(0.0)))).count("0") == 6


def data_of(chart, field):
    """Return the rows of the data set that has a column."""
    sets = chart.to_dict()["datasets"].values()
    [rows] = [rows for rows in sets if field in rows[0]]
    return rows


def test_an_arrow_points_from_the_payer_to_the_receiver():
    chart = network()
    place = {row["organization"]: (row["x"], row["y"]) for row in data_of(chart, "side")}
    [arrow] = data_of(chart, "payer")
    start, end, head = (arrow["x"], arrow["y"]), (arrow["x2"], arrow["y2"]), (
        arrow["hx"], arrow["hy"],
    )  # fmt: skip
    assert math.dist(start, place[HOSTILE]) < math.dist(start, place["Alpha"])
    for entry in (end, head):
        assert math.dist(entry, place["Alpha"]) < math.dist(entry, place[HOSTILE])
    # A triangle points up at 0 degrees and turns clockwise.
    turn = math.radians(arrow["angle"])
    length = math.dist(start, end)
    assert end[0] - start[0] == pytest.approx(length * math.sin(turn))
    assert end[1] - start[1] == pytest.approx(length * math.cos(turn))


def test_who_receives_and_who_pays_is_told_by_colour_and_by_shape():
    roles = {row["organization"]: row["in all it"] for row in data_of(network(), "side")}
    assert roles == {"Alpha": "receives", HOSTILE: "pays", "Gamma": "neither"}
    assert {"receives", "pays", "neither"} <= set(texts(drawn(network())))


def test_a_network_without_payments_is_drawn():
    nobody = pd.DataFrame({"payer": [], "receiver": [], "amount": []})
    net = pd.DataFrame({"organization": ["Alpha"], "amount": [0.0], "label": ["0"]})
    assert "Alpha 0" in texts(drawn(charts.payment_network(nobody, net)))


def test_negative_payoffs_are_marked_on_the_curve_only_where_there_are_some():
    told = "somebody's payoff is negative"
    assert told in texts(drawn(curve()))
    assert told not in texts(drawn(curve(rational=(True, True, True))))
    assert {"gamma now", "1e-9", "1e-7"} <= set(texts(drawn(curve())))


def test_every_step_of_a_waterfall_has_its_colour():
    svg = drawn(charts.payoff_waterfall(steps()))
    for step in ("revenue", "overhead", "payoff"):
        assert f'fill="{charts.STEPS[step]}"' in svg
    assert {"10", "-3", "7"} <= set(texts(svg))


def legend_symbols(svg):
    """Return colour and dashes of each symbol in the legends."""
    found = re.findall(r"role-legend-symbol.*?</g>", svg, re.DOTALL)
    symbols = [entry for part in found for entry in re.findall(r"<path[^>]*>", part)]
    return [
        tuple(re.search(rf'{name}="([^"]*)"', symbol)[1] for name in ("stroke", "stroke-dasharray"))
        for symbol in symbols
        if "stroke-dasharray" in symbol
    ]


def test_the_legend_of_lines_shows_their_dashes_and_no_two_look_the_same():
    count = 12
    rows = [(f"o{k}", x, float(k)) for k in range(count) for x in (0, 1)]
    data = pd.DataFrame(rows, columns=["name", "x", "y"]).assign(low=0.0, high=20.0)
    axes = charts.axis("x", "x"), charts.axis("y", "y")
    for points in (True, False):
        for bands in (data, data.drop(columns=["low", "high"])):
            svg = charts.svg(charts.lines(bands, *axes, series="name", points=points))
            found = legend_symbols(svg)
            assert len(found) == len(set(found)) == count
            # One legend, not one for colours and one for dashes.
            assert texts(svg).count("name") == 1


def test_panels_keep_their_own_legends():
    data = pd.DataFrame({"name": ["a", "b"] * 2, "x": [0, 0, 1, 1], "y": [1.0, 2.0, 3.0, 4.0]})
    axes = charts.axis("x", "x"), charts.axis("y", "y")
    parts = [
        charts.lines(data.rename(columns={"name": name}), *axes, series=name)
        for name in ("first", "second")
    ]
    svg = charts.svg(charts.panels(parts))
    assert len(legend_symbols(svg)) == 4
    assert [texts(svg).count(name) for name in ("first", "second")] == [1, 1]


def test_the_legend_of_the_curve_shows_the_dashes_of_the_marks():
    points = pd.DataFrame({"gamma": [1e-9, 1e-8], "welfare": [1.0, 3.0], "rational": [True, True]})
    marks = pd.DataFrame({"gamma": [1e-8, 2e-9], "mark": ["gamma now", "gamma*, the best"]})
    svg = charts.svg(charts.gamma_curve(points, marks, negative="negative"))
    found = legend_symbols(svg)
    assert len(found) == len(set(found)) == 2


def test_who_has_no_colour_of_its_own_gets_one_that_nobody_else_has():
    names = ["CGBD", "cgbd-as-printed", "DBR", "exact", "mine"]
    found = charts.colours(names).range
    assert len(set(found)) == len(names)
    assert [found[0], found[2]] == [charts.SCHEMES["CGBD"], charts.SCHEMES["DBR"]]


@pytest.mark.parametrize(("count", "tilted"), [(16, False), (33, True)])
def test_many_names_stand_like_spokes_and_none_upside_down(count, tilted):
    names = [f"Organization {k}" for k in range(count)]
    paid = pd.DataFrame({"payer": names[:1], "receiver": names[1:2], "amount": [1.0]})
    net = pd.DataFrame({"organization": names, "amount": 0.0, "label": "0"})
    nodes = data_of(charts.payment_network(paid, net), "side")
    assert any(node["tilt"] for node in nodes) == tilted
    for node in nodes:
        assert -90.0 <= (node["tilt"] + 180.0) % 360.0 - 180.0 <= 90.0 + 1e-9
        if tilted:
            # From the centre outwards, or on the left inwards, as it is read.
            outwards = math.degrees(math.atan2(-node["y"], node["x"]))
            assert math.cos(math.radians(2 * (node["tilt"] - outwards))) == pytest.approx(1.0)


# --- of a study --------------------------------------------------------------------------------


def consortia():
    return pd.DataFrame(
        {
            "kind": ["alike", "alike", "unequal", "unequal", "unequal"],
            "gain": [1.0, 1.2, 3.1, 3.4, math.nan],
            "rivalry": [0.1, 0.2, 0.3, 0.4, 0.5],
        }
    )


def bars_of(chart):
    """Return the heights, counts and kinds of the filled bars, as a screen reader hears them."""
    words = re.findall(r'aria-label="([^"]*)" role="graphics-symbol"', charts.svg(chart))
    return sorted(word for word in words if word.startswith("gain"))


def test_a_histogram_counts_each_kind_by_itself_and_no_missing_value():
    chart = charts.histogram(
        consortia(), charts.axis("gain", "gain"), series="kind", count="how many", step=1.0
    )
    spoken = bars_of(chart)
    assert len(spoken) == 4  # two bars, each filled and edged
    assert all("how many: 2" in entry for entry in spoken)
    assert {re.search("kind: (\\w+)", entry)[1] for entry in spoken} == {"alike", "unequal"}


def test_a_scatter_has_a_point_a_row_and_a_shape_a_kind():
    chart = charts.scatter(
        consortia(), charts.axis("rivalry", "rivalry"), charts.axis("gain", "gain"), series="kind"
    )
    drawn = charts.svg(chart)
    assert drawn.count('aria-roledescription="point"') == 4
    shape = chart.to_dict()["layer"][-1]["encoding"]["shape"]["scale"]
    assert shape == {"domain": ["alike", "unequal"], "range": ["circle", "triangle-up"]}


def test_the_diagonal_is_where_both_are_the_same():
    chart = charts.scatter(
        consortia(),
        charts.axis("rivalry", "rivalry"),
        charts.axis("gain", "gain"),
        series="kind",
        diagonal=True,
    )
    assert chart.layer[0].data["same"].tolist() == [0.1, 3.4]


def test_marks_stand_at_their_values():
    chart = charts.scatter(
        consortia(), charts.axis("rivalry", "rivalry"), charts.axis("gain", "gain"), series="kind"
    )
    drawn = charts.svg(charts.marked(chart, {2.0: "half way"}, axis="y"))
    assert ">half way<" in drawn
    assert charts.svg(chart).count("<line") < drawn.count("<line")
