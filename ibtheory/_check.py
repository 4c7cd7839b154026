"""Checks at the public boundary: each message says what was given, what is allowed, and how to mend it."""

import difflib
import math
import numbers
from dataclasses import dataclass, fields


def integer(name, value, minimum=None, *, hint=""):
    """Return ``value`` as an int of at least ``minimum``, or raise."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer, got {value!r}. {hint}".strip())
    if minimum is not None and value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value}. {hint}".strip())
    return int(value)


def real(name, value, minimum=-math.inf, maximum=math.inf, *, open_minimum=False, hint=""):
    """Return ``value`` as a finite float between ``minimum`` and ``maximum``, or raise."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a real number, got {value!r}. {hint}".strip())
    value = float(value)
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite, got {value}. {hint}".strip())
    if value < minimum or value > maximum or (open_minimum and value == minimum):
        low = "(" if open_minimum else "["
        raise ValueError(f"{name} must lie in {low}{minimum:g}, {maximum:g}], got {value:g}. {hint}".strip())
    return value


def choice(name, value, allowed, *, hint=""):
    """Return ``value`` if it is one of the words ``allowed``, or raise with the nearest one."""
    allowed = tuple(allowed)
    if isinstance(value, str) and value in allowed:
        return value
    words = ", ".join(repr(word) for word in allowed)
    near = difflib.get_close_matches(value, allowed, n=1) if isinstance(value, str) else []
    suggestion = f" Did you mean {near[0]!r}?" if near else ""
    error = ValueError if isinstance(value, str) else TypeError
    raise error(f"{name} must be one of {words}; got {value!r}.{suggestion} {hint}".strip())


def extra(module, name):
    """Import ``module``, or raise an ImportError that names the extra ``name`` of ibtheory to install."""
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{module} is needed here and is not installed; install it with: pip install 'ibtheory[{name}]'"
        ) from error


# Domains: declared once, in the metadata of a dataclass field; they feed validation, docs and test strategies.


@dataclass(frozen=True)
class Integer:
    """The integers from ``minimum`` on."""

    minimum: int
    hint: str = ""

    def check(self, name, value):
        return integer(name, value, self.minimum, hint=self.hint)


@dataclass(frozen=True)
class Real:
    """The finite numbers of an interval; ``open_minimum`` leaves its lower end out."""

    minimum: float = -math.inf
    maximum: float = math.inf
    open_minimum: bool = False
    hint: str = ""

    def check(self, name, value):
        return real(name, value, self.minimum, self.maximum, open_minimum=self.open_minimum, hint=self.hint)


@dataclass(frozen=True)
class Choice:
    """One of a few words."""

    allowed: tuple
    hint: str = ""

    def check(self, name, value):
        return choice(name, value, self.allowed, hint=self.hint)


def check_fields(instance):
    """Check every field of a frozen dataclass that declares a domain, and store the checked value."""
    for field in fields(instance):
        domain = field.metadata.get("domain")
        if domain is not None:
            name = f"{type(instance).__name__}.{field.name}"
            object.__setattr__(instance, field.name, domain.check(name, getattr(instance, field.name)))
