"""Checkpoints of the Qwen3-ASR family: loaded, or refused in one sentence that says what to do."""

import logging
import os
from dataclasses import dataclass
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoProcessor,
    Qwen3ASRForConditionalGeneration,
    Qwen3ASRForTokenClassification,
)

from engine.models.base import ModelUnavailableError


@dataclass(frozen=True, slots=True)
class Kind:
    """What a checkpoint must be. All kinds share one ``model_type``; the architecture differs."""

    name: str
    example: str
    """A published one."""
    architecture: Any


RECOGNIZER = Kind("Qwen3-ASR", "Qwen/Qwen3-ASR-0.6B-hf", Qwen3ASRForConditionalGeneration)
ALIGNER = Kind(
    "Qwen3 forced aligner", "Qwen/Qwen3-ForcedAligner-0.6B-hf", Qwen3ASRForTokenClassification
)


def load(name: str, kind: Kind, device: torch.device, dtype: torch.dtype) -> tuple[Any, Any]:
    """Processor and model of a checkpoint, by its name on the hub or as a folder.

    Raises:
        ModelUnavailableError: it cannot be had, is of another kind, or does not fit.
    """
    logging.getLogger("transformers").setLevel(logging.ERROR)  # we say it in one sentence
    load_processor: Any = AutoProcessor
    try:
        config = AutoConfig.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise ModelUnavailableError(_missing(name, kind, error)) from error
    found = _other_kind(config, kind)
    if found is not None:
        raise ModelUnavailableError(
            f"{name} is a {found} model; give a {kind.name} checkpoint in transformers' "
            f"format, such as {kind.example}"
        )
    try:
        processor = load_processor.from_pretrained(name)
        return processor, kind.architecture.from_pretrained(name, dtype=dtype).to(device)
    except torch.OutOfMemoryError as error:
        raise ModelUnavailableError(
            f"{name} does not fit into the memory of {device}: free some, or take a smaller model"
        ) from error
    except (OSError, ValueError) as error:
        raise ModelUnavailableError(_missing(name, kind, error)) from error


def _other_kind(config: Any, kind: Kind) -> str | None:
    """What the checkpoint is instead; None: what it should be, as far as it says."""
    if config.model_type != "qwen3_asr":
        return str(config.model_type)
    # Loaded as another kind it would get a head of random weights, and say nonsense.
    architectures: list[str] = config.architectures or []
    if architectures and kind.architecture.__name__ not in architectures:
        return architectures[0]
    return None


def _missing(name: str, kind: Kind, error: Exception) -> str:
    reason = str(error).split("\n")[0].rstrip(".")
    if os.path.isdir(name):
        return (
            f"the folder {name} holds no whole {kind.name} checkpoint ({reason}); download it "
            f"again with: hf download {kind.example} --local-dir FOLDER"
        )
    return (
        f"the model {name} is neither a folder here nor to be had from the hub ({reason}); check "
        "the name and the network, or download it elsewhere and give the folder"
    )


def device_of(wanted: str) -> torch.device:
    """Of `ModelOptions.device`.

    Raises:
        ModelUnavailableError: there is no such device.
    """
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise ModelUnavailableError(
            "there is no CUDA device here, or this torch cannot use it; take --device cpu"
        )
    return torch.device(wanted)


def dtype_of(wanted: str, device: torch.device) -> torch.dtype:
    """Of `ModelOptions.dtype`, on a device."""
    if wanted == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    dtype: torch.dtype = getattr(torch, wanted)
    return dtype
