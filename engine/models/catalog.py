"""Names of models to models."""

from engine.models.base import ModelUnavailableError, SpeechModel

EMBEDDED = "moonshine-tiny-en"


def load_model(name: str) -> SpeechModel:
    """Loads a model by its name.

    Raises:
        ModelUnavailableError: no such model, or something it needs is missing.
    """
    if name == EMBEDDED:
        from engine.models.moonshine import Moonshine

        return Moonshine()
    raise ModelUnavailableError(
        f"there is no model {name!r}; the models that can run here are: {EMBEDDED}"
    )
