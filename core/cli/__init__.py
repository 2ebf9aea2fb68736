"""``python -m core``: every verb of Bifocal on the command line.

Exit codes: 0 all done; 1 an error, said on stderr; 2 wrong usage; 3 done, but something was skipped
or a limit given with ``--fail-if`` was crossed.
"""

from core.cli import library, encoders, measure, experiments, doctor  # isort: skip  # order of help
from core.cli.output import cli

__all__ = ["cli", "doctor", "encoders", "experiments", "library", "measure"]
