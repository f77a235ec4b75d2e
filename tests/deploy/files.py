"""What is in `deploy/`."""

import re
import shlex
from pathlib import Path
from typing import Any

import yaml

from gateway.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PREFIX = "SCRIBEWIRE_"


def load(path: str) -> Any:
    """A file of YAML below `deploy/`."""
    return yaml.safe_load((DEPLOY / path).read_text())


def instructions(name: str) -> list[list[str]]:
    """Words of each instruction of a Dockerfile."""
    text = re.sub(r"\\\n", " ", (DEPLOY / name).read_text())
    return [shlex.split(line) for line in text.splitlines() if line and not line.startswith("#")]


def image_environment(name: str) -> dict[str, str]:
    """What a Dockerfile sets for its container."""
    [pairs] = [line[1:] for line in instructions(name) if line[0] == "ENV"]
    return dict(pair.split("=", 1) for pair in pairs)


def settings_of(environment: dict[str, str]) -> Settings:
    """The settings that these variables make; raises if one is none, or has a value that is not
    taken."""
    given = {n.removeprefix(PREFIX).lower(): v for n, v in environment.items() if PREFIX in n}
    return Settings(**given)  # type: ignore[arg-type]
