"""``python -m core``: every verb of Bifocal on the command line.

Exit codes: 0 all done; 1 an error, told on stderr; 2 wrong usage; 3 done, but something was skipped
or a limit given with ``--fail-if`` was crossed.
"""

from pathlib import Path
from typing import Annotated

import typer

from core.cli import doctor, encoders, experiments, library, measure
from core.cli.output import keep_data_folder

cli = typer.Typer(
    name="python -m core",
    help="Bifocal: your documents through two lenses.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@cli.callback()
def common(
    data: Annotated[
        Path | None,
        typer.Option(
            help="Data folder, as the app's --data: encoders you added are kept in it. "
            "The user's own unless given."
        ),
    ] = None,
) -> None:
    """Bifocal: your documents through two lenses."""
    keep_data_folder(data)


library.register(cli)
encoders.register(cli)
measure.register(cli)
experiments.register(cli)
doctor.register(cli)

__all__ = ["cli"]
