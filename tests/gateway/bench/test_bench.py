"""Two sessions through a real server, from the command line to the report."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.bench.figures import DESCRIPTIONS
from gateway.cli import app
from tests.conftest import Server


def bench(*arguments: str) -> tuple[int, str]:
    """Exit code, and all that was printed."""
    result = CliRunner().invoke(app, ["bench", *arguments], env={"COLUMNS": "200"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_two_sessions_are_played_measured_and_reported(server: Server, tmp_path: Path) -> None:
    file, html = tmp_path / "report.json", tmp_path / "report.html"

    code, out = bench(
        "--url", server.ws, "--sessions", "2", "--audio", "beckett", "--duration-s", "12",
        "--processes", "2", "--stagger-s", "1", "--chunk-ms", "500",
        "--json", str(file), "--html", str(html),
    )  # fmt: skip

    assert code in (0, 3), out  # 3: void, on a machine that is too busy
    report = json.loads(file.read_text())
    assert report["counts"]["sessions_failed"] == 0, report["counts"]["failures"]
    assert report["counts"]["close_codes"] == {"1000": 2}
    assert report["counts"]["audio_s"] == 24
    assert report["counts"]["finals_missing"] == report["counts"]["messages_missing"] == 0
    assert report["options"]["sessions"] == 2
    for name in ("chunk_to_partial_ms", "final_ms", "first_text_ms", "word_shown_ms"):
        assert 0 < report[name]["p50"] <= report[name]["p95"] <= report[name]["max"] < 10_000, name
        assert name in out
    assert report["words"]["spoken"] >= 24
    assert report["wer"] < 0.3
    _check_page(html.read_text())


def _check_page(html: str) -> None:
    """It needs nothing but itself, and shows every figure."""
    for outside in ("http://", "https://", "src=", "url(", "@import", "<script", "<link"):
        assert outside not in html.replace("http://127.0.0.1", "")
    assert html.count("<svg") == 5
    assert "prefers-color-scheme:dark" in html
    assert all(name in html for name in DESCRIPTIONS)


def test_protocols_take_turns_on_one_server(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "report.json"

    code, out = bench(
        "--url", server.ws, "--sessions", "2", "--audio", "beckett", "--duration-s", "8",
        "--protocol", "openai", "--protocol", "deepgram", "--json", str(file),
    )  # fmt: skip

    assert code in (0, 3), out
    report = json.loads(file.read_text())
    assert report["counts"]["sessions_failed"] == 0, report["counts"]["failures"]
    assert report["counts"]["sessions_without_positions"] == 1
    assert report["word_shown_ms"]["count"] >= report["words"]["spoken"] * 0.7
    assert report["wer"] < 0.3


def test_two_servers_are_compared_in_one_run(server: Server, tmp_path: Path) -> None:
    file, html = tmp_path / "report.json", tmp_path / "report.html"

    code, out = bench(
        "--compare", f"ours={server.ws}", "--compare", "gone=ws://127.0.0.1:9,protocol=whisperlive",
        "--audio", "beckett", "--duration-s", "4", "--chunk-ms", "500", "--steps", "1",
        "--json", str(file), "--html", str(html),
    )  # fmt: skip

    assert code == 0, out
    ours, gone = json.loads(file.read_text())["rows"]
    assert (ours["name"], ours["sessions"]) == ("ours", 1)
    assert ours["report"]["word_shown_ms"]["count"] > 0
    assert "could not be opened" in gone["error"]
    assert "Word latency p95" in html.read_text()


def test_a_search_reports_every_probe(server: Server, tmp_path: Path) -> None:
    file, html = tmp_path / "report.json", tmp_path / "report.html"

    code, out = bench(
        "--url", server.ws, "--find-capacity", "--max-sessions", "2", "--audio", "beckett",
        "--duration-s", "5", "--warm-up-s", "0", "--chunk-ms", "500", "--limit-ms", "8000",
        "--json", str(file), "--html", str(html),
    )  # fmt: skip

    assert code == 0, out
    report = json.loads(file.read_text())
    probes = report["probes"]
    held = {probe["sessions"] for probe in probes if not probe["reasons"]}
    assert {probe["sessions"] for probe in probes} == ({1, 2} if 1 in held else {1})
    for probe in probes:  # a machine that is busy may be too slow for one, but loses nothing
        counts = probe["report"]["counts"]
        assert counts["sessions_failed"] == counts["messages_missing"] == 0, counts["failures"]
        assert f"{probe['sessions']} sessions: {'; '.join(probe['reasons']) or 'fits'}" in out
    assert report["capacity"]["sessions"] == max(held, default=0)
    assert f"capacity: {max(held, default=0)} sessions" in out
    assert "Probes" in html.read_text()


def test_a_private_server_is_started_and_its_cpu_and_memory_measured(tmp_path: Path) -> None:
    file = tmp_path / "report.json"

    code, out = bench(
        "--model", "gateway.bench.doubles:InstantModel", "--duration-s", "3",
        "--chunk-ms", "500", "--json", str(file),
    )  # fmt: skip

    assert code in (0, 3), out
    usage = json.loads(file.read_text())["usage"]
    assert usage["gateway_peak_mb"] > 20
    assert usage["model_peak_mb"] > 10
    assert usage["gateway_cores"] > 0


def test_a_private_server_that_cannot_start_is_a_sentence() -> None:
    code, out = bench("--model", "nobody.knows:This", "--duration-s", "1")

    assert code == 1
    assert "the private server did not start" in out


def test_a_server_that_refuses_is_a_sentence(server: Server) -> None:
    code, out = bench("--url", server.ws, "--chunk-ms", "7", "--duration-s", "1")

    assert code == 1
    assert "a session could not be opened: refused with HTTP 400" in out
    assert "chunk_ms" in out


def test_a_server_that_is_not_there_is_a_sentence() -> None:
    code, out = bench("--url", "ws://127.0.0.1:9", "--duration-s", "1")

    assert code == 1
    assert "a session could not be opened" in out
    assert "Traceback" not in out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--audio", "missing.wav"), "missing.wav"),
        (("--audio", "beckett", "--words", "a", "--words", "b"), "give --words once for each"),
        (("--audio", "beckett", "--reference", "missing.txt"), "missing.txt"),
        (("--mix", "native,audio=missing.wav"), "missing.wav"),
        (("--mix", "native,pace=2"), "--mix takes PROTOCOL"),
        (("--churn-per-min", "0.1", "--hold-s", "1"), "nobody comes"),
    ],
)
def test_wrong_files_are_sentences(arguments: tuple[str, ...], complaint: str) -> None:
    code, out = bench("--url", "ws://127.0.0.1:9", *arguments)

    assert (code, complaint in out) == (1, True)
    assert "Traceback" not in out


@pytest.mark.parametrize(
    "arguments",
    [
        ("--chunk-ms", "soon"),
        ("--server-pid", "1"),
        ("--url", "ws://x", "--model", "m"),
        ("--protocol", "smoke"),
        ("--steps", "1,2"),
        ("--compare", "a=ws://x", "--steps", "none"),
        ("--compare", "a=ws://x", "--url", "ws://y"),
        ("--ramp-s", "5", "--find-capacity"),
        ("--length-s", "5"),
        ("--vanish", "1.5"),
    ],
)
def test_wrong_options_exit_with_2(arguments: tuple[str, ...]) -> None:
    assert bench(*arguments)[0] == 2
