"""Names of models to models."""

import importlib
import os
from typing import cast

from engine.models.base import ModelOptions, ModelUnavailableError, SpeechModel

EMBEDDED = "moonshine-tiny-en"


def load_model(name: str, options: ModelOptions | None = None) -> SpeechModel:
    """Loads a model: the embedded one, a Qwen3-ASR checkpoint, or your own.

    Args:
        name: the embedded model's; a checkpoint's on the hub, such as ``Qwen/Qwen3-ASR-0.6B-hf``,
            or its folder; or ``package.module:Class``.
        options: where and how large it runs, and the forced aligner beside it, if any.

    Raises:
        ModelUnavailableError: no such model, or something it needs is missing.
    """
    options = options or ModelOptions()
    if options.aligner is None:
        return _load(name, options)
    from engine.models.aligned import AlignedModel
    from engine.models.qwen3_asr.aligner import Aligner

    # First: a model on a GPU takes for its caches what it finds free.
    aligner = Aligner(options.aligner, options)
    return AlignedModel(_load(name, options), aligner)


def _load(name: str, options: ModelOptions) -> SpeechModel:
    if name == EMBEDDED:
        from engine.models.moonshine import Moonshine

        return Moonshine(options.threads)
    if "/" in name or os.path.isdir(name):
        from engine.models.qwen3_asr.model import Qwen3ASR

        return Qwen3ASR(name, options)
    if ":" in name:
        return _own(*name.split(":", 1))
    raise ModelUnavailableError(
        f"there is no model {name!r}; there are {EMBEDDED}, Qwen/Qwen3-ASR-0.6B-hf and -1.7B-hf "
        "or a folder with one of these, and your own given as package.module:Class"
    )


def _own(module: str, name: str) -> SpeechModel:
    try:
        return cast(SpeechModel, getattr(importlib.import_module(module), name)())
    except (ImportError, AttributeError, ValueError) as error:
        raise ModelUnavailableError(
            f"there is no model {module}:{name} ({error}); it must be importable from here"
        ) from error
