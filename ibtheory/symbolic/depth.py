"""Fixed points of the correlation, and the drift ratio at a depth or in its limit."""

from typing import NamedTuple

from ibtheory import _check
from ibtheory.symbolic.arguments import batch_size, exact
from ibtheory.symbolic.arguments import correlation as _correlation
from ibtheory.symbolic.arguments import variance as _variance
from ibtheory.symbolic.averages import ratio
from ibtheory.symbolic.batch import batch_moments
from ibtheory.symbolic.maps import block_of, pinned
from ibtheory.symbolic.notation import symbols
from ibtheory.symbolic.tidy import tidy

_DEEPEST = 5  # blocks whose maps are nested: each triples the length of an expression


class FixedPoint(NamedTuple):
    """A fixed point of a map, its slope there, and whether it attracts; see :func:`fixed_points`."""

    value: object
    slope: object
    attracts: bool


def fixed_points(activation="relu", norm="none", placement="after", *, weight_variance=2, bias_variance=0):
    r"""Fixed points of the correlation map in [0, 1].

    Parameters as for :func:`variance_map`, with numbers where they decide.

    Returns
    -------
    tuple of FixedPoint
        (value, slope, attracts), by ascending value.

    Raises
    ------
    NotImplementedError
        Where the fixed point of q or of c solves a transcendental equation.
    ValueError
        Where a symbol leaves open which case holds.

    Notes
    -----
    A correlation map is a power series in c with coefficients that are not negative, hence convex, and 1 is a fixed
    point unless BatchNorm makes the map constant. With a slope of at most 1 there it is the only one, and attracts;
    with a larger one a second fixed point below 1 does.

    Examples
    --------
    >>> for point in fixed_points("relu", norm="layer"):
    ...     print(point)
    FixedPoint(value=0, slope=pi/(-2 + 2*pi), attracts=True)
    FixedPoint(value=1, slope=pi/(-1 + pi), attracts=False)
    """
    import sympy

    block = block_of(activation, norm, placement, weight_variance, bias_variance)
    q, c = pinned(block), symbols().c
    if "batch" in (block.before, block.after):
        return (FixedPoint(block.step(q, c)[1], sympy.Integer(0), True),)
    curve, steepest = block.step(q, c)[1], block.slope(q, sympy.Integer(1))
    if (curve - steepest).has(symbols().q):
        q = _settled(block)
        if q == sympy.oo:
            return (_in_the_limit(curve, steepest),)
        curve, steepest = block.step(q, c)[1], block.slope(q, sympy.Integer(1))
    if curve == c:
        return (FixedPoint(c, sympy.Integer(1), False),)
    one = FixedPoint(sympy.Integer(1), steepest, not _exceeds(steepest, 1))
    if one.attracts:
        return (one,)
    lower = sympy.Integer(0) if block.step(q, sympy.Integer(0))[1] == 0 else _below_one(curve, c)
    return FixedPoint(lower, block.slope(q, lower), True), one


def _exceeds(value, bound):
    """Whether value > bound; equality is decided symbolically."""
    import sympy

    if sympy.sympify(value).has(sympy.Integral):
        raise NotImplementedError(
            "the averages of the activation have no closed form, and decide which fixed point attracts; "
            "ibtheory.predict integrates numerically, and its depth_limit decides"
        )
    difference = sympy.sympify(value - bound)
    if difference.is_number and abs(sympy.N(difference, 15)) > 1e-9:
        return bool(sympy.N(difference, 15) > 0)
    difference = sympy.simplify(difference)
    if difference.is_extended_positive is None:
        raise ValueError(f"whether {value} exceeds {bound} depends on the symbols; give numbers for them")
    return difference.is_extended_positive


def _settled(block):
    """The attracting fixed point of q of a block without norms, oo where q grows for ever."""
    import sympy

    q = symbols().q
    image = block.step(q, symbols().c)[0]
    roots = [root for root in _solutions(sympy.together(image - q), q, "the variance") if root.is_positive is not False]
    for root in roots:
        if not _exceeds(image.diff(q).subs(q, root), 1):
            return root
    if not roots and not _exceeds(0, sympy.limit(image - q, q, sympy.oo)):
        return sympy.oo
    raise NotImplementedError(
        f"the variance q -> {image} settles nowhere for every start; choose other variances, or give depth"
    )


def _in_the_limit(curve, steepest):
    """The fixed point 1 of a block whose variance grows for ever, if it is the only one without the biases."""
    import sympy

    q, c = symbols().q, symbols().c
    curve, steepest = (sympy.limit(expression, q, sympy.oo) for expression in (curve, steepest))
    if curve == c or _exceeds(steepest, 1):
        raise NotImplementedError("the variance grows for ever, and the correlation with it; put a norm, or give depth")
    return FixedPoint(sympy.Integer(1), steepest, True)


def _below_one(curve, c):
    """The fixed point of a convex curve in (0, 1), where its slope at 1 exceeds 1."""
    import sympy

    for root in _solutions(sympy.together(curve - c), c, "the correlation"):
        if root.is_number and root.is_real and 0 <= sympy.N(root) < 1 - 1e-12:
            return root
    raise ValueError(
        "which fixed point of the correlation lies in (0, 1) depends on the symbols; give numbers for them"
    )


