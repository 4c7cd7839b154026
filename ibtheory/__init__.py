"""ibtheory: what an untrained neural network predicts, and how the placement of the norm decides it."""

import importlib

from ibtheory._version import __version__ as __version__

_LAYERS = (
    "Activation",
    "BatchNorm",
    "Dense",
    "Dropout",
    "FeaturePool",
    "GroupNorm",
    "LayerNorm",
    "Network",
    "RMSNorm",
    "Repeat",
    "Residual",
)
_HOMES = {
    "layers": _LAYERS,
    "zoo": ("mlp",),
    "inputs": ("Blobs", "Dataset", "GaussianInputs", "load_digits"),
    "fractions": ("ClassFraction",),
    "groups": ("GroupFractions",),
    "optimizers": ("SGD", "Adam", "AdamW"),
    "history": ("History",),
    "theory": ("predict",),
    "simulation": ("simulate", "train"),
    "results": ("Comparison", "Ensemble", "Prediction", "load"),
    "phase": (
        "CriticalLine",
        "DepthScales",
        "PhaseDiagram",
        "critical_line",
        "depth_scales",
        "gradient_factor",
        "phase_diagram",
    ),
    "comparison": ("compare",),
    "diagnosis": ("Diagnosis", "diagnose"),
    "reporting": ("report",),
}
_MODULES = (
    "activations",
    "fractions",
    "gaussian",
    "inputs",
    "layers",
    "losses",
    "optimizers",
    "plot",
    "results",
    "symbolic",
)
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted([*_HOME, *_MODULES, "__version__"])


def __getattr__(name):
    if name in _MODULES:
        return importlib.import_module(f"ibtheory.{name}")
    if name in _HOME:
        return getattr(importlib.import_module(f"ibtheory.{_HOME[name]}"), name)
    raise AttributeError(f"module 'ibtheory' has no attribute {name!r}")


def __dir__():
    return __all__
