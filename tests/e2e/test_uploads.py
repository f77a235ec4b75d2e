"""Uploaded files with the real model, by clients that people have: openai's package and curl."""

import asyncio
import json
import shutil
import subprocess
import wave
from collections.abc import AsyncIterator, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import openai
import pytest

from engine.segment import StreamOptions
from gateway.audio import decode_file
from tests.conftest import Server
from tests.e2e.dialogue import Offline, converse
from tests.e2e.test_transcribing import words
from tests.media import CODECS, recorded
from tests.speech import pcm16, speech

pytestmark = pytest.mark.timeout(120)

BECKETT = "Ever tried. Ever failed."


@pytest.fixture(scope="module")
def offline() -> Offline:
    return Offline()


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.http}/v1", api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture
async def aclient(server: Server) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=f"{server.http}/v1", api_key="any", max_retries=0
    ) as client:
        yield client


def wav(pcm: bytes, rate: int = 16_000) -> bytes:
    target = BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm)
    return target.getvalue()


def piece(name: str, seconds: float) -> tuple[bytes, int]:
    """The beginning of a recording, as pcm_s16le, and its rate."""
    pcm, rate = pcm16(name)
    return pcm[: 2 * int(seconds * rate)], rate


def text_of(offline: Offline, pcm: bytes, rate: int) -> str:
    return "".join(final.text for final in offline.finals(pcm, rate))


def streamed(client: openai.OpenAI, file: Any, **options: Any) -> tuple[list[str], Any]:
    """All deltas, and the last event."""
    with client.audio.transcriptions.create(
        file=file, model="whisper-1", stream=True, **options
    ) as events:
        *deltas, done = list(events)
    assert {event.type for event in deltas} <= {"transcript.text.delta"}
    assert done.type == "transcript.text.done"
    return [event.delta for event in deltas], done


class TestOpenAi:
    @pytest.mark.parametrize(
        ("name", "seconds"),
        [("two_cities.wav", 11), ("beckett.wav", 1.5), ("beckett.wav", 2.0), ("beckett.wav", 5)],
    )  # fmt: skip
    def test_a_file_says_what_the_model_says_of_it_offline(
        self, client: openai.OpenAI, offline: Offline, name: str, seconds: float
    ) -> None:
        pcm, rate = piece(name, seconds)

        whole = client.audio.transcriptions.create(file=wav(pcm, rate), model="whisper-1")
        deltas, done = streamed(client, wav(pcm, rate))

        assert whole.text == done.text == text_of(offline, pcm, rate)
        assert words(done.text).startswith("ever tried" if "beckett" in name else "it was the best")
        assert words("".join(deltas)) == words(done.text)
        assert "".join(deltas) == done.text or done.revised

    def test_deltas_come_chunk_by_chunk_with_the_right_spaces(self, client: openai.OpenAI) -> None:
        """Never "hoped" + "there" as "hopedthere", nor "cat" + "erpillar"."""
        deltas, _ = streamed(client, wav(*piece("two_cities.wav", 11)))

        assert len(deltas) >= 3
        assert not deltas[0].startswith(" ")
        assert all(delta.startswith(" ") and delta.strip() for delta in deltas[1:])
        assert not any(delta.endswith(" ") for delta in deltas)

    async def test_deltas_come_while_the_file_is_still_processed(
        self, server: Server, aclient: openai.AsyncOpenAI
    ) -> None:
        steps = server.metric("scribewire_steps_total")
        taken = []
        async with await aclient.audio.transcriptions.create(
            file=wav(*piece("two_cities.wav", 14)), model="whisper-1", stream=True
        ) as events:
            async for _ in events:
                taken.append(server.metric("scribewire_steps_total") - steps)

        assert taken[-1] >= 6
        assert taken[0] < taken[-1] / 2

    @pytest.mark.parametrize("kind", CODECS)
    def test_files_are_told_by_content_not_by_name(self, client: openai.OpenAI, kind: str) -> None:
        data = recorded(decode_file(speech("beckett.wav"))[:48_000], kind)

        answer = client.audio.transcriptions.create(file=("voice.xyz", data), model="whisper-1")

        assert words(answer.text).startswith("ever tried")

    def test_text_srt_and_vtt(self, client: openai.OpenAI) -> None:
        def ask(format: Any) -> Any:
            return client.audio.transcriptions.create(
                file=speech("beckett.wav"), model="whisper-1", response_format=format
            )

        text = ask("text")
        assert text.startswith(BECKETT)
        assert text.endswith("\n")
        assert ask("srt").startswith("1\n00:00:00,0")
        assert ask("vtt").startswith("WEBVTT\n\n00:00:00.0")

    def test_verbose_json(self, client: openai.OpenAI) -> None:
        answer = client.audio.transcriptions.create(
            file=speech("beckett.wav"), model="whisper-1", response_format="verbose_json",
            timestamp_granularities=["segment"], language="en", temperature=0, prompt="Beckett",
        )  # fmt: skip

        assert (answer.language, answer.duration) == ("english", 9.963)
        assert answer.segments is not None
        assert len(answer.segments) == 6
        assert "".join(segment.text for segment in answer.segments) == answer.text
        times = [time for segment in answer.segments for time in (segment.start, segment.end)]
        assert times == sorted(times)
        assert times[-1] <= answer.duration
        assert all(-0.6 < segment.avg_logprob < 0 for segment in answer.segments)
        assert answer.usage is not None
        assert answer.usage.seconds == 10

    def test_errors_are_raised_as_what_they_are(self, client: openai.OpenAI) -> None:
        for file in (b"", b"garbage" * 999):
            for stream in (False, True):
                with pytest.raises(openai.BadRequestError) as refusal:
                    client.audio.transcriptions.create(
                        file=("a.wav", file), model="whisper-1", stream=stream
                    )
                assert refusal.value.code == "invalid_audio"
                assert refusal.value.param == "file"

    def test_the_models_are_listed(self, client: openai.OpenAI) -> None:
        assert [model.id for model in client.models.list()] == ["moonshine-tiny-en"]
        assert client.models.retrieve("moonshine-tiny-en").owned_by == "scribewire"

    async def test_many_at_once_say_what_they_say_alone(
        self, aclient: openai.AsyncOpenAI, offline: Offline
    ) -> None:
        pieces = [pcm16("beckett.wav")[0][start * 32_000 :][:128_000] for start in range(4)]

        answers = await asyncio.gather(
            *(
                aclient.audio.transcriptions.create(file=wav(pcm), model="whisper-1")
                for pcm in pieces
            )
        )

        assert [each.text for each in answers] == [text_of(offline, pcm, 16_000) for pcm in pieces]

    async def test_a_live_session_beside_uploads_is_as_it_is_alone(
        self, server: Server, aclient: openai.AsyncOpenAI, offline: Offline
    ) -> None:
        pcm, _ = pcm16("beckett.wav")
        upload = asyncio.create_task(
            aclient.audio.transcriptions.create(file=wav(*piece("two_cities.wav", 20)), model="any")
        )

        dialogue = await converse(server.ws, pcm, speed=6)
        assert "worst of times" in (await upload).text

        assert dialogue.text == text_of(offline, pcm, 16_000)
        assert dialogue.retractions() == 0
        assert not dialogue.of("error")


