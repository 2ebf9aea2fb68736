"""``python -m core.training``: one command per step of the recipe, each resumable.

    convert    GGUF file -> base, tokenizer, configuration in a working folder
    adapt      stage 1 of one arm
    prepare    statistics and first projection of one arm's readout
    contrast   stage 2 of one arm
    export     both arms -> the folder that ships
    measure    language-model losses and infilling samples of one arm
    controls   both arms and what else could explain their figures, on a data set
    agreement  stored arms against trained ones, and how long they take to load
    speed-mode 8-bit products against float32: speed, rankings, independence of the batch

Everything is kept in the working folder; a command that is stopped goes on from its checkpoint.
"""

from __future__ import annotations

import typer

from core.errors import CoreError
from core.training.cli import measure, recipe

app = typer.Typer(
    help="Train and measure the bundled pair.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
recipe.register(app)
measure.register(app)


def main() -> None:
    """Run the command line; errors of Bifocal's own are told in one line."""
    try:
        app()
    except CoreError as exc:
        typer.echo(str(exc), err=True)
        raise SystemExit(1) from exc
