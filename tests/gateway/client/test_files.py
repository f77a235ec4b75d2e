"""Files through a scripted server: what goes to stdout, to files and to the screen."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from rich.console import Console

from gateway.client.files import Job, transcribe_files
from tests.gateway.client.peer import Peer, peer

SAMPLES = np.array([0.0, 0.5, -0.5, 1.0, -1.0] * 400, np.float32)


class Terminal:
    """Runs jobs, and keeps what was written."""

    def __init__(self, *, interactive: bool = False) -> None:
        self.stdout = StringIO()
        self.screen = StringIO()
        self.console = Console(
            file=self.screen, force_terminal=interactive, width=100, highlight=False
        )

    async def run(self, job: Job, url: str) -> bool:
        return await transcribe_files(job, url, stdout=self.stdout, stderr=self.console)


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    path = tmp_path / "talk.wav"
    soundfile.write(path, SAMPLES, 16_000, subtype="FLOAT")
    return path


async def talk(server: Peer) -> None:
    await server.ready()
    await server.hear_all()
    await server.say("partial", segment=1, stable="Zwei", unstable=" Bärte\x1b[31m", end_ms=60)
    await server.say("confirmed", samples=800)
    await server.final(1, "Zwei Bären,", 1000)
    await server.final(2, " drei.", 2000)
    await server.done()


VTT = (
    "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nZwei Bären,\n\n00:00:01.000 --> 00:00:02.000\ndrei.\n"
)


async def test_the_text_goes_to_stdout_and_nothing_else_does(wav: Path) -> None:
    terminal = Terminal(interactive=True)

    async with peer(talk) as url:
        assert await terminal.run(Job([wav]), url)

    assert terminal.stdout.getvalue() == "Zwei Bären, drei.\n"
    assert "talk.wav" in terminal.screen.getvalue()
    assert "\x1b[31m" not in terminal.screen.getvalue()


async def test_without_a_terminal_there_is_no_progress(wav: Path) -> None:
    terminal = Terminal()

    async with peer(talk) as url:
        assert await terminal.run(Job([wav]), url)

    assert terminal.screen.getvalue() == ""


async def test_the_samples_arrive_as_16_bit_with_the_options(wav: Path) -> None:
    heard: list[dict[str, Any]] = []
    paths: list[str] = []

    async def script(server: Peer) -> None:
        paths.append(server.path)
        await server.ready()
        heard.extend(await server.hear_all())
        await server.done()

    async with peer(script) as url:
        assert await Terminal().run(Job([wav], options={"language": "de", "chunk_ms": None}), url)

    pcm = b"".join(each["pcm"] for each in heard[:-1])
    expected = [0, 16_384, -16_384, 32_767, -32_768] * 400
    assert np.frombuffer(pcm, "<i2").tolist() == expected
    assert paths == ["/v1/stream?language=de&encoding=pcm_s16le&sample_rate=16000"]


async def test_every_format_is_written(wav: Path) -> None:
    written = {}
    async with peer(talk) as url:
        for format in ("json", "srt", "vtt"):
            terminal = Terminal()
            assert await terminal.run(Job([wav], format), url)
            written[format] = terminal.stdout.getvalue()

    assert written["vtt"] == VTT
    assert written["srt"].startswith("1\n00:00:00,000 --> 00:00:01,000\nZwei Bären,\n\n2\n")
    assert written["json"].endswith("}\n")
    assert json.loads(written["json"]) == {
        "file": str(wav),
        "text": "Zwei Bären, drei.",
        "segments": [
            {"text": "Zwei Bären,", "start_ms": 0, "end_ms": 1000},
            {"text": " drei.", "start_ms": 1000, "end_ms": 2000},
        ],
    }


async def test_several_files_get_headers_and_json_gets_lines(wav: Path) -> None:
    text, lines = Terminal(), Terminal()

    async with peer(talk) as url:
        assert await text.run(Job([wav, wav]), url)
        assert await lines.run(Job([wav, wav], "json"), url)

    assert text.stdout.getvalue() == "Zwei Bären, drei.\n" * 2
    assert text.screen.getvalue() == f"==> {wav} <==\n" * 2
    assert len([json.loads(line) for line in lines.stdout.getvalue().splitlines()]) == 2
    assert lines.screen.getvalue() == ""


async def test_files_of_the_same_name_do_not_overwrite_each_other(
    wav: Path, tmp_path: Path
) -> None:
    terminal, target = Terminal(), tmp_path / "new" / "dir"

    async with peer(talk) as url:
        assert await terminal.run(Job([wav, wav, wav], "vtt", target), url)

    assert {path.name for path in target.iterdir()} == {"talk.vtt", "talk-2.vtt", "talk-3.vtt"}
    assert all(path.read_text("utf-8") == VTT for path in target.iterdir())
    assert terminal.stdout.getvalue() == ""


async def test_one_bad_file_is_a_sentence_and_the_others_are_done(
    wav: Path, tmp_path: Path
) -> None:
    noise = tmp_path / "notes.txt"
    noise.write_text("not audio at all")
    missing = tmp_path / "missing.wav"
    terminal = Terminal()

    async with peer(talk) as url:
        assert not await terminal.run(Job([missing, noise, tmp_path, wav]), url)

    complaints = terminal.screen.getvalue().splitlines()
    assert complaints[0] == f"{missing}: No such file or directory: check the path."
    assert complaints[1].startswith(f"{noise}: The file is not audio, or damaged: send ")
    assert complaints[2] == f"{tmp_path}: Is a directory: check the path."
    assert terminal.stdout.getvalue() == "Zwei Bären, drei.\n"


async def test_a_place_that_cannot_be_written_to_is_a_sentence(wav: Path) -> None:
    terminal = Terminal()

    async with peer(talk) as url:
        assert not await terminal.run(Job([wav], output_dir=wav), url)

    assert terminal.screen.getvalue() == f"{wav}: File exists: check the path.\n"


async def test_a_refusal_and_a_warning_are_sentences(wav: Path) -> None:
    async def script(server: Peer) -> None:
        await server.ready()
        await server.hear_all()
        await server.say("warning", code="clipped", message="Too loud.\x1b[2J")
        await server.done()

    terminal = Terminal()
    async with peer(script) as url:
        assert await terminal.run(Job([wav]), url)

    assert terminal.screen.getvalue() == f"{wav}: Too loud. [2J\n"


async def test_a_server_that_is_not_there_is_a_sentence(wav: Path, unused_tcp_port: int) -> None:
    terminal = Terminal()

    assert not await terminal.run(Job([wav]), f"ws://127.0.0.1:{unused_tcp_port}")

    assert terminal.screen.getvalue() == (
        f"{wav}: No server answers at ws://127.0.0.1:{unused_tcp_port}/v1/stream: "
        "check the address, and that it is running.\n"
    )
