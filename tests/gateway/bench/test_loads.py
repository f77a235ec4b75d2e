"""Loads that change over time, and mixed ones, from the command line through a real server."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.bench import course
from gateway.settings import Settings
from tests.assets.digits_checkpoint import CHECKPOINT
from tests.assets.speech_synthesis import say
from tests.conftest import QUICK_MODEL, Server, serving
from tests.e2e.test_uploads import wav
from tests.gateway.bench.test_bench import bench

PLACES = 12


@pytest.fixture(scope="module")
def narrow() -> Iterator[Server]:
    """Has few places; its model is a double that writes a word a second."""
    settings = Settings(port=0, runner="thread", model=QUICK_MODEL, max_sessions=PLACES,
                        resume_window_s=3)  # fmt: skip
    with serving(settings) as running:
        yield running


def played(folder: Path, *arguments: str) -> tuple[dict[str, Any], str, str]:
    """Report, page and what was printed."""
    file, html = folder / "report.json", folder / "report.html"
    code, out = bench(*arguments, "--json", str(file), "--html", str(html))
    assert code in (0, 3), out  # 3: void, on a machine that is too busy
    return json.loads(file.read_text()), html.read_text(), out


def test_a_ramp_tells_how_many_the_server_held(
    narrow: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is sent late, as beside other tests it may be, would be no more the server's fault.
    monkeypatch.setattr(course, "LATE", course.LATE._replace(most_ms=9000))
    report, page, out = played(
        tmp_path, "--url", narrow.ws, "--sessions", "20", "--ramp-s", "6", "--hold-s", "2",
        "--limit-ms", "9000",
    )  # fmt: skip

    held = report["held"]
    assert 1 <= held["sessions"] <= PLACES
    assert held["broke_sessions"] <= PLACES
    assert any("refused" in reason for reason in held["reasons"])
    assert report["counts"]["sessions"] == 20
    assert report["counts"]["sessions_refused"] >= 4
    assert report["counts"]["sessions_failed"] == 0
    assert report["course"][0]["sessions"] < report["course"][2]["sessions"]
    assert f"held {held['sessions']} sessions" in out
    assert f"Held {held['sessions']} sessions" in page
    assert "Latency by sessions at the time" in page


def test_a_soak_replaces_sessions_and_compares_its_ends(narrow: Server, tmp_path: Path) -> None:
    report, page, out = played(
        tmp_path, "--url", narrow.ws, "--sessions", "2", "--soak-h", "0.0025", "--length-s", "2",
        "--fixed-length", "--stagger-s", "1",
    )  # fmt: skip

    counts = report["counts"]
    assert counts["sessions"] >= 8
    assert counts["sessions_refused"] == counts["sessions_failed"] == 0
    assert counts["finals_missing"] == counts["messages_missing"] == 0
    assert report["trend"]["first"]["began"] >= 2
    assert "The first and the last tenth" in page
    assert "The first and the last tenth" in out


def test_sessions_come_vanish_and_come_back(narrow: Server, tmp_path: Path) -> None:
    report, page, out = played(
        tmp_path, "--url", narrow.ws, "--churn-per-min", "100", "--hold-s", "7", "--length-s", "2",
        "--fixed-length", "--vanish", "0.3", "--resume", "0.3", "--seed", "6",
        "--mix", "native,audio=beckett,language=en,weight=3", "--mix", "deepgram,audio=beckett",
        "--mix", "openai,audio=beckett",
    )  # fmt: skip

    counts = report["counts"]
    assert [kind["sessions"] for kind in report["kinds"]] == [7, 2, 2]
    assert counts["sessions"] == 11
    assert counts["sessions_vanished"] == 2
    assert counts["sessions_resumed"] == report["resume_ms"]["count"] == 3
    assert counts["sessions_resumed_from_nothing"] == 0
    assert counts["sessions_failed"] == 0, counts["failures"]
    assert counts["finals_missing"] == counts["messages_missing"] == 0
    assert 0 < report["connect_ms"]["p50"] <= report["connect_ms"]["p95"]
    names = ["native beckett en", "deepgram beckett", "openai beckett"]
    assert [kind["name"] for kind in report["kinds"]] == names
    assert all(name in page for name in names)
    assert "Kinds of sessions" in out


def test_the_server_that_is_not_there_is_noticed_at_once(tmp_path: Path) -> None:
    code, out = bench("--url", "ws://127.0.0.1:9", "--ramp-s", "60", "--sessions", "5")

    assert (code, "a session could not be opened" in out) == (1, True)


@pytest.mark.timeout(300)
@pytest.mark.xdist_group("qwen3-asr")
def test_languages_are_mixed_over_protocols(tmp_path: Path) -> None:
    said = {
        "en": ("one two three four five", "English"),
        "zh": ("一二三四五六七", "Chinese"),
    }
    mix: list[str] = []
    for protocol, (code, (text, language)) in zip(
        ("native", "deepgram"), said.items(), strict=True
    ):
        samples = np.zeros(5 * 16_000, np.float32)
        speech = say(text, voice="f2", speed=150, language=language)
        samples[8000 : 8000 + len(speech)] = speech
        audio, reference = tmp_path / f"{code}.wav", tmp_path / f"{code}.txt"
        audio.write_bytes(wav(np.rint(samples * 32_767).astype("<i2").tobytes()))
        reference.write_text(text)
        mix += ["--mix", f"{protocol},audio={audio},language={code},reference={reference}"]

    with serving(Settings(port=0, model=str(CHECKPOINT), device="cpu")) as server:
        report, _, _ = played(tmp_path, "--url", server.ws, "--sessions", "2", *mix)

    english, chinese = report["kinds"]
    assert (english["name"], chinese["name"]) == ("native en.wav en", "deepgram zh.wav zh")
    assert english["wer"] <= 0.2
    assert chinese["wer"] <= 0.2
