"""The equations that the numbers of a report name, each with what it says in words."""

from __future__ import annotations

import re

from tradefl.report.blocks import Column, Section, Table, Text

EQUATIONS = {
    "Eq. (2)": (
        "T2 = eta d s / f",
        "The time to train on the share d of the data s at f cycles a second.",
    ),
    "Eq. (4)": (
        "Omega = sum of d u; P(Omega) = A(0) - A(Omega); revenue = p P(Omega)",
        "How much training with the data Omega improves the model, and what that earns.",
    ),
    "Eq. (6)": (
        "varpi_j = p_j (P(Omega) - P(Omega without d u))",
        "What rival j earns because the organization brought its data.",
    ),
    "Eq. (7)": (
        "damage = sum over j of rho_ij varpi_j",
        "The part of that which goes at the organization's expense.",
    ),
    "Eq. (8)": (
        "overhead = varpi_e (kappa f^2 eta d s + E_DL T1 + E_UL T3)",
        "What the energy for computing and for both transfers costs.",
    ),
    "added": (
        "overhead as in Eq. (8) + data_cost d + joining_cost",
        "Costs that the paper does not have: to prepare the data that is contributed, and to take "
        "part at all. Where a file states them, they are part of the overhead.",
    ),
    "Eq. (9)": (
        "r_ij = gamma rho_ij (x_i - x_j); x = d s + lambda f",
        "What i receives from j; j pays it. Negative: i pays.",
    ),
    "Eq. (9e)": (
        "r_ij = (phi_i - phi_j) / (N - 1) + k_ij; phi_i is read off i's schedule at d_i",
        "The same under the efficient rule. phi_i is what i's data is worth to all others, counted "
        "from what is agreed on; at what is agreed on the constants k_ij are all that is paid.",
    ),
    "Eq. (10)": (
        "R_i = sum over j of r_ij; the sum of all R_i is 0",
        "What i receives in all, less what it pays.",
    ),
    "Eq. (11)": (
        "payoff = revenue - overhead - damage + R; social welfare = the sum of all payoffs",
        "What is left for the organization, and for all together.",
    ),
    "Eq. (12)": (
        "payoff_i(own choice, the others) >= payoff_i(any other choice, the others)",
        "Nash equilibrium: nobody gains by changing alone.",
    ),
    "Eq. (13)": (
        "D_min <= d <= 1; f is one of the levels F; T1 + T2 + T3 <= tau",
        "What an organization may choose.",
    ),
    "Eq. (18)": (
        "maximize U = P(Omega) + sum over i of "
        "(gamma rho_i. x_i - varpi_e kappa f^2 eta d s) / z_i",
        "The potential: it rises whenever anybody improves its payoff alone. z_i = p_i - sum over "
        "j of rho_ij p_j, and rho_i. is the sum of rho_ij over j. Under the efficient rule phi_i "
        "takes the place of gamma rho_i. x_i. This is the corrected form: U "
        "as printed in Eq. (15) does not have that property.",
    ),
    "Definition 3": (
        "payoff >= 0 for everybody",
        "Individual rationality: nobody loses by taking part.",
    ),
}


def anchor(equation: str) -> str:
    """Return the place on the page of the equation, or of the first of several."""
    found = re.search(r"[0-9]+e?", equation)
    kind = "definition" if equation.startswith("Definition") else "eq"
    return f"{kind}-{found[0] if found else equation}"


def equations_section() -> Section:
    """Return what every equation says."""
    return Section(
        "equations",
        "The equations",
        (
            Text(
                "The numbers are those of S. Yuan et al., “TradeFL: A Trading Mechanism for "
                "Cross-Silo Federated Learning”. i is the organization in question, j another one."
            ),
            Table(
                "equation-list",
                "Every equation that this report names",
                (
                    Column("number", text=True),
                    Column("formula", text=True),
                    Column("in words", text=True),
                ),
                [(number, *texts) for number, texts in EQUATIONS.items()],
            ),
        ),
    )