class TestPrefix:
    """vLLM's and SGLang's extension: the client accumulates, rolls back, and gives the rest."""

    @pytest.mark.parametrize("field", ["prefix", "response_prefix"])
    def test_it_is_forced_and_the_answer_goes_on_behind_it(
        self, client: openai.OpenAI, field: str
    ) -> None:
        prefix = "Ever tried, ever flailed."
        answer = client.audio.transcriptions.create(
            file=speech("beckett.wav"), model="any", extra_body={field: prefix}
        )
        assert words(answer.text).startswith(" no matter try again")

    def test_behind_it_deltas_make_up_the_same(self, client: openai.OpenAI) -> None:
        body = {"prefix": "Ever tried, ever flailed."}
        deltas, done = streamed(client, speech("beckett.wav"), extra_body=body)

        assert words(done.text).startswith(" no matter try again")
        assert words("".join(deltas)) == words(done.text)

    def test_a_client_that_rolls_back_itself_gets_the_whole_text(
        self, client: openai.OpenAI, offline: Offline
    ) -> None:
        pcm, rate = piece("two_cities.wav", 9)
        text = ""
        for seconds in (3, 6, 9):
            known = " ".join(text.split()[:-4])
            answer = client.audio.transcriptions.create(
                file=wav(pcm[: 2 * seconds * rate], rate), model="any",
                extra_body={"prefix": known} if known else {},
            )  # fmt: skip
            text = known + answer.text

        whole = StreamOptions(partials=False, endpoint=0)
        [reference] = offline.finals(pcm, rate, whole)
        assert words(text)[:24] == words(reference.text)[:24]


class TestCurl:
    def curl(self, server: Server, *arguments: str | Path) -> str:
        program = shutil.which("curl")
        if program is None:
            pytest.fail("curl is missing, which this test runs: run `make system`.")
        done = subprocess.run(
            [program, "--silent", "--show-error", "--max-time", "30", *arguments],
            capture_output=True, text=True, timeout=40, check=True,
        )  # fmt: skip
        return done.stdout

    def test_a_file(self, server: Server) -> None:
        answer = self.curl(
            server, f"{server.http}/v1/audio/transcriptions",
            "-F", f"file=@{speech('beckett.wav')}", "-F", "model=whisper-1",
        )  # fmt: skip

        assert json.loads(answer)["text"].startswith(BECKETT)

    def test_a_stream(self, server: Server) -> None:
        answer = self.curl(
            server, "--no-buffer", "--include", f"{server.http}/v1/audio/transcriptions",
            "-F", f"file=@{speech('beckett.wav')}", "-F", "model=whisper-1", "-F", "stream=true",
        )  # fmt: skip

        head, _, body = answer.partition("\n\n")
        assert "content-type: text/event-stream" in head
        *events, last = [line.removeprefix("data: ") for line in body.split("\n\n") if line]
        assert last == "[DONE]"
        parsed = [json.loads(event) for event in events]
        assert parsed[-1]["text"].startswith(BECKETT)
        assert "".join(event["delta"] for event in parsed[:-1]).startswith(BECKETT)

    def test_a_refusal(self, server: Server, tmp_path: Path) -> None:
        empty = tmp_path / "empty.wav"
        empty.touch()
        answer = self.curl(
            server, f"{server.http}/v1/audio/transcriptions",
            "-F", f"file=@{empty}", "-F", "model=whisper-1",
        )  # fmt: skip

        assert json.loads(answer)["error"]["message"].startswith("audio_data is empty")
