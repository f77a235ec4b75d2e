"""What an upload is answered: texts, captions, events."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidAudio, ShuttingDown, TooManySessions
from gateway.wire.messages import Final, Partial
from gateway.wire.openai_transcripts import (
    Transcript,
    answer,
    delta_event,
    done_event,
    error_body,
    error_event,
)

LANGUAGES = {"en": "English", "zh": "Chinese"}


def partial(stable: str, unstable: str = "", segment: int = 1) -> Partial:
    return Partial(segment, 1, stable, unstable, 0, 1000, "en", 0)


def final(text: str, segment: int = 1, **fields: Any) -> Final:
    start = 1000 * (segment - 1)
    return Final(
        segment, text, False, start, start + 900, fields.pop("language", "en"), "endpoint", **fields
    )


def transcript(*finals: Final) -> Transcript:
    result = Transcript(duration_ms=2100)
    for each in finals:
        result.take(each)
    return result


TWO = transcript(
    final("Ever tried.", confidence=0.5), final("", 2), final(" Ever failed.", 3, confidence=1.0)
)


class TestNews:
    def test_stable_text_as_it_grows_and_what_the_final_adds(self) -> None:
        whole = Transcript()
        messages = [
            partial("", "Ever"), partial("Ever", " died"), partial("Ever tried"),
            final("Ever tried."), partial(" No", " mat", 2), final(" No matter.", 2),
        ]  # fmt: skip

        news = [whole.take(message) for message in messages]

        assert news == ["", "Ever", " tried", ".", " No", " matter."]
        assert "".join(news) == whole.text
        assert not whole.revised

    def test_a_final_that_contradicts_what_was_told_is_the_truth(self) -> None:
        whole = Transcript()

        news = [whole.take(each) for each in (partial("Ever cried"), final("Ever tried. No."))]

        assert news == ["Ever cried", " No."]
        assert whole.text == "Ever tried. No."
        assert whole.revised

    @given(
        st.lists(
            st.tuples(st.text("ab 好", max_size=12), st.lists(st.integers(0, 12), max_size=4)),
            max_size=4,
        )
    )
    def test_all_news_together_is_the_text(self, segments: list[tuple[str, list[int]]]) -> None:
        whole, told = Transcript(), ""
        for index, (text, cuts) in enumerate(segments, start=1):
            for cut in sorted(cuts):
                told += whole.take(partial(text[:cut], text[cut:], index))
            told += whole.take(final(text, index))

        assert told == whole.text == "".join(text for text, _ in segments)
        assert not whole.revised

    @pytest.mark.parametrize(
        ("prefix", "said", "news"),
        [
            ("Ever tried.", "Ever tried. Ever failed.", " Ever failed."),
            ("Ever tried. ", "Ever tried. Ever failed.", "Ever failed."),
            (" Ever tried.", "Ever tried. Ever failed.", " Ever failed."),
            ("你好", "你好谢谢", "谢谢"),
            ("你好 ", "你好谢谢", "谢谢"),
            ("Ever tried.", "Ever tried.", ""),
        ],
    )
    def test_a_prefix_is_not_told_again(self, prefix: str, said: str, news: str) -> None:
        whole = Transcript(prefix)

        told = [whole.take(each) for each in (partial(said[:4]), partial(said[:-1]), final(said))]

        assert "".join(told) == whole.text == news
        assert not whole.revised


class TestAnswers:
    def test_text(self) -> None:
        assert answer("text", TWO, LANGUAGES)[0] == "Ever tried. Ever failed.\n"

    def test_json(self) -> None:
        body, kind = answer("json", TWO, LANGUAGES)

        assert kind == "application/json"
        assert json.loads(body) == {
            "text": "Ever tried. Ever failed.",
            "usage": {"type": "duration", "seconds": 3},
        }

    def test_captions(self) -> None:
        srt, _ = answer("srt", TWO, LANGUAGES)
        vtt, kind = answer("vtt", TWO, LANGUAGES)

        assert srt.startswith("1\n00:00:00,000 --> 00:00:00,900\nEver tried.\n\n2\n00:00:02,000")
        assert vtt.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:00.900\nEver tried.\n")
        assert kind.startswith("text/vtt")

    def test_verbose_json(self) -> None:
        body = json.loads(answer("verbose_json", TWO, LANGUAGES)[0])

        assert (body["task"], body["language"], body["duration"]) == ("transcribe", "english", 2.1)
        first, second = body["segments"]
        assert (first["id"], first["start"], first["end"]) == (0, 0.0, 0.9)
        assert (second["id"], second["start"], second["seek"]) == (1, 2.0, 200)
        assert "".join(each["text"] for each in body["segments"]) == body["text"]
        assert round(first["avg_logprob"], 3) == -0.693
        assert second["avg_logprob"] == 0
        assert "words" not in body

    def test_words_if_they_were_asked_for(self) -> None:
        words = ({"text": "Ever", "start_ms": 80, "end_ms": 400},)
        body = json.loads(
            answer("verbose_json", transcript(final("Ever.", words=words)), LANGUAGES)[0]
        )

        assert body["words"] == [{"word": "Ever", "start": 0.08, "end": 0.4}]

    def test_the_language_is_what_most_is_in(self) -> None:
        mixed = transcript(
            final("你"), final("好", 2, language="zh"), final("吗", 3, language="zh")
        )

        assert json.loads(answer("verbose_json", mixed, LANGUAGES)[0])["language"] == "chinese"
        assert json.loads(answer("verbose_json", Transcript(), LANGUAGES)[0])["language"] == ""


class TestEvents:
    def test_are_lines_that_openais_clients_read(self) -> None:
        assert delta_event(" 好\n") == (
            'data: {"type":"transcript.text.delta","delta":" 好\\n"}\n\n'.encode()
        )
        assert done_event(transcript(final("One."))) == (
            b'data: {"type":"transcript.text.done","text":"One."}\n\n'
        )

    def test_a_correction_is_said(self) -> None:
        whole = Transcript()
        for message in (partial("Ever cried"), final("Ever tried.")):
            whole.take(message)

        assert b'"text":"Ever tried.","revised":true' in done_event(whole)

    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            (InvalidAudio("No.", param="file"), "invalid_request_error"),
            (TooManySessions("No."), "rate_limit_error"),
            (ShuttingDown("No."), "server_error"),
        ],
    )
    def test_errors_have_openais_form(self, error: Any, kind: str) -> None:
        body = error_body(error)

        assert body == {
            "error": {"message": "No.", "type": kind, "param": error.param, "code": error.code}
        }
        assert json.loads(error_event(error).removeprefix(b"data: ")) == {"type": "error"} | body
