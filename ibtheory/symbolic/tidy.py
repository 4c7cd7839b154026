"""Sums of Gaussian averages in one normal form: quick, deterministic, and the same however they were reached.

An expression is read as a linear combination of products of special functions (asin, erfc, exp, Phi2, ...) with
algebraic coefficients. Radicands are split into irreducible factors, so that like radicals meet: a radicand is positive
in the whole domain (positive variances, a correlation inside (-1, 1)), hence each of its factors has one sign there,
and one point tells which.
"""

from functools import lru_cache

_PROBE = 7  # denominator of the first coordinate of the point that tells signs; larger ones follow


@lru_cache(maxsize=4096)
def tidy(expression):
    """The normal form of an expression in variances, correlations and positive parameters."""
    import sympy

    expression = _arguments(sympy.sympify(expression))
    if expression.has(sympy.Integral):
        return expression
    sums = {}
    for coefficient, special in _products(expression):
        sums[special] = sums.get(special, 0) + coefficient
    parts = {special: algebraic(coefficient) for special, coefficient in sums.items()}
    return radicals_together(_common_factor_out(_hyperbolic(parts)))


def _products(expression):
    """(algebraic, special) for every summand of the multiplied out expression, exponentials joined."""
    import sympy

    masks = {}
    masked = _masked(expression, masks)
    names = {mask: original for original, mask in masks.items()}
    for term in sympy.Add.make_args(sympy.expand(masked)):
        coefficient, exponent, special = sympy.Integer(1), sympy.Integer(0), sympy.Integer(1)
        for factor in sympy.Mul.make_args(term):
            base, power = factor.as_base_exp()
            base = names.get(base, base)
            if isinstance(base, sympy.exp):
                exponent += power * base.args[0]
            elif isinstance(base, sympy.Function):
                special *= base**power
            elif power.is_Rational and power.q == 2:
                special *= sympy.sqrt(base)
                coefficient *= base ** (power - sympy.Rational(1, 2))
            else:
                coefficient *= base**power
        yield coefficient, special * sympy.exp(algebraic(exponent))


def _masked(expression, masks):
    """The expression with its outermost functions, and the bases of roots and denominators, replaced by symbols."""
    import sympy

    if isinstance(expression, sympy.Function | sympy.exp):
        return masks.setdefault(expression, sympy.Dummy())
    if expression.is_Pow and expression.base.is_Add and not (expression.exp.is_Integer and expression.exp > 0):
        return masks.setdefault(expression.base, sympy.Dummy(positive=True)) ** expression.exp
    return expression.func(*(_masked(arg, masks) for arg in expression.args)) if expression.args else expression


@lru_cache(maxsize=8192)
def _arguments(expression):
    """The same with tidy arguments of its functions, and split radicals."""
    import sympy

    if not expression.args or isinstance(expression, sympy.Integral):
        return expression
    args = [_arguments(arg) for arg in expression.args]
    if isinstance(expression, sympy.exp):
        return sympy.exp(algebraic(args[0]))
    if isinstance(expression, sympy.erfc | sympy.erf):
        return _error_function(type(expression), algebraic(args[0]))
    if isinstance(expression, sympy.Function):
        return expression.func(*map(algebraic, args))
    if expression.is_Pow and args[1].is_Rational and args[1].q == 2:
        return _split_radical(*args)
    return expression.func(*args)


def _error_function(kind, argument):
    """erf or erfc with an argument that is positive at the probe."""
    if _sign(argument) >= 0:
        return kind(argument)
    return -kind(-argument) if kind.__name__ == "erf" else 2 - kind(-argument)


@lru_cache(maxsize=8192)
def algebraic(expression):
    """An algebraic expression over one denominator, factored, the signs of its factors as at the probe."""
    import sympy

    expression = _arguments(expression)
    sign, result = 1, sympy.Integer(1)
    for factor in sympy.Mul.make_args(_factored(expression)):
        base, exponent = factor.as_base_exp()
        if base.is_Add and exponent.is_Integer and _sign(base) < 0:
            sign *= (-1) ** exponent
            factor = sympy.expand(-base) ** exponent
        result *= factor
    return sign * result


