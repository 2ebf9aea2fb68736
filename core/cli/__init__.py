"""``python -m core``: every verb of Bifocal on the command line.

Exit codes: 0 all done; 1 an error, told on stderr; 2 wrong usage; 3 done, but something was skipped
or a limit given with ``--fail-if`` was crossed.
"""

import typer

from core.cli import doctor, laboratory, library, measure

cli = typer.Typer(
    name="python -m core",
    help="Bifocal: your documents through two lenses.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
library.register(cli)
measure.register(cli)
laboratory.register(cli)
doctor.register(cli)

__all__ = ["cli"]
