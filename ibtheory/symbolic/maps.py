"""Layer maps of a repeated block as SymPy expressions.

The state is that of the dense outputs (pre-activations; the last ones are the logits): their same-sample moment q and
their correlation c over two samples, at infinite width, large batch and independent samples unless said otherwise.
"""

from typing import NamedTuple

from ibtheory import _check
from ibtheory.symbolic.arguments import correlation, exact, phi, variance
from ibtheory.symbolic.averages import centred, derivative_dual, dual, mean, ratio, second
from ibtheory.symbolic.notation import symbols
from ibtheory.symbolic.tidy import tidy

_NORMS = ("none", "batch", "layer", "rms", "group")
_PLACEMENTS = ("before", "after", "both")


class Block(NamedTuple):
    """An activation between its norms ("none", "layer", "rms", "batch") and in front of a dense layer."""

    activation: object
    before: str
    after: str
    w: object
    b: object

    def entering(self, q):
        """Variance that the activation sees."""
        return exact("q", 1) if self.before != "none" else q

    def leaving(self, q):
        """Same-sample moment behind the norms, and what a covariance is divided by there."""
        v = self.entering(q)
        if self.after == "none":
            return second(self.activation, v), 1
        return exact("q", 1), self._scale(v)

    def _scale(self, v):
        kept = 0 if self.after == "rms" else mean(self.activation, v) ** 2
        scale = tidy(second(self.activation, v) - kept)
        if scale == 0:
            raise ValueError("the activation is constant, and the norm behind it divides 0 by 0; choose another one")
        return scale

    def step(self, q, c):
        """(q, c) of the next dense outputs."""
        v, stands_for = _short(self.entering(q))
        c = exact("c", 0) if self.before == "batch" else c
        if self.after == "batch":
            same, cross = exact("q", 1), 0
        else:
            same, scale = self.leaving(v)
            pair = centred(self.activation, v, c) if self.after == "layer" else dual(self.activation, v, c=c)
            cross = pair / scale
        same = tidy(self.w * same + self.b)
        return same.subs(*stands_for), ratio(self.w * cross + self.b, same).subs(*stands_for)

    def slope(self, q, c):
        """d c'/d c, by Price's theorem."""
        if "batch" in (self.before, self.after):
            return exact("c", 0)
        v, stands_for = _short(self.entering(q))
        same, scale = self.leaving(v)
        steepness = self.w * v * derivative_dual(self.activation, v, c=c)
        return ratio(steepness, scale * (self.w * same + self.b)).subs(*stands_for)


def _short(v):
    """A variance, or the symbol q in its place where it is long, and the substitution that takes it back."""
    q = symbols().q
    return (v if v.is_number else q), (q, v)


def block_of(activation, norm, placement, weight_variance, bias_variance):
    _check.choice("norm", norm, _NORMS)
    _check.choice("placement", placement, _PLACEMENTS)
    w, b = variance("weight_variance", weight_variance), variance("bias_variance", bias_variance)
    if w.is_zero:
        raise ValueError("weight_variance must be positive: without weights nothing depends on the sample")
    norm = "layer" if norm == "group" else norm  # at infinite width a group of neurons is as good as all of them
    before, after = (norm if placement in (side, "both") else "none" for side in ("before", "after"))
    return Block(phi(activation), before, after, w, b)


def pinned(block):
    """The same-sample moment that enters every block but the first: known behind a norm, else the symbol q."""
    return symbols().q if block.after == "none" else block.w + block.b


def variance_map(activation="relu", norm="none", placement="after", *, weight_variance=2, bias_variance=0):
    r"""Same-sample moment of the next dense outputs as a function of q.

    Parameters
    ----------
    activation : str, ActivationFunction or sympy.Expr
    norm : {"none", "batch", "layer", "rms", "group"}
    placement : {"before", "after", "both"}
    weight_variance, bias_variance : number or sympy.Expr
        :math:`\sigma_w^2` and :math:`\sigma_b^2`.

    Returns
    -------
    sympy.Expr
        In the symbol q; a constant behind a norm.

    Examples
    --------
    >>> variance_map("relu", weight_variance=symbols().weight_variance)
    q*sigma_w^2/2
    """
    block = block_of(activation, norm, placement, weight_variance, bias_variance)
    return block.step(pinned(block), symbols().c)[0]


def c_map(activation="relu", norm="none", placement="after", *, weight_variance=2, bias_variance=0, q=None, c=None):
    r"""Correlation of the next dense outputs as a function of c.

    Parameters
    ----------
    activation, norm, placement, weight_variance, bias_variance
        As for :func:`variance_map`.
    q : number or sympy.Expr, optional
        Same-sample moment in front of the activation, where no norm fixes it; the symbol q without it.
    c : number or sympy.Expr, optional
        The symbol c without it.

    Returns
    -------
    sympy.Expr
        BatchNorm forgets c: the expression is constant.

    Examples
    --------
    >>> c_map("relu")
    (2*c*asin(c) + pi*c + 2*sqrt(1 - c**2))/(2*pi)
    >>> c_map("relu", norm="layer", c=0)
    0
    """
    block = block_of(activation, norm, placement, weight_variance, bias_variance)
    q = variance("q", q, pinned(block))
    return block.step(q, correlation(c))[1]
