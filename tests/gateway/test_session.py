"""One conversation without socket, clock or model: what a client says, and what it is told."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import transcript as heard
from engine.checkpoint import Checkpoint
from engine.messages import TimedWord
from engine.segment import StreamOptions
from engine.vad import VadState
from gateway.errors import AudioBacklog, InvalidAudio, InvalidMessage, InvalidOption, Unsupported
from gateway.wire import messages as told
from gateway.wire.messages import AudioFrame, ClientMessage, Configure, Finalize, Ping, Stop
from tests.gateway.conversation import LIMITS, MODEL, Call, frame


def confirmed_at(at: int) -> heard.Confirmed:
    return heard.Confirmed(at, Checkpoint(VadState().tobytes(), at=at, start=at, finalizes=3))


class TestOptions:
    def test_durations_become_samples_at_16_khz_whatever_rate_the_client_has(self) -> None:
        call = Call(
            sample_rate=48_000, language="en", context="Fielding", chunk_ms=1500,
            rollback_tokens=7, cold_chunks=3, partials=False, endpoint_ms=250,
            max_segment_ms=9000, vad_threshold=0.75, vad_padding_ms=120,
        )  # fmt: skip
        call.says(Finalize(None))

        assert call.speech.options == StreamOptions(
            language="en", context="Fielding", chunk=24_000, rollback_tokens=7, cold_chunks=3,
            partials=False, endpoint=4000, max_segment=144_000, vad_threshold=0.75,
            vad_padding=1920,
        )  # fmt: skip

    def test_the_defaults_of_both_sides_are_the_same(self) -> None:
        call = Call()
        call.says(Finalize(None))

        assert call.speech.options == StreamOptions()  # no other is sent unasked

    def test_auto_and_all_have_no_number(self) -> None:
        call = Call(chunk_ms="auto", rollback_tokens="all", language="auto", endpoint_ms=0)
        call.says(Finalize(None))

        options = call.speech.options
        assert (options.chunk, options.rollback_tokens, options.language) == (None, None, None)
        assert options.endpoint == 0

    @pytest.mark.parametrize("language", ["yue", "YUE", "Cantonese", "cantonese", "CANTONESE"])
    def test_a_language_is_known_by_code_and_name_in_any_case(self, language: str) -> None:
        call = Call(language=language)
        call.says(Finalize(None))

        assert call.speech.options.language == "yue"

    @pytest.mark.parametrize("language", ["de", "German", "e", "eng", "English "])
    def test_an_unknown_language_is_refused_with_the_known_ones(self, language: str) -> None:
        with pytest.raises(InvalidOption) as refused:
            Call(language=language)

        assert "en (English), yue (Cantonese)" in refused.value.message
        assert "fake-asr" in refused.value.message

    def test_words_are_refused_without_an_aligner_with_the_way_to_have_them(self) -> None:
        with pytest.raises(Unsupported, match=r"^words is not available: .* with --aligner"):
            Call(words=True)
        call = Call()
        error = call.refuses(Configure({"words": True}, "c1"), Unsupported)
        assert (error.id, call.session.options.words) == ("c1", False)

    def test_words_are_the_engines_to_find_where_there_is_an_aligner(self) -> None:
        with_aligner = replace(MODEL, words=True)
        asked, changed = Call(with_aligner, words="true"), Call(with_aligner)
        [ready] = changed.configures(words=True)
        for call in (asked, changed):
            call.says(Finalize(None))
            assert call.speech.options == StreamOptions(words=True)
        assert ready.options["words"] is True


class TestReady:
    def test_says_the_options_in_force_and_the_limits(self) -> None:
        call = Call(sample_rate=8000, encoding="mulaw", max_segment_ms=5000)

        [ready] = call.session.ready()

        assert (ready.epoch, ready.model, ready.sample_rate) == (1, "fake-asr", 8000)
        assert (ready.resumed, ready.next_sample, ready.finalizes) == (False, 0, 0)
        assert ready.options == call.session.options.model_dump()
        assert ready.limits == {**LIMITS, "max_unconfirmed_ms": 17_000}
        assert call.opened == []

    def test_context_that_has_no_effect_is_said(self) -> None:
        without = replace(MODEL, context=False)

        [_, notice] = Call(without, context="Fielding").session.ready()

        assert notice.code == "ignored_option"
        assert "context" in notice.message
        assert len(Call(without).session.ready()) == 1 == len(Call(context="F").session.ready())


class TestConfigure:
    def test_before_audio_all_options_may_change_and_the_decoder_is_new(self) -> None:
        call = Call(sample_rate=16_000)

        [ready] = call.configures(encoding="pcm_f32le", channels=2, chunk_ms=500)
        call.says(AudioFrame(bytes(8 * 100)))

        assert (ready.options["encoding"], ready.options["chunk_ms"]) == ("pcm_f32le", 500)
        assert call.speech.options.chunk == 8000
        assert call.speech.calls == [("push", 100)]

    def test_what_is_not_named_stays(self) -> None:
        call = Call(sample_rate=8000, chunk_ms=500)
        call.configures(language="English")
        call.configures(partials=False)

        options = call.session.options
        assert (options.sample_rate, options.chunk_ms) == (8000, 500)
        assert (options.language, options.partials) == ("English", False)

    def test_while_audio_flows_the_engine_is_told_of_the_few_that_may_change(self) -> None:
        call = Call(chunk_ms=500)
        call.says(frame(160))

        [ready] = call.configures(language="yue", context="x", endpoint_ms=0, partials=False)

        changed = replace(
            call.speech.options, language="yue", context="x", endpoint=0, partials=False
        )
        assert call.speech.calls == [("push", 160), ("update", changed)]
        assert ready.options["endpoint_ms"] == 0

    @pytest.mark.parametrize("option", ["sample_rate", "encoding", "chunk_ms", "max_segment_ms"])
    def test_while_audio_flows_others_are_refused_by_name(self, option: str) -> None:
        call = Call()
        call.says(frame(160))
        before = call.session.options

        error = call.refuses(Configure({option: getattr(before, option)}, "c1"))

        assert error.message == f"{option} can only be set before audio."
        assert call.session.options == before
        assert len(call.speech.calls) == 1

    @pytest.mark.parametrize("audio_came", [False, True])
    @pytest.mark.parametrize("options", [{"language": "de"}, {"partials": "perhaps"}, {"x": 1}])
    def test_an_error_carries_the_id_and_changes_nothing(
        self, options: dict[str, Any], audio_came: bool
    ) -> None:
        call = Call()
        if audio_came:
            call.says(frame(160))
        before = call.session.options

        error = call.refuses(Configure({"context": "lost", **options}, "c1"))

        assert (error.id, error.recoverable) == ("c1", True)
        assert call.session.options == before


class TestAudio:
    def test_is_decoded_and_pushed_to_one_engine_session(self) -> None:
        call = Call(sample_rate=16_000, channels=2)

        assert call.says(AudioFrame(bytes(4 * 160))) == []
        call.says(AudioFrame(bytes(4 * 80)))

        assert call.speech.calls == [("push", 160), ("push", 80)]
        assert call.session.audio_s == 0.015

    def test_half_a_sample_is_refused_and_none_of_it_used(self) -> None:
        call = Call()
        with pytest.raises(InvalidAudio):
            call.session.check_audio(b"abc")
        call.refuses(AudioFrame(b"abc"), InvalidAudio)

        assert call.session.audio_s == 0

    def test_clipping_is_said_once_for_each_message_that_clips(self) -> None:
        call = Call()
        loud = AudioFrame(np.full(160, 32_767, "<i2").tobytes())

        [notice] = call.says(loud)
        assert notice.code == "clipped"
        assert call.says(frame(160)) == []

    def test_a_backlog_beyond_the_longest_segment_and_the_limit_ends_the_session(self) -> None:
        call = Call(max_segment_ms=5000)
        assert call.says(frame(16 * 17_000)) == []

        assert not call.refuses(frame(16), AudioBacklog).recoverable
        call.speech.confirmed = 32  # both messages
        assert call.says(frame(16)) == []


class TestTheEnd:
    def test_first_what_the_resampler_held_then_the_close(self) -> None:
        call = Call(sample_rate=48_000)
        call.says(frame(48_000))
        call.session.end("stop")

        assert [name for name, *_ in call.speech.calls[:-1]] == ["push", "push"]
        assert call.speech.calls[-1] == ("close", "stop", None)
        assert (call.speech.received, call.session.ended_by) == (16_000, "stop")

    def test_a_drain_comes_before_what_the_resampler_held_which_goes_on_elsewhere(self) -> None:
        call = Call(sample_rate=48_000)
        call.says(frame(48_000))
        call.session.end("drain")

        assert [name for name, *_ in call.speech.calls] == ["push", "close", "push"]
        assert (call.speech.received, call.session.ended_by) == (16_000, "drain")

    def test_stop_without_audio_still_ends_through_the_engine(self) -> None:
        call = Call()

        assert call.says(Stop()) == []
        assert call.speech.calls == [("push", 0), ("close", "stop", None)]

    @pytest.mark.parametrize("late", [frame(1), Configure({}, None), Finalize("f"), Ping("p")])
    def test_nothing_may_follow_stop_but_a_drain_is_no_fault_of_the_client(
        self, late: ClientMessage
    ) -> None:
        stopped, drained = Call(), Call()
        stopped.says(Stop())
        drained.session.end("drain")

        assert "open a new session" in stopped.refuses(late, InvalidMessage).message
        assert drained.says(late) == []
        assert len(stopped.speech.calls) == len(drained.speech.calls) == 2

    def test_stop_may_be_said_again_by_a_client_that_lost_its_connection(self) -> None:
        call = Call()
        call.says(Stop())

        assert call.says(Stop()) == []
        assert len(call.speech.calls) == 2

    @given(st.integers(8000, 96_000), st.integers(0, 5000))
    def test_no_more_samples_are_confirmed_than_the_client_sent(self, rate: int, sent: int) -> None:
        call = Call(sample_rate=rate)
        call.says(frame(sent))
        call.says(Stop())

        assert call.hears(confirmed_at(call.speech.received)).samples == sent


class TestAnswers:
    def test_a_ping_gets_a_pong(self) -> None:
        call = Call()

        assert call.says(Ping("p1")) == [told.Pong("p1")]
        assert call.opened == []

    def test_finalize_closes_behind_what_was_pushed(self) -> None:
        call = Call()
        assert call.says(frame(160)) == call.says(Finalize("f1")) == []
        assert call.speech.calls == [("push", 160), ("close", "finalize", "f1")]


class TestTranslation:
    @pytest.mark.parametrize(
        ("event", "message"),
        [
            (heard.SpeechStarted(16_000, 1), told.SpeechStarted(1000, 1)),
            (heard.SpeechEnded(24_008, 1), told.SpeechEnded(1500, 1)),
            (heard.UtteranceEnded(24_000), told.UtteranceEnded(1500)),
            (heard.Suppressed(3, "silence", 160, 1600), told.Suppressed(3, "silence", 10, 100)),
            (
                heard.Final(2, " a", True, 160, 16_000, "en", 0.5, "finalize", "f1"),
                told.Final(2, " a", True, 10, 1000, "en", "finalize", confidence=0.5, id="f1"),
            ),
        ],
    )
    def test_positions_become_milliseconds(
        self, event: heard.Event, message: told.ServerMessage
    ) -> None:
        assert Call(sample_rate=48_000).hears(event) == message

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (None, None),
            ((), ()),
            (
                (TimedWord("a", 10, 90), TimedWord("b", 90, 1000)),
                (
                    {"text": "a", "start_ms": 10, "end_ms": 90},
                    {"text": "b", "start_ms": 90, "end_ms": 1000},
                ),
            ),
        ],
    )
    def test_the_words_of_a_final_are_maps(
        self, words: tuple[TimedWord, ...] | None, said: tuple[dict[str, Any], ...] | None
    ) -> None:
        final = Call(sample_rate=48_000).hears(
            heard.Final(2, "a b", False, 160, 16_000, "en", 0.5, "stop", None, words)
        )

        assert final.words == said
        assert ("words" in told.to_map(final, "s", 1)) is (words is not None)

    def test_a_partial_says_how_much_audio_is_not_in_it(self) -> None:
        call = Call(sample_rate=48_000)
        call.says(frame(96_000))
        call.says(Stop())

        assert call.hears(heard.Partial(1, 4, "a", " b", 1600, 16_000, None)) == told.Partial(
            1, 4, "a", " b", 100, 1000, None, lag_ms=1000
        )

    @pytest.mark.parametrize(
        ("rate", "samples"), [(16_000, 10_000), (48_000, 3 * 8400), (8000, 4200), (44_100, 22_932)]
    )
    def test_confirmed_counts_the_clients_own_samples(self, rate: int, samples: int) -> None:
        """Where audio is resampled, a tenth of a second more is replayed."""
        call = Call(sample_rate=rate)
        call.says(frame(rate))
        confirmed = call.hears(confirmed_at(10_000))

        assert (confirmed.samples, confirmed.finalizes) == (samples, 3)
        assert Checkpoint.decode(confirmed.checkpoint).at == 10_000

    def test_a_stretched_cadence_is_a_warning_with_the_number(self) -> None:
        notice = Call().hears(heard.Overloaded(4000))

        assert (notice.code, notice.cadence_ms) == ("overloaded", 4000)
        assert "4000 ms" in notice.message

    def test_a_segment_that_failed_is_an_error_and_the_session_goes_on(self) -> None:
        error = Call().hears(heard.SegmentFailed(5))

        assert (error.code, error.retryable) == ("engine_failed", False)
        assert "Segment 5" in error.message
        assert "goes on" in error.message

    def test_the_last_word_has_the_totals(self) -> None:
        call = Call()
        call.says(frame(160))
        final = heard.Final(1, "a", False, 0, 160, "en", 0.5, "endpoint", None)
        call.session.translate(
            [
                heard.Partial(1, 1, "", "a", 0, 160, "en"),
                heard.Partial(1, 2, "a", "b", 0, 160, "en"),
                heard.Suppressed(1, "repetition", 0, 160),
                final,
                replace(final, segment=2, revised=True),
            ]
        )

        assert call.hears(heard.Finished(160, 2)) == told.Done(
            10, 2, {"partials": 2, "finals": 2, "revised": 1, "suppressed": 1}
        )
