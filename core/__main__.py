"""Entry of ``python -m core``."""

from core.cli import cli

if __name__ == "__main__":
    cli()