def _solutions(equation, variable, what):
    import sympy

    if not sympy.fraction(equation)[0].is_polynomial(variable):
        raise NotImplementedError(
            f"the fixed point of {what} solves a transcendental equation; solve it numerically, e.g. by sympy.nsolve "
            "on c_map and variance_map, or give depth"
        )
    polynomial = sympy.Poly(sympy.fraction(equation)[0], variable)
    if polynomial.domain in (sympy.ZZ, sympy.QQ):
        return sympy.real_roots(polynomial)
    return [sympy.simplify(root) for root in sympy.solve(polynomial.as_expr(), variable)]


def gamma(
    activation="relu",
    norm="none",
    placement="after",
    depth=None,
    *,
    weight_variance=2,
    bias_variance=0,
    variance=1,
    correlation=0,
    batch=None,
    samples=None,
):
    r"""Drift ratio of the logits of a multilayer perceptron, :math:`\gamma = c/(1 - c)`.

    Parameters
    ----------
    activation, norm, placement, weight_variance, bias_variance
        As for :func:`variance_map`.
    depth : int, optional
        Hidden blocks; without it the limit of infinitely many.
    variance, correlation : number or sympy.Expr
        Of the inputs, as for ``GaussianInputs``.
    batch : int or sympy.Expr, optional
        Samples per BatchNorm statistic; without it, many. A finite batch needs ``norm="batch"`` before the activation.
    samples : int or sympy.Expr, optional
        With ``batch``: samples in all, so that (batch - 1)/(samples - 1) of the pairs share a batch; without it, many.

    Returns
    -------
    sympy.Expr
        ``oo`` for deep prejudice.

    Raises
    ------
    NotImplementedError
        Where the limit of depth solves a transcendental equation.

    Examples
    --------
    >>> gamma("relu", norm="batch", placement="before")
    1/(-1 + pi)
    >>> gamma("relu"), gamma("relu", norm="layer", placement="after")
    (oo, 0)
    >>> gamma("relu", depth=1, bias_variance=0)
    1/(-1 + pi)
    """
    import sympy

    block = block_of(activation, norm, placement, weight_variance, bias_variance)
    start = _variance("variance", variance), _correlation(correlation)
    if start[1] == 1:
        raise ValueError("correlation must be below 1: inputs that are all the same have no class fractions")
    if batch is not None:
        return _in_batches(block, depth, batch, samples)
    if samples is not None:
        raise ValueError("samples says how many pairs share a batch; give batch too, or leave it out")
    if depth is None:
        c = _limit(block, start[1], (norm, placement))
        return sympy.oo if c == 1 else ratio(c, 1 - c)
    return _ratio_at(block, *start, _check.integer("depth", depth, 0))


def _ratio_at(block, same, correlated, depth):
    """gamma behind ``depth`` blocks; from the second block on expressions nest, and are left as they come."""
    import sympy

    S = symbols()
    q = tidy(block.w * same + block.b)
    c = ratio(block.w * same * correlated + block.b, q)
    if depth:
        q, c = block.step(q, c)
    if depth > 1:
        image, curve = block.step(S.q, S.c)
        if curve.free_symbols & {S.q, S.c} and c != 0 and (depth > _DEEPEST or curve.has(sympy.Integral)):
            raise NotImplementedError(
                f"at depth {depth} the expressions nest beyond use: closed forms go to depth {_DEEPEST}; "
                "ibtheory.predict computes numbers at any depth"
            )
        for _ in range(depth - 1):
            q, c = image.subs(S.q, q), curve.subs({S.q: q, S.c: c}, simultaneous=True)
        if c.atoms(sympy.Function):
            above, below = sympy.fraction(c)
            return above / (below - above)
    return ratio(c, 1 - c)


def _limit(block, start, words):
    """Correlation of the logits behind infinitely many blocks."""
    if "batch" not in (block.before, block.after):
        q, c = pinned(block), symbols().c
        if start == 0 and block.step(q, start)[1] == 0:
            return start  # 0 stays 0, wherever the variance goes
        if block.step(q, c)[1] == c:
            return start
    points = fixed_points(block.activation, *words, weight_variance=block.w, bias_variance=block.b)
    return next(point.value for point in points if point.attracts)


def _in_batches(block, depth, batch, samples):
    import sympy

    if (block.before, block.after) != ("batch", "none"):
        raise NotImplementedError(
            "a finite batch is closed for norm='batch' before the activation alone; leave out batch, or use "
            "ibtheory.predict(net, x, batch=...)"
        )
    if depth is not None:
        _check.integer("depth", depth, 1, hint="Without a hidden block there is no BatchNorm.")
    batch = batch_size(batch)
    found = batch_moments(block.activation, batch)
    cross = found.mean**2
    if samples is not None:
        inside = (batch - 1) / (exact("samples", samples) - 1)
        cross = inside * found.dual + (1 - inside) * cross
    return sympy.factor(ratio(block.w * cross + block.b, block.w * (found.second - cross)))
