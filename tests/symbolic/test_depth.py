"""Fixed points, limits and expansions in depth."""

import pytest
import sympy as sp
from expressions import R, S, c, pi, x

from ibtheory import symbolic as sy


@pytest.mark.parametrize(
    ("activation", "norm", "placement", "bias", "expected"),
    [
        ("relu", "none", "after", 0, sp.oo),
        ("relu", "none", "after", R(1, 10), sp.oo),
        ("relu", "layer", "before", 0, sp.oo),
        ("relu", "rms", "after", 0, sp.oo),
        ("relu", "layer", "after", 0, 0),
        ("relu", "layer", "after", 2, sp.oo),
        ("erf", "layer", "before", 0, 0),
        ("abs", "batch", "before", 0, 2 / (pi - 2)),
        (x**2, "layer", "before", 0, 1),
    ],
)
def test_limit_of_depth(activation, norm, placement, bias, expected):
    assert sy.gamma(activation, norm, placement, bias_variance=bias) == expected


def test_critical_bias_of_layer_norm_after():
    critical = 2 / (pi - 1)  # sigma_b^2 / sigma_w^2 = 1/(pi - 1)
    (point,) = sy.fixed_points("relu", "layer", "after", bias_variance=critical)
    assert (point.value, sp.simplify(point.slope), point.attracts) == (1, 1, True)
    assert len(sy.fixed_points("erf", "layer", "after")) == 2
    assert sy.gamma("linear", correlation=R(1, 3)) == R(1, 2)


def test_fixed_points_are_fixed():
    for activation, norm in ((x**2, "layer"), (x**2 + x, "rms"), (x**3 + x**2, "layer")):
        curve = sy.c_map(activation, norm, "before")
        for point in sy.fixed_points(activation, norm, "before"):
            assert abs(sp.N(curve.subs(c, point.value) - point.value, 20)) < 1e-18
            assert abs(sp.N(curve.diff(c).subs(c, point.value) - point.slope, 20)) < 1e-18
            assert point.attracts == (sp.N(point.slope) < 1)


@pytest.mark.parametrize(
    ("activation", "at", "order"),
    [
        ("relu", 1, 2),
        ("relu", 1, 4),
        ("abs", 1, 3),
        ("leaky_relu", 1, 2),
        ("relu", 0, 5),
        ("gelu", 0, 4),
        ("gelu", 1, 3),
        ("erf", 1, 3),
    ],
)
def test_expansions_have_their_order(activation, at, order):
    curve = sy.c_map(activation, q=R(3, 2))
    series = sy.expansion(curve, at=at, order=order)
    assert series.getO() is not None
    exact = curve.subs(c, 1 - S.s) if at else curve
    variable = S.s if at else c
    errors = [abs((exact - series.removeO()).subs(variable, R(1, 10**k)).evalf(60)) for k in (6, 8)]
    assert errors[0] < 10 ** (-6 * order) * 10
    assert errors[1] == 0 or errors[0] / errors[1] > 0.9 * 100**order


def test_the_first_terms_of_relu():
    s = S.s
    expected = s - 2 * sp.sqrt(2) * s ** R(3, 2) / (3 * pi) + sp.O(s**2)
    assert sy.expansion(1 - sy.c_map("relu"), at=1, order=2) == expected
