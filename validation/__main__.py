"""``python -m validation`` lists the claims; ``python -m validation NAME`` runs one and stores its verdict.

Exit codes: 0 when the claim stands and its negative control is rejected, 1 when not, 2 for wrong use.
"""

import sys
from pathlib import Path

import click

from validation import harness


@click.command()
@click.argument("name", required=False)
@click.option("--quick", is_flag=True, help="Fewer cells and networks, under a minute; into NAME-quick.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=harness.RESULTS,
    help="Folder that receives NAME/verdict.json and NAME/figure.png; by default validation/results.",
)
def main(name, quick, output):
    """Run the claim NAME, or list all claims."""
    claims = harness.claims()
    if name is None:
        for claim in claims.values():
            click.echo(f"{claim.name}: {claim.sentence}\n    {claim.reference}")
        return
    if name not in claims:
        raise click.UsageError(f"there is no claim {name!r}; the claims are {', '.join(claims)}")
    folder = output / (f"{name}-quick" if quick else name)
    try:
        verdict, summary = harness.check(claims[name], folder, quick=quick, say=lambda text: click.echo(text, err=True))
    except OSError as error:
        raise click.UsageError(f"cannot write to {folder}: {error}; choose another --output") from error
    click.echo(summary)
    click.echo(_words(verdict, folder))
    sys.exit(0 if verdict["passed"] else 1)


def _words(verdict, folder):
    control = verdict["control"]
    stands = "stands" if verdict["consistent"] else "does NOT stand"
    rejected = "rejected" if control["rejected"] else "NOT rejected"
    return (
        f"\nThe claim {stands} at simultaneous level {verdict['level']:g}: {verdict['claim']}\n"
        f"Negative control {rejected} (power {control['power']:.4g}): {control['description']}\n"
        f"{verdict['seconds']} s; {folder / 'verdict.json'}, {folder / 'figure.png'}"
    )


if __name__ == "__main__":
    main(prog_name="python -m validation")
