"""Language tags as clients of other servers write them, as codes that a model may know. Pure."""

from engine.messages import ModelInfo
from gateway.errors import InvalidOption, quoted

CANTONESE = frozenset({"zh-hk", "zh-yue"})
"""Tags of Chinese that mean a language with a code of its own."""


def known_language(value: object, model: ModelInfo, param: str) -> str:
    """The model's code for a code, an English name, or a tag with a region ("en-US").

    Raises:
        InvalidOption: names ``param``: not text, or a language that the model does not know.
    """
    if isinstance(value, str):
        tag = value.strip().lower()
        for name in (value, "yue" if tag in CANTONESE else tag.partition("-")[0]):
            code = model.language_code(name)
            if code is not None:
                return code
    known = ", ".join(model.languages)
    raise InvalidOption(
        f"{param} must be a language that {model.name} knows ({known}), got {quoted(value)}.",
        param=param,
    )