def _factored(expression):
    """Factored over the rationals, where sqrt(q) is a variable and q its square."""
    import sympy

    halves = {p.base for p in expression.atoms(sympy.Pow) if p.base.is_Symbol and p.exp.is_Rational and p.exp.q == 2}
    roots = {symbol: sympy.Symbol(f"sqrt {symbol}", positive=True) for symbol in halves}
    inner = expression.subs({symbol: root**2 for symbol, root in roots.items()}, simultaneous=True)
    return sympy.factor(inner).subs({root: sympy.sqrt(symbol) for symbol, root in roots.items()}, simultaneous=True)


def _split_radical(base, exponent):
    """base^exponent for a half-integer exponent, over the irreducible factors of the base."""
    import sympy

    if not base.free_symbols:
        return base**exponent
    result, number = sympy.Integer(1), sympy.Integer(1)
    for factor in sympy.Mul.make_args(_factored(base)):
        inner, power = factor.as_base_exp()
        if not inner.free_symbols:
            number *= factor
        elif _sign(inner) < 0 and power.is_Integer:
            number *= sympy.Integer(-1) ** power
            result *= sympy.expand(-inner) ** (power * exponent)
        else:
            result *= inner ** (power * exponent)
    return number**exponent * result


def _common_factor_out(summands):
    """The sum, the powers of symbols and numbers that all summands share in front."""
    import sympy

    if len(summands) < 2:
        return sympy.Add(*summands)
    numbers, rests = zip(*(term.as_content_primitive() for term in summands), strict=True)
    powers = [rest.as_powers_dict() for rest in rests]
    shared = sympy.Integer(1)
    for base in sorted({base for found in powers for base in found}, key=sympy.default_sort_key):
        exponents = [found.get(base, sympy.Integer(0)) for found in powers]
        if base.is_Symbol or base == sympy.pi or (base.is_Integer and base > 1):
            shared *= base ** min(exponents)
        elif base.is_Add and min(exponents) * max(exponents) > 0:
            shared *= base ** int(min(exponents, key=abs))
    number = sympy.Rational(sympy.igcd(*(n.p for n in numbers)), sympy.ilcm(*(n.q for n in numbers)))
    return number * shared * sympy.Add(*(n / number * rest / shared for n, rest in zip(numbers, rests, strict=True)))


def radicals_together(expression):
    """sqrt(1 - c) sqrt(1 + c) as sqrt(1 - c^2), everywhere."""
    import sympy

    if not expression.args or isinstance(expression, sympy.Integral):
        return expression
    args = [radicals_together(arg) for arg in expression.args]
    if not expression.is_Mul:
        return expression.func(*args)
    radicals = [a for a in args if a.is_Pow and a.base.is_Add and a.exp.is_Rational and a.exp.q == 2]
    result = sympy.Mul(*(a for a in args if a not in radicals))
    for exponent in sorted({a.exp for a in radicals}):
        result *= sympy.expand(sympy.Mul(*(a.base for a in radicals if a.exp == exponent))) ** exponent
    return result


def _hyperbolic(parts):
    """The terms of {special: coefficient}; k e^(a + b) +- k e^(a - b) becomes 2 k e^a cosh b or sinh b."""
    import sympy

    waiting, done = {}, []
    for special, coefficient in parts.items():
        if coefficient == 0:
            continue
        if not isinstance(special, sympy.exp):
            done.append(coefficient * special)
            continue
        for partner in list(waiting):
            sign = sympy.cancel(waiting[partner] / coefficient)
            middle, half = (sympy.expand((partner.args[0] + w * special.args[0]) / 2) for w in (1, -1))
            if sign in (1, -1) and not sympy.Add.make_args(half)[1:] and half != 0:
                kind = sympy.cosh if sign == 1 else sympy.sinh
                done.append(2 * waiting.pop(partner) * sympy.exp(middle) * kind(half))
                break
        else:
            waiting[special] = coefficient
    return [*done, *(coefficient * special for special, coefficient in waiting.items())]


@lru_cache(maxsize=4096)
def _sign(expression):
    """Sign of a real expression at one point of the domain."""
    import sympy

    point = {}
    for symbol in sorted(expression.free_symbols, key=str):
        number = sympy.Rational(len(point) + 2, _PROBE + len(point))
        point[symbol] = number + 7 if symbol.name == "B" else number
    value = sympy.N(expression.subs(point), 30)
    return 0 if not value.is_comparable or value == 0 else 1 if value > 0 else -1
