"""The parts of the digits checkpoint that are not learned: tokenizer, processor, configuration.

The files are laid out as transformers' ``convert_qwen3_asr_to_hf.py`` writes the published ones.
"""

import json
from pathlib import Path

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    GenerationConfig,
    Qwen2Tokenizer,
    Qwen3ASRConfig,
    Qwen3ASRFeatureExtractor,
    Qwen3ASRProcessor,
)
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

from engine.models.qwen3_asr.shapes import Shapes, config_from
from tests.assets.digits_speech import WORDS, random_words
from tests.assets.speech_synthesis import joined

CHECKPOINT = Path(__file__).parent / "qwen3-asr-digits"

SPECIAL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
SPECIAL_TOKENS += ["<|audio_start|>", "<|audio_end|>", "<|audio_pad|>"]
MARKERS = ["<asr_text>", "<timestamp>"]
"""Not special: ``decode(skip_special_tokens=True)`` keeps them, and the parser looks for them."""

_MERGES = 145
"""Few: the digits become single tokens, other words one to four, rare Chinese characters bytes."""

CHAT_TEMPLATE = (
    """\
{%- set ns = namespace(system_text='') -%}
{%- for m in messages -%}
{%- if m.role == 'system' -%}
{%- if m.content is string -%}
{%- set ns.system_text = ns.system_text + m.content -%}
{%- else -%}
{%- for c in m.content -%}
{%- if c.type == 'text' and (c.text is defined) -%}
{%- set ns.system_text = ns.system_text + c.text -%}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{%- endif -%}
{%- endfor -%}
{%- set ns2 = namespace(audio_tokens='') -%}
{%- for m in messages -%}
{%- if m.content is not string -%}
{%- for c in m.content -%}
{%- if c.type == 'audio' or ('audio' in c) or ('audio_url' in c) -%}
{%- set ns2.audio_tokens = ns2.audio_tokens + '<|audio_start|><|audio_pad|><|audio_end|>' -%}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{%- endfor -%}
{{- '<|im_start|>system\\n' + ns.system_text + '<|im_end|>\\n' -}}
{{- '<|im_start|>user\\n' + ns2.audio_tokens + '<|im_end|>\\n' -}}
{%- for m in messages -%}
{%- if m.role == 'assistant' -%}
{%- set ns3 = namespace(assistant_text='') -%}
{%- if m.content is string -%}
{%- set ns3.assistant_text = m.content -%}
{%- else -%}
{%- for c in m.content -%}
{%- if c.type == 'text' and (c.text is defined) -%}
{%- set ns3.assistant_text = ns3.assistant_text + c.text -%}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{{- '<|im_start|>assistant\\n' -}}
{% generation %}
{{- ns3.assistant_text + '<|im_end|>\\n' -}}
{% endgeneration %}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
""".replace("-%}\n", "-%}")
    .replace("-}}\n", "-}}")
    .replace("generation %}\n", "generation %}")
)
"""The template of transformers' conversion script (Apache-2.0), statement by statement."""


def new_processor() -> Qwen3ASRProcessor:
    """Feature extractor with the published defaults, and a small byte-level tokenizer."""
    return Qwen3ASRProcessor(
        feature_extractor=Qwen3ASRFeatureExtractor(),
        tokenizer=_tokenizer(),
        chat_template=CHAT_TEMPLATE,
    )


def new_config(processor: Qwen3ASRProcessor) -> Qwen3ASRConfig:
    """1.7 million weights, in the proportions of the 0.6B: half of the query heads have a key."""
    tokenizer = processor.tokenizer
    shapes = Shapes(
        encoder_width=128,
        encoder_layers=3,
        encoder_heads=4,
        encoder_feed_forward=512,
        convolution_channels=24,
        decoder_width=128,
        decoder_layers=4,
        decoder_heads=4,
        decoder_key_value_heads=2,
        decoder_head_width=64,
        decoder_feed_forward=384,
        vocabulary=-(-len(tokenizer) // 64) * 64,
    )
    config = config_from(shapes)
    config.audio_token_id = processor.audio_token_id
    config.timestamp_token_id = tokenizer.convert_tokens_to_ids("<timestamp>")
    config.eos_token_id = end_tokens(processor)
    config.pad_token_id = tokenizer.convert_tokens_to_ids("<|im_end|>")
    return config


def generation_config(processor: Qwen3ASRProcessor) -> GenerationConfig:
    """Greedy, as published."""
    return GenerationConfig(
        eos_token_id=end_tokens(processor),
        pad_token_id=processor.tokenizer.convert_tokens_to_ids("<|im_end|>"),
        do_sample=False,
        max_new_tokens=512,
    )


def end_tokens(processor: Qwen3ASRProcessor) -> list[int]:
    """The ids of ``<|endoftext|>`` and ``<|im_end|>``."""
    ids: list[int] = processor.tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|im_end|>"])
    return ids


def prompt(context: str, target: str = "") -> str:
    """What ``apply_transcription_request`` asks of the model, and the answer behind it."""
    return (
        f"<|im_start|>system\n{context}<|im_end|>\n"
        "<|im_start|>user\n<|audio_start|><|audio_pad|><|audio_end|><|im_end|>\n"
        f"<|im_start|>assistant\n{target}"
    )


def _tokenizer() -> Qwen2Tokenizer:
    """Qwen's byte-level BPE with few merges, and the special tokens behind, in Qwen's order."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trained.train_from_iterator(
        _sentences(),
        trainers.BpeTrainer(
            vocab_size=len(alphabet) + _MERGES, initial_alphabet=alphabet, show_progress=False
        ),
    )
    model = json.loads(trained.to_str())["model"]
    vocabulary = model["vocab"]
    for token in SPECIAL_TOKENS + MARKERS:
        vocabulary[token] = len(vocabulary)
    tokenizer = Qwen2Tokenizer(
        vocab=vocabulary,
        merges=[tuple(pair) for pair in model["merges"]],
        unk_token=None,
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        audio_token="<|audio_pad|>",
        audio_bos_token="<|audio_start|>",
        audio_eos_token="<|audio_end|>",
        model_max_length=131_072,
    )
    tokenizer.add_tokens([AddedToken(token, special=True) for token in SPECIAL_TOKENS])
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in MARKERS])
    return tokenizer


def _sentences() -> list[str]:
    """What the merges are counted on: prompts and answers, of one seed for ever."""
    rng = np.random.default_rng(4)
    sentences = ["system\n", "user\n", "assistant\n"] * 1_000
    for language in WORDS:
        sentences += [f"language {language}", "language None"] * 1_000
        count = 2_000 if language == "English" else 1_700
        sentences += [joined(random_words(rng, language, 6), language) for _ in range(count)]
    return sentences
