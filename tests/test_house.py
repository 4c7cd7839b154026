"""The rules of the house, as tests: directions of imports, the public face, what an import costs, who covers what."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ibtheory as ib
from ibtheory import layers

ROOT = Path(ib.__file__).parent

# from the bottom to the top; a module may import modules of lower floors, and of its own package
FLOORS = [
    ["_version", "_check", "_tables"],
    ["_closed", "_jit", "_bundle", "_blas", "_quadrature", "_data", "_layer"],
    ["activations", "_math", "_moments", "_norms", "losses", "optimizers"],
    ["_plain"],
    ["layers", "gaussian", "_files"],
    ["fractions", "output"],
    ["zoo", "inputs", "groups"],
    ["_saved"],
    ["results"],
    ["history", "store"],
    ["theory", "simulation", "symbolic"],
    ["comparison", "diagnosis", "phase"],
    ["plot"],
    ["_page"],
    ["reporting"],
    ["cli"],
    ["__main__"],
]
FLOOR = {name: height for height, names in enumerate(FLOORS) for name in names}
LAZY = {"sympy", "matplotlib", "torch", "hypothesis", "sklearn", "jinja2", "PIL"}


def modules():
    return sorted(path for path in ROOT.rglob("*.py"))


def unit(path):
    """The module or package directly below the root that a file belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path, everywhere=True):
    """(module, names) of the import statements of a file; everywhere=False: those at its top level only."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree) if everywhere else tree.body:
        if isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module, tuple(alias.name for alias in node.names)


def inner(path):
    """Units of the package that a file imports at its top level."""
    for module, names in imports(path, everywhere=False):
        parts = module.split(".")
        if parts[0] == "ibtheory":
            yield from names if len(parts) == 1 else (parts[1],)


def test_imports_run_one_way():
    for path in modules():
        own = unit(path)
        if own == "__init__":
            continue
        assert own in FLOOR, f"{path.name} has no floor: add it to FLOORS"
        for other in inner(path):
            if other != own:
                assert FLOOR[other] < FLOOR[own], f"{path.relative_to(ROOT)} imports {other}, which is not below it"


def test_theory_and_simulation_never_see_each_other():
    for path in modules():
        for module, names in imports(path):
            seen = {*module.split("."), *names}
            assert not (unit(path) == "theory" and "simulation" in seen), path
            assert not (unit(path) == "simulation" and "theory" in seen), path


def test_heavy_packages_are_imported_where_they_are_used():
    for path in modules():
        for module, _ in imports(path, everywhere=False):
            assert module.split(".")[0] not in LAZY, f"{path.relative_to(ROOT)} imports {module} at its top"


def test_nobody_inside_imports_the_root():
    for path in modules():
        for module, _ in imports(path):
            assert module != "ibtheory" or _, path


def test_jit_flags_live_in_one_place():
    for path in modules():
        if unit(path) != "_jit":
            assert "@njit" not in path.read_text(), path
            assert "@jit" not in path.read_text(), path


def test_no_global_generator():
    for path in modules():
        text = path.read_text()
        assert "np.random.seed" not in text, path
        assert "RandomState" not in text, path


def test_references_import_nothing_of_the_package():
    for path in (Path(__file__).parent / "reference").glob("*.py"):
        assert all(module.split(".")[0] != "ibtheory" for module, _ in imports(path)), path


def test_functions_fit_a_screen_and_files_are_one_concept():
    for path in modules():
        text = path.read_text()
        assert len(text.splitlines()) <= 400, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                doc = ast.get_docstring(node, clean=False)
                size = node.end_lineno - node.lineno + 1 - (len(doc.splitlines()) if doc else 0)
                assert size <= 60, f"{path.relative_to(ROOT)}: {node.name} has {size} lines"


def test_the_page_of_the_house_names_files_that_exist():
    top = Path(__file__).parents[1]
    named = re.findall(r"`((?:\w+/)*\w+\.(?:py|html))`", (top / "docs/explanation/house.md").read_text())
    assert len(set(named)) > 20
    for name in named:
        assert (ROOT / name).exists() or (top / name).exists(), name


PUBLIC = [
    "Activation", "Adam", "AdamW", "BatchNorm", "Blobs", "ClassFraction", "Comparison", "CriticalLine", "Dataset",
    "Dense", "DepthScales", "Diagnosis", "Dropout", "Ensemble", "FeaturePool", "GaussianInputs", "GroupFractions",
    "GroupNorm", "History", "LayerNorm", "Network", "PhaseDiagram", "Prediction", "RMSNorm", "Repeat", "Residual",
    "SGD", "__version__", "activations", "compare", "critical_line", "depth_scales", "diagnose", "fractions",
    "gaussian", "gradient_factor", "inputs", "layers", "load", "load_digits", "losses", "mlp", "optimizers",
    "phase_diagram", "plot", "predict", "report", "results", "simulate", "symbolic", "train",
]  # fmt: skip


def test_public_names():
    assert sorted(ib.__all__) == PUBLIC
    assert dir(ib) == ib.__all__
    for name in PUBLIC:
        assert getattr(ib, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'predikt'"):
        ib.predikt  # noqa: B018


def test_import_is_light():
    code = (
        "import sys, time, numpy; start = time.perf_counter(); import ibtheory; "
        "print(time.perf_counter() - start, [m for m in ('numba', 'sympy', 'matplotlib', 'torch') if m in sys.modules])"
    )
    answers = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)
    ]
    seconds, loaded = zip(*(answer.stdout.split(" ", 1) for answer in answers), strict=True)
    assert min(map(float, seconds)) < 0.5
    assert {text.strip() for text in loaded} == {"[]"}


def test_every_layer_has_every_reading():
    from ibtheory.simulation import program
    from ibtheory.theory import forward, maps, population

    norms = {layers.BatchNorm, layers.LayerNorm, layers.RMSNorm, layers.GroupNorm}
    pointwise = norms | {layers.Activation, layers.FeaturePool}
    assert pointwise | {layers.Dense} <= set(forward.forward.registry)
    assert pointwise <= set(population.act.registry)
    assert pointwise <= set(maps.act.registry)
    for kind in pointwise | {layers.Dense, layers.Residual}:
        assert kind in program.EMIT


def test_messages_of_missing_rules_name_what_there_is():
    from ibtheory.theory.forward import forward

    with pytest.raises(NotImplementedError, match=r"no forward rule for str; there are rules for .*LayerNorm"):
        forward("LayerNorm", None, 3, None)
