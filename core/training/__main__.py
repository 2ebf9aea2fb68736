"""``python -m core.training``."""

import typer

from core.errors import CoreError
from core.training.cli import app

if __name__ == "__main__":
    try:
        app()
    except CoreError as exc:
        typer.echo(str(exc), err=True)
        raise SystemExit(1) from exc
