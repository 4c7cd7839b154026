"""An activation as a sum of terms whose Gaussian averages are known.

A term is  coefficient x^power exp(quadratic x^2 + linear x) times ramps Phi(sign (x - threshold)/width). A ramp of
width 0 is a step, one of positive width an error function: every piecewise combination of polynomials, exponentials,
sines, cosines and error functions is a sum of terms. A derivative may add a Dirac delta at ``point``.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise


class NotClosed(Exception):
    """The expression is not a sum of terms, or its averages are not elementary."""


@dataclass(frozen=True)
class Ramp:
    """Phi(sign (x - threshold)/width); width 0: the indicator of sign (x - threshold) > 0."""

    threshold: object
    width: object
    sign: int = 1


@dataclass(frozen=True)
class Term:
    """One summand; see the module."""

    coefficient: object
    power: int = 0
    quadratic: object = 0
    linear: object = 0
    ramps: tuple = ()
    point: object = None


def times(first, second):
    """Product of two sums of terms, like terms collected."""
    return collect(
        [
            Term(
                a.coefficient * b.coefficient,
                a.power + b.power,
                a.quadratic + b.quadratic,
                a.linear + b.linear,
                a.ramps + b.ramps,
            )
            for a in first
            for b in second
        ]
    )


def collect(terms):
    """Like terms added, zeros left out."""
    import sympy

    sums = {}
    for term in terms:
        for factor, ramps in _steps_of(term.ramps):
            key = replace(term, coefficient=None, ramps=ramps)
            sums[key] = sums.get(key, 0) + factor * term.coefficient
    added = ((key, sympy.expand(coefficient)) for key, coefficient in sums.items())
    return tuple(replace(key, coefficient=coefficient) for key, coefficient in added if coefficient != 0)


def _steps_of(ramps):
    """A product of ramps as a sum of (factor, ramps) with at most one step in each."""
    smooth = tuple(ramp for ramp in ramps if ramp.width != 0)
    above = [ramp.threshold for ramp in ramps if ramp.width == 0 and ramp.sign > 0]
    below = [ramp.threshold for ramp in ramps if ramp.width == 0 and ramp.sign < 0]
    low, high = _extreme(above, 1), _extreme(below, -1)
    if low is None and high is None:
        return [(1, smooth)]
    if high is None:
        return [(1, (*smooth, Ramp(low, 0)))]
    if low is None:
        return [(1, (*smooth, Ramp(high, 0, -1)))]
    if not _less(low, high):
        return []
    return [(1, (*smooth, Ramp(low, 0))), (-1, (*smooth, Ramp(high, 0)))]


def _extreme(points, sign):
    """The largest (sign 1) or smallest (-1) of the thresholds, None of none."""
    best = None
    for point in points:
        if best is None or (point != best and _less(sign * best, sign * point)):
            best = point
    return best


def _less(a, b):
    import sympy

    answer = sympy.sympify(b - a).is_extended_positive
    if answer is None:
        raise NotClosed(f"whether {a} is below {b} is not known; substitute numbers, or declare signs of the symbols")
    return answer


@lru_cache(maxsize=256)
def terms(expression, x):
    """The terms of an expression in ``x``.

    Raises
    ------
    NotClosed
        If there are none, saying why.
    """
    import sympy

    pieces = [
        (low, high, collect(_smooth(piece, x))) for low, high, piece in _pieces(expression, x, -sympy.oo, sympy.oo)
    ]
    everywhere = set.intersection(*(set(found) for _, _, found in pieces))
    result = [term for term in pieces[0][2] if term in everywhere]
    for low, high, found in pieces:
        inside = tuple(term for term in found if term not in everywhere)
        if low != -sympy.oo:
            result += times(inside, (Term(sympy.Integer(1), ramps=(Ramp(low, 0),)),))
        if high != sympy.oo:  # below the first kink, or less what is above
            sign = -1 if low == -sympy.oo else 1
            result += times(inside, (Term(sympy.Integer(-sign), ramps=(Ramp(high, 0, sign),)),))
    return collect(result)


def _pieces(expression, x, low, high):
    """[(low, high, smooth expression)], by resolving the innermost Abs, Max, ... first."""
    import sympy

    kinds = (sympy.Abs, sympy.sign, sympy.Heaviside, sympy.Max, sympy.Min, sympy.Piecewise)
    rough = [atom for atom in expression.atoms(*kinds) if atom.has(x)]
    innermost = [atom for atom in rough if not any(inner.has(*kinds) for inner in atom.args)]
    if not innermost:
        return [(low, high, expression)]
    atom = min(innermost, key=sympy.default_sort_key)
    inside = [root for root in _changes(atom, x) if _less(low, root) and _less(root, high)]
    cuts = [low, *_sorted(inside), high]
    found = []
    for a, b in pairwise(cuts):
        resolved = expression.xreplace({atom: _branch(atom, x, _between(a, b))})
        found += _pieces(resolved, x, a, b)
    return found


def _sorted(points):
    ordered = []
    for point in dict.fromkeys(points):
        ordered.insert(sum(_less(other, point) for other in ordered), point)
    return ordered


def _changes(atom, x):
    """Where the branch of Abs, Max, ... changes."""
    import sympy

    if isinstance(atom, sympy.Max | sympy.Min):
        arguments = [a - b for i, a in enumerate(atom.args) for b in atom.args[:i]]
    elif isinstance(atom, sympy.Piecewise):
        arguments = [e.lhs - e.rhs for e in atom.atoms(sympy.core.relational.Relational)]
    else:
        arguments = [atom.args[0]]
    roots = []
    for argument in arguments:
        if not argument.has(x):
            continue
        found = _roots(argument, x)
        if found is None:
            raise NotClosed(f"where {argument} changes sign is not known in finitely many points")
        roots += found
    return roots


def _roots(argument, x):
    import sympy

    if argument.is_polynomial(x) and sympy.degree(argument, x) == 1:
        slope, constant = sympy.Poly(argument, x).all_coeffs()
        return [-constant / slope]
    found = sympy.solveset(argument, x, sympy.S.Reals)
    return list(found) if isinstance(found, sympy.FiniteSet) else [] if found == sympy.S.EmptySet else None


def _between(low, high):
    import sympy

    if low == -sympy.oo:
        return sympy.Integer(0) if high == sympy.oo else high - 1
    return low + 1 if high == sympy.oo else (low + high) / 2


def _branch(atom, x, at):
    """What Abs, Max, ... is around the point ``at``."""
    import sympy

    def positive(argument):
        return _less(0, sympy.simplify(argument.subs(x, at)))

    if isinstance(atom, sympy.Piecewise):
        for value, condition in atom.args:
            if condition.subs(x, at) == sympy.true:
                return value
        raise NotClosed(f"{atom} is not defined at {at}")
    if isinstance(atom, sympy.Max | sympy.Min):
        best, *others = atom.args
        for other in others:
            if positive(other - best) == isinstance(atom, sympy.Max):
                best = other
        return best
    above = positive(atom.args[0])
    if isinstance(atom, sympy.Abs):
        return atom.args[0] if above else -atom.args[0]
    if isinstance(atom, sympy.sign):
        return sympy.Integer(1 if above else -1)
    return sympy.Integer(int(above))


def _smooth(expression, x):
    """Terms without steps of a smooth expression."""
    import sympy

    rewritten = expression.replace(sympy.erfc, lambda z: 1 - sympy.erf(z))
    waves = (sympy.sin, sympy.cos, sympy.sinh, sympy.cosh)
    expanded = sympy.expand(rewritten.rewrite(waves, sympy.exp))
    found = []
    for summand in sympy.Add.make_args(expanded):
        product = (Term(sympy.Integer(1)),)
        for factor in sympy.Mul.make_args(summand):
            product = times(product, _factor(factor, x))
        found += product
    return found


def _factor(factor, x):
    import sympy

    if not factor.has(x):
        return (Term(factor),)
    base, exponent = factor.as_base_exp()
    if base == sympy.E or (not base.has(x) and base.is_positive):
        return (_exponential(exponent * (1 if base == sympy.E else sympy.log(base)), x),)
    if exponent.is_Integer and exponent > 0:
        if base == x:
            return (Term(sympy.Integer(1), power=int(exponent)),)
        if isinstance(base, sympy.erf):
            product = (Term(sympy.Integer(1)),)
            for _ in range(int(exponent)):
                product = times(product, _error_function(base.args[0], x))
            return product
    raise NotClosed(f"{factor} is none of the functions whose Gaussian averages are known")


def _exponential(exponent, x):
    import sympy

    polynomial = exponent.as_poly(x)
    if polynomial is None or polynomial.degree() > 2:
        raise NotClosed(f"exp({exponent}): the exponent must be a polynomial of degree at most 2")
    quadratic, linear, constant = (polynomial.coeff_monomial(x**k) for k in (2, 1, 0))
    if quadratic != 0 and not quadratic.is_negative:
        raise NotClosed(f"exp({exponent}) grows so fast that its averages exist for small variances alone")
    return Term(sympy.exp(constant), quadratic=quadratic, linear=linear)


def _error_function(argument, x):
    """erf(k x + l) = 2 Phi(sqrt 2 (k x + l)) - 1."""
    import sympy

    polynomial = argument.as_poly(x)
    if polynomial is None or polynomial.degree() != 1:
        raise NotClosed(f"erf({argument}): the argument must be linear")
    slope, constant = polynomial.all_coeffs()
    sign = 1 if _less(0, slope) else -1
    ramp = Ramp(-constant / slope, sign / (sympy.sqrt(2) * slope), sign)
    return (Term(sympy.Integer(2), ramps=(ramp,)), Term(sympy.Integer(-1)))


def piecewise_polynomial(found):
    """Whether the terms are polynomials on either side of 0: sums of homogeneous functions."""
    return all(
        term.linear == 0 and term.quadratic == 0 and all(ramp.width == 0 and ramp.threshold == 0 for ramp in term.ramps)
        for term in found
    )


def differentiate(found):
    """Terms of the derivative; where the function jumps, with a delta."""
    import sympy

    result, jumps = [], {}
    for term in found:
        if term.power:
            result.append(replace(term, coefficient=term.coefficient * term.power, power=term.power - 1))
        if term.linear != 0:
            result.append(replace(term, coefficient=term.coefficient * term.linear))
        if term.quadratic != 0:
            result.append(replace(term, coefficient=2 * term.coefficient * term.quadratic, power=term.power + 1))
        for i, ramp in enumerate(term.ramps):
            others = term.ramps[:i] + term.ramps[i + 1 :]
            if ramp.width != 0:
                result += times((replace(term, ramps=others),), (_bell(ramp),))
                continue
            t = ramp.threshold
            height = ramp.sign * term.coefficient * t**term.power * sympy.exp(term.quadratic * t**2 + term.linear * t)
            for other in others:
                height *= distribution(other.sign * (t - other.threshold) / other.width)
            jumps[t] = jumps.get(t, 0) + height
    deltas = [Term(height, point=t) for t, height in jumps.items() if sympy.simplify(height) != 0]
    return (*collect(result), *deltas)


def _bell(ramp):
    """The derivative of a ramp of positive width."""
    import sympy

    t, spread = ramp.threshold, 2 * ramp.width**2
    height = ramp.sign / sympy.sqrt(sympy.pi * spread) * sympy.exp(-(t**2) / spread)
    return Term(height, quadratic=-1 / spread, linear=2 * t / spread)


def distribution(h):
    """Phi(h) as an expression, accurate for large negative h."""
    import sympy

    return sympy.erfc(-h / sympy.sqrt(2)) / 2
