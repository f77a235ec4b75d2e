"""Names of models to models."""

import importlib
from typing import cast

from engine.models.base import ModelUnavailableError, SpeechModel

EMBEDDED = "moonshine-tiny-en"


def load_model(name: str) -> SpeechModel:
    """Loads a model by its name, or your own by ``package.module:Class``.

    Raises:
        ModelUnavailableError: no such model, or something it needs is missing.
    """
    if name == EMBEDDED:
        from engine.models.moonshine import Moonshine

        return Moonshine()
    if ":" in name:
        return _own(*name.split(":", 1))
    raise ModelUnavailableError(
        f"there is no model {name!r}; the models that can run here are {EMBEDDED}, "
        "and your own given as package.module:Class"
    )


def _own(module: str, name: str) -> SpeechModel:
    try:
        return cast(SpeechModel, getattr(importlib.import_module(module), name)())
    except (ImportError, AttributeError, ValueError) as error:
        raise ModelUnavailableError(
            f"there is no model {module}:{name} ({error}); it must be importable from here"
        ) from error
