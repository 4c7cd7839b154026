"""What the functions of this package are given, as exact SymPy expressions; each message names the remedy."""

from ibtheory import activations
from ibtheory.symbolic.notation import symbols


def phi(activation):
    """The expression of an activation in ``symbols().x``, its numbers exact.

    Parameters
    ----------
    activation : str, ActivationFunction or sympy.Expr
        A name of the catalogue, a record that has an expression, or an expression in one symbol. Where there are more
        symbols, the one called x is the argument and the others are parameters.

    Raises
    ------
    ValueError
        For a record without an expression, or an expression whose argument cannot be told from its parameters.

    Examples
    --------
    >>> phi("gelu")
    x*(erf(sqrt(2)*x/2) + 1)/2
    """
    import sympy

    if not isinstance(activation, sympy.Expr):
        record = activations.get(activation)
        if record.expression is None:
            raise ValueError(
                f"activation {record.name!r} is a Python function without a formula; give a SymPy expression, or make "
                "the record by activations.from_sympy"
            )
        activation = record.expression()
    free = activation.free_symbols
    named = [symbol for symbol in free if symbol.name == "x"]
    if len(free) != 1 and len(named) != 1:
        raise ValueError(
            f"the expression {activation} must have one symbol, or call its argument x; it has "
            f"{sorted(map(str, free)) or 'none'}"
        )
    argument = named[0] if named else next(iter(free))
    return sympy.nsimplify(activation.xreplace({argument: symbols().x}), rational=True)


def variance(name, value, default=None):
    """A variance as an exact expression, checked to be positive where that can be told."""
    if value is None:
        return default
    value = exact(name, value)
    if value.is_nonnegative is False:
        raise ValueError(f"{name} must be at least 0 (a variance), got {value}")
    return value


def exact(name, value):
    """A number, symbol or expression as an exact expression."""
    import sympy

    if isinstance(value, bool | str):
        raise TypeError(f"{name} must be a number or a SymPy expression, got {value!r}")
    try:
        value = sympy.nsimplify(sympy.sympify(value), rational=True)
    except (sympy.SympifyError, TypeError, AttributeError) as error:
        raise TypeError(f"{name} must be a number or a SymPy expression, got {value!r}") from error
    if value.is_finite is False or value is sympy.nan:
        raise ValueError(f"{name} must be finite, got {value}")
    return value


def correlation(value):
    """A correlation as an exact expression, checked to lie in [-1, 1] where that can be told."""
    import sympy

    value = symbols().c if value is None else exact("c", value)
    if value.is_number and not abs(sympy.N(value)) <= 1:
        raise ValueError(f"the correlation c must lie in [-1, 1], got {value}")
    return value


def batch_size(batch):
    """A batch size as an exact expression.

    Raises
    ------
    ValueError
        Below 2, or not whole.
    """
    batch = exact("batch", batch)
    if batch.is_integer is False or (batch - 2).is_negative:
        raise ValueError(f"batch must be an integer of at least 2, or a SymPy symbol; got {batch}")
    return batch
