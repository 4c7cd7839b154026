"""What the pages do not type by hand: tables made from the registries, and commands with what they print.

``support-table``, ``inputs-table``, ``activation-table`` take no arguments; ``run`` takes a command line of
``ibtheory`` and shows it with its output.
"""

import contextlib
import io
import shlex
import tempfile

import click
from docutils import nodes
from docutils.parsers.rst import Directive, directives

import ibtheory as ib
from ibtheory import activations, cli, layers
from ibtheory.simulation import program
from ibtheory.theory import forward, population

RULE, NONE = "✓", "–"


def setup(app):
    for name, directive in DIRECTIVES.items():
        app.add_directive(name, directive)
    return {"version": ib.__version__, "parallel_read_safe": True, "parallel_write_safe": True}


class Table(Directive):
    """A table whose rows a function makes when the page is read; the first one is the heading."""

    make = None

    def run(self):
        heading, *rows = type(self).make()
        group = nodes.tgroup(cols=len(heading))
        group += [nodes.colspec(colwidth=1) for _ in heading]
        group += nodes.thead("", _row(heading))
        group += nodes.tbody("", *(_row(row) for row in rows))
        return [nodes.table("", group)]


def _row(cells):
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", *_inline(str(cell)))) for cell in cells))


def _inline(text):
    """Text with `code` between backticks."""
    for index, part in enumerate(text.split("`")):
        if part:
            yield nodes.literal(part, part) if index % 2 else nodes.Text(part)


def support():
    """Kinds of layers, and which reading has a rule for each."""
    registries = [forward.forward.registry, population.act.registry, program.EMIT]
    yield "layer", "theory: moments", "theory: drawn neurons", "simulation", "1/width terms"
    for name, kind in layers.KINDS.items():
        rules = [RULE if kind in registry else _walked(kind) for registry in registries]
        yield f"`{name}`", *rules, _leading(kind)


BLOCK = (layers.Dense(8), layers.Activation("relu"))
EXAMPLES = {
    layers.Dense: BLOCK,
    layers.Activation: BLOCK,
    layers.FeaturePool: (*BLOCK, layers.FeaturePool("max")),
    layers.Dropout: (*BLOCK, layers.Dropout(0.5)),
    layers.Residual: (layers.Dense(8), layers.Residual(BLOCK[::-1])),
    layers.Repeat: (layers.Repeat(BLOCK, 2),),
}


def _example(kind):
    """A network that holds this kind of layer: in front of the activation if it is a norm."""
    norm = (kind(2) if kind is layers.GroupNorm else kind(),) if kind not in EXAMPLES else ()
    default = (layers.Dense(8), *norm, layers.Activation("relu"))
    return layers.Network((*EXAMPLES.get(kind, default), layers.Dense(2)))


def _walked(kind):
    """How a kind without a rule of its own is read."""
    if kind not in (layers.Residual, layers.Repeat, layers.Dropout):
        return NONE
    ib.predict(_example(kind), ib.GaussianInputs(8))  # an error here fails the build
    return "left out" if kind is layers.Dropout else "layer by layer"


def _leading(kind):
    notes = ib.predict(_example(kind), ib.GaussianInputs(8), width="leading").notes
    return NONE if any("infinite width" in note for note in notes) else RULE


BLOCKS = {
    "none": {},
    "layer, rms or group, anywhere": {"norm": "layer"},
    "batch before": {"norm": "batch", "placement": "before"},
    "batch after": {"norm": "batch", "placement": "after"},
    "batch both": {"norm": "batch", "placement": "both"},
    "batch, fresh running statistics": {"norm": layers.BatchNorm(mode="running")},
    "batch before, 3 training batches": {"norm": layers.BatchNorm(mode="running", batches=3), "placement": "before"},
    "batch after, 3 training batches": {"norm": layers.BatchNorm(mode="running", batches=3), "placement": "after"},
}


def inputs():
    """What predict does for each placement of the norm and each kind of inputs, tried out."""
    columns = {
        "`GaussianInputs`": ib.GaussianInputs(8),
        "`Blobs`": ib.Blobs(separation=2.0, features=8),
        "`Dataset`": ib.Dataset(ib.GaussianInputs(8).draw(6)[0]),
    }
    yield "norm", *columns
    for name, words in BLOCKS.items():
        yield name, *(_closure(ib.mlp(8, 2, **words), x) for x in columns.values())


def _closure(net, x):
    try:
        prediction = ib.predict(net, x)
    except NotImplementedError:
        return "refused, with the remedy"
    return "drawn neurons" if prediction.error else "exact"


def catalogue():
    """The activations: how theory and simulation treat each."""
    yield "name", "phi(x)", "kinks", "Gaussian averages", "in the compiled machine", "reference"
    for name, record in activations.catalogue().items():
        fused = record.slopes is not None or record.code in program._KERNELS
        yield (
            f"`{name}`",
            f"`{record.expression()}`",
            ", ".join(f"{kink:g}" for kink in record.kinks) or NONE,
            "closed forms" if record.closed else "quadrature",
            "yes" if fused else "called back",
            record.reference,
        )


class Run(Directive):
    """A command line of ibtheory, run in an empty folder, with what it prints; ``:fails:`` expects exit code 2."""

    required_arguments = 1
    final_argument_whitespace = True
    option_spec = {"fails": directives.flag}  # noqa: RUF012  docutils reads a plain dict

    def run(self):
        line = " ".join(self.arguments[0].split())
        code, shown = _executed(line)
        expected = 2 if "fails" in self.options else 0
        if code != expected:
            raise self.error(f"{line}: exit code {code}, expected {expected}\n{shown}")
        text = f"$ {line}\n{shown.rstrip()}"
        return [nodes.literal_block(text, text, language="console")]


def _executed(line):
    """(exit code, what is printed) of a command line; progress bars are left out."""
    name, *arguments = shlex.split(line)
    out = io.StringIO()
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        try:
            cli.main(arguments, prog_name=name, standalone_mode=False)
        except click.ClickException as error:
            error.show(file=out)
            return error.exit_code, out.getvalue()
    return 0, out.getvalue()


DIRECTIVES = {
    "support-table": type("SupportTable", (Table,), {"make": staticmethod(support)}),
    "inputs-table": type("InputsTable", (Table,), {"make": staticmethod(inputs)}),
    "activation-table": type("ActivationTable", (Table,), {"make": staticmethod(catalogue)}),
    "run": Run,
}
