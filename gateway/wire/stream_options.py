"""A session's options as the engine takes them, where the model can do what they ask for. Pure."""

from engine.messages import ModelInfo, ms_to_samples
from engine.segment import StreamOptions
from gateway.errors import InvalidOption, Unsupported
from gateway.wire.options import SessionOptions


def to_stream_options(options: SessionOptions, model: ModelInfo) -> StreamOptions:
    """The engine's form of the options, in samples at 16 kHz.

    Raises:
        InvalidOption: the model does not know the language.
        Unsupported: word times are asked for and there is no aligner.
    """
    if options.words and not model.words:
        raise Unsupported(
            "words is not available: this server has no aligner; start it with --aligner, "
            "or leave words out."
        )
    return StreamOptions(
        language=_language(options, model),
        context=options.context,
        chunk=None if options.chunk_ms == "auto" else ms_to_samples(options.chunk_ms),
        rollback_tokens=None if options.rollback_tokens == "all" else options.rollback_tokens,
        cold_chunks=options.cold_chunks,
        partials=options.partials,
        endpoint=ms_to_samples(options.endpoint_ms),
        utterance_end=ms_to_samples(options.utterance_end_ms),
        max_segment=ms_to_samples(options.max_segment_ms),
        vad_threshold=options.vad_threshold,
        vad_padding=ms_to_samples(options.vad_padding_ms),
        words=options.words,
        stream_tokens=options.stream_tokens,
    )


def _language(options: SessionOptions, model: ModelInfo) -> str | None:
    if options.language is None:
        return None
    language = model.language_code(options.language)
    if language is None:
        known = ", ".join(f"{code} ({name})" for code, name in model.languages.items())
        raise InvalidOption(f"language must be one that {model.name} knows: {known}, or auto.")
    return language
