"""The command ``ibtheory``: a subcommand for each reading.

Exit codes: 0 when it did what was asked, 2 for wrong use, said in one line on stderr.
"""

import functools
import json
from pathlib import Path

import click
import numpy as np

from ibtheory import _files, reporting, zoo
from ibtheory._version import __version__

_ZOO = ("norm", "placement", "weight_variance", "bias_variance", "init", "distribution", "dropout")


class _WrongUse(click.ClickException):
    exit_code = 2


def _plain_errors(function):
    """What the library refuses becomes one line instead of a traceback."""

    @functools.wraps(function)
    def command(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except (ValueError, TypeError, NotImplementedError, OSError, ImportError) as error:
            raise _WrongUse(" ".join(str(error).split())) from error

    return command


def _options(*options):
    def add(function):
        for option in reversed(options):
            function = option(function)
        return function

    return add


_NETWORK = _options(
    click.option(
        "--activation", default="relu", show_default=True, help="relu, leaky_relu(0.1), tanh, gelu, erf, abs or linear."
    ),
    click.option("--width", type=int, default=256, show_default=True, help="Units of a hidden layer."),
    click.option("--depth", type=int, default=5, show_default=True, help="Hidden layers."),
    click.option("--classes", type=int, help="Outputs; as many as the data has labels, or 2."),
    click.option("--weight-variance", type=float, default=2.0, show_default=True, help="sigma_w^2."),
    click.option("--bias-variance", type=float, default=0.0, show_default=True, help="sigma_b^2."),
    click.option("--init", help="he, lecun, xavier, torch or keras, instead of the variances."),
    click.option("--distribution", help="Of the weights: normal, uniform or orthogonal."),
)
_NORM = _options(
    click.option("--norm", default="none", show_default=True, help="none, batch, layer, rms or group."),
    click.option("--placement", default="after", show_default=True, help="before, after (the activation) or both."),
)
_DATA = _options(
    click.option("--data", default="digits", show_default=True, help="digits, gaussian, or a .npz or .csv file."),
    click.option("--standardize", default="feature", show_default=True, help="feature, global or none."),
    click.option("--offset", type=float, default=0.0, show_default=True, help="Added to every feature."),
    click.option("--samples", type=int, help="That many of the data; 500, or all of fewer."),
    click.option("--batch", default="all", show_default=True, help="Samples per BatchNorm statistic."),
    click.option("--seed", type=int, default=0, show_default=True),
)
_NETWORKS = click.option(
    "--networks", type=int, default=reporting.NETWORKS, show_default=True, help="Random networks per simulation."
)
_WIDTH_TERMS = click.option("--infinite-width", is_flag=True, help="Leave out the terms in 1/width of the theory.")
_ALPHA = click.option(
    "--alpha", type=float, default=0.05, show_default=True, help="Simultaneous level of the comparison."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
_SAVE = click.option("--output", type=click.Path(path_type=Path), help="Also save the result to this .npz file.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ibtheory")
def main():
    """What an untrained neural network predicts, and how the placement of the norm decides it."""


@main.command()
@_options(_NETWORK, _NORM, _DATA, _WIDTH_TERMS, _SAVE, _JSON)
@_plain_errors
def predict(as_json, output, **options):
    """Theory, with its terms in 1/width: the law of the class fractions of one network."""
    net, x, shared = _setting(options)
    _hand_over(_predicted(net, x, shared, options), output, as_json)


@main.command()
@_options(_NETWORK, _NORM, _DATA, _NETWORKS, _SAVE, _JSON)
@_plain_errors
def simulate(as_json, output, **options):
    """Simulation: many random networks on the data."""
    net, x, shared = _setting(options)
    _hand_over(_simulated(net, x, shared, options, as_json), output, as_json)


@main.command()
@_options(_NETWORK, _NORM, _DATA)
@click.option("--networks", type=int, default=20, show_default=True, help="Random starts.")
@click.option("--steps", type=int, default=200, show_default=True, help="Steps of the optimizer.")
@click.option("--optimizer", type=click.Choice(["sgd", "adam", "adamw"]), default="adam", show_default=True)
@click.option("--learning-rate", type=float, default=1e-3, show_default=True)
@click.option("--loss", default="cross_entropy", show_default=True, help="cross_entropy, mse or hinge.")
@click.option("--dropout", type=float, default=0.0, show_default=True, help="Rate behind every activation.")
@click.option("--held-out", type=int, help="Samples that are not trained on.")
@click.option("--store", type=click.Path(path_type=Path), help="Folder to go on from after an interruption.")
@_options(_SAVE, _JSON)
@_plain_errors
def train(as_json, output, optimizer, learning_rate, **options):
    """Train many random networks on the data, --batch samples per step: loss and worst recall on the way."""
    from ibtheory import optimizers, simulation

    net, x, shared = _setting(options)
    kinds = {kind.lower(): build for kind, build in optimizers.KINDS.items()}
    chosen = {name: options[name] for name in ("networks", "steps", "loss", "held_out", "store")}
    history = simulation.train(
        net,
        x,
        optimizer=kinds[optimizer](learning_rate),
        batch=None if shared["batch"] == "all" else shared["batch"],
        samples=shared["samples"] if options["held_out"] is None else options["samples"],
        seed=shared["seed"],
        progress=not as_json,
        **chosen,
    )
    _hand_over(history, output, as_json)


@main.command()
@_options(_NETWORK, _NORM, _DATA, _NETWORKS, _WIDTH_TERMS, _ALPHA, _SAVE, _JSON)
@_plain_errors
def compare(as_json, output, **options):
    """Theory, with its terms in 1/width, against simulation, quantity by quantity."""
    from ibtheory.comparison import compare as compared

    net, x, shared = _setting(options)
    prediction = _predicted(net, x, shared, options)
    ensemble = _simulated(net, x, shared, options, as_json)
    _hand_over(compared(prediction, ensemble, alpha=options["alpha"]), output, as_json)


@main.command()
@_options(_NETWORK, _DATA, _NETWORKS, _ALPHA)
@click.option("--norms", default="none,batch,layer,rms", show_default=True, help="Separated by commas.")
@click.option("--placements", default="before,after", show_default=True, help="Separated by commas.")
@click.option("--output", type=click.Path(path_type=Path), default="report", show_default=True, help="Folder.")
@_JSON
@_plain_errors
def report(as_json, output, **options):
    """Every placement of the norm on one dataset: a page with theory, simulation, pictures and a verdict."""
    for name in ("norms", "placements"):
        options[name] = tuple(word.strip() for word in options[name].split(",") if word.strip())
    options["standardize"] = _standardize(options["standardize"])
    options["batch"] = _batch(options["batch"])
    made = reporting.report(output, progress=not as_json, **options)
    if as_json:
        click.echo(reporting.numbers(made))
        return
    click.echo(f"{made}\n\nThe page: {output / 'index.html'} (made in {made.seconds:.0f} s)")


@main.command()
@click.option("--activation", default="tanh", show_default=True, help="A name of the catalogue, or leaky_relu(0.1).")
@_options(_NORM)
@click.option("--weights", default="0.1,6,40", show_default=True, help="Weight variances: low,high,points.")
@click.option("--biases", default="0,0.2,40", show_default=True, help="Bias variances: low,high,points.")
@click.option("--output", type=click.Path(path_type=Path), help="Folder for phase.png, phase.json and phase.npz.")
@_JSON
@_plain_errors
def phase(activation, norm, placement, weights, biases, output, as_json):
    """Phase diagram of deep networks: ordered or chaotic, neutral or prejudiced, by weight and bias variance."""
    from ibtheory import phase as phases

    net = zoo.mlp(64, 1, activation=reporting.activation_of(activation), norm=norm, placement=placement)
    diagram = phases.phase_diagram(net, _grid("--weights", weights), _grid("--biases", biases))
    text = json.dumps(reporting.plain(diagram), allow_nan=False)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        diagram.save(output / "phase.npz")
        with _files.replacing(output / "phase.json") as file:
            file.write(text.encode())
        with _files.replacing(output / "phase.png") as file:
            diagram.plot().figure.savefig(file, format="png", dpi=150)
    click.echo(text if as_json else str(diagram))


def _grid(option, text):
    try:
        low, high, points = text.split(",")
        return np.linspace(float(low), float(high), int(points))
    except ValueError:
        raise ValueError(f"{option} must be low,high,points, such as 0,0.2,40; got {text!r}") from None


def _standardize(word):
    return None if word.lower() == "none" else word


def _batch(word):
    if word == "all":
        return word
    try:
        return int(word)
    except ValueError:
        raise ValueError(f"--batch must be an integer or 'all', got {word!r}") from None


def _setting(options):
    """(network, inputs, arguments that both readings take) of the command line's options."""
    x = reporting.read_data(options["data"], standardize=_standardize(options["standardize"]), offset=options["offset"])
    net = zoo.mlp(
        options["width"],
        options["depth"],
        reporting.classes_of(x, options["classes"]),
        activation=reporting.activation_of(options["activation"]),
        **{name: options[name] for name in _ZOO if name in options},
    )
    samples = reporting.samples_of(x, options["samples"])
    return net, x, {"samples": samples, "batch": _batch(options["batch"]), "seed": options["seed"]}


def _predicted(net, x, shared, options):
    from ibtheory import theory

    width = "infinite" if options["infinite_width"] else "leading"
    return theory.predict(net, x, width=width, **shared)


def _simulated(net, x, shared, options, as_json):
    from ibtheory import simulation

    return simulation.simulate(net, x, networks=options["networks"], progress=not as_json, **shared)


def _hand_over(result, output, as_json):
    if output is not None:
        result.save(output)
    click.echo(json.dumps(reporting.plain(result), allow_nan=False) if as_json else str(result))
