"""The cost meter's script: four ways to the same text, and what each saves."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.models.qwen3_asr import bench
from engine.models.qwen3_asr.bench_script import (
    COLD_CHUNKS,
    END,
    GRID_S,
    ROLLBACK_TOKENS,
    Script,
    ScriptedGreedy,
    speech_like,
)
from engine.models.qwen3_asr.shapes import SHAPES

BARE = """
import sys
MISSING = {"msgpack", "structlog", "onnxruntime", "soxr", "gateway"}
class Bare:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in MISSING:
            raise ModuleNotFoundError(name)
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *args: None if name in MISSING else find(name, *args)
sys.meta_path.insert(0, Bare())
from engine.models.qwen3_asr.bench import main
main(["--shapes", "tiny", "--segment", "2", "--modes", "d", "--json", sys.argv[1]])
"""


def found(path: Path, *more: str) -> dict[str, dict[str, float]]:
    """Rows by mode of a run over whole segments."""
    bench.main(["--json", str(path / "found.json"), *more])
    rows = json.loads((path / "found.json").read_text())["rows"]
    return {row["mode"]: row for row in rows}


@pytest.fixture(scope="module")
def quarter(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, float]]:
    return found(tmp_path_factory.mktemp("bench"), "--shapes", "quarter", "--count")


def test_all_modes_go_different_ways_to_the_same(quarter: dict[str, dict[str, float]]) -> None:
    assert list(quarter) == ["a", "b", "c", "d"]
    assert len({row["tokens_checksum"] for row in quarter.values()}) == 1
    for row in quarter.values():
        assert row["choices_equal"] == 1, "what the weights themselves would have written"
        assert row["log_probability_error"] < 1e-4
    frames, prefilled, flops = (
        [quarter[mode][name] for mode in "abcd"]
        for name in ("encoder_frames", "prefill_tokens", "flops")
    )
    assert frames[0] > 2 * frames[1] == 2 * frames[2] == 2 * frames[3]
    assert prefilled[0] == prefilled[1] > 2 * prefilled[2]
    assert flops[0] > flops[1] > flops[2]


def test_cost_of_the_whole_against_the_seeds(quarter: dict[str, dict[str, float]]) -> None:
    """Issue 4: at most 0.45 of the operations, 0.7 of the sequential steps."""
    seed, ours = quarter["a"], quarter["d"]
    assert ours["flops"] <= 0.45 * seed["flops"]
    assert ours["decode_steps"] <= 0.7 * seed["decode_steps"]
    assert ours["flops_largest_chunk"] <= 0.4 * seed["flops_largest_chunk"]


def test_drafts_cost_next_to_nothing_and_save_passes(quarter: dict[str, dict[str, float]]) -> None:
    without, drafted = quarter["c"], quarter["d"]
    # A refused token, and those behind it, are computed twice.
    assert without["flops"] < drafted["flops"] < 1.02 * without["flops"]
    assert 4 < drafted["accepted"] < ROLLBACK_TOKENS
    saved = without["decode_steps"] - drafted["decode_steps"]
    assert saved == pytest.approx(drafted["accepted"])


def test_a_staggered_batch_costs_what_its_segments_cost_alone(tmp_path: Path) -> None:
    """Each moment has segments of other ages; over all moments each was every age once."""
    shared = ("--shapes", "tiny", "--segment", "12", "--modes", "a,d")
    alone = found(tmp_path, *shared)
    together = found(tmp_path, *shared, "--batch", "5", "--together", "3", "--sample", "2")
    assert together["a"]["measured_segments"] == 2
    for mode, row in together.items():
        for name in ("flops", "encoder_frames", "prefill_tokens", "decode_steps"):
            assert row[name] == pytest.approx(alone[mode][name])
        assert row["step_s_p95"] >= row["step_s_p50"] > 0
        assert row["realtime"] is (row["step_s_p95"] < 2), "a chunk's seconds"
        assert row["choices_equal"] == 1
    steps = alone["d"]["decode_steps"]
    assert 2 * steps <= together["d"]["passes"] <= 3 * steps, "two steps, as long as their slowest"


def test_files_and_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("plot.svg", "plot.html"):
        bench.main(
            [
                *("--shapes", "tiny", "--segment", "4", "--modes", "a,d", "--ceilings"),
                *("--json", str(tmp_path / "found.json"), "--plot", str(tmp_path / name)),
            ]
        )
    result = json.loads((tmp_path / "found.json").read_text())
    assert set(result) == {"rows", "floor_flops", "machine", "args"}
    assert result["machine"]["matrix_flops_per_s"] > 1e9
    assert {"mode", "batch", "segment_s", "chunk_s", "flops", "seconds", "decode_steps"} <= set(
        result["rows"][0]
    )
    assert 0 < result["rows"][0]["matrix_share"] < 1
    assert (tmp_path / "plot.svg").read_text().startswith("<svg ")
    assert "http" not in (tmp_path / "plot.html").read_text().replace("http://www.w3.org", "")
    shown = capsys.readouterr().out
    assert "| d |" in shown
    assert "(1.00)" in shown


def test_an_unknown_mode_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        bench.main(["--modes", "a,e"])
    assert "--modes" in capsys.readouterr().err


@pytest.mark.timeout(180)  # torch and transformers anew, in a fresh environment compiled first
def test_nothing_is_imported_that_a_bare_gpu_machine_lacks(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", BARE, str(tmp_path / "found.json")], check=True)
    assert json.loads((tmp_path / "found.json").read_text())["rows"]


# The script


def test_lengths_and_rollback_are_the_papers() -> None:
    script = Script(28, 2, 0, 1, end=False)
    audio = speech_like(28, 0, 1)
    assert [len(each) for each in script.hypotheses] == [3 + 7 * i for i in range(1, 15)]
    for chunk, before in enumerate([[], *script.hypotheses[:-1]]):
        request = script.request(("one", 1), audio, chunk, drafts=True)
        assert len(request.audio) == (chunk + 1) * 32_000
        assert [*request.forced, *request.draft] == before
        assert len(request.forced) == (0 if chunk < COLD_CHUNKS else len(before) - ROLLBACK_TOKENS)
        assert list(request.forced) == script.hypotheses[chunk][: len(request.forced)]
        assert not script.request(("one", 1), audio, chunk, drafts=False).draft


def test_steps_are_on_the_engines_clock() -> None:
    script = Script(28, 2, GRID_S, 1, end=False)
    assert script.ends_s[:2] == pytest.approx([2.016, 4.032])
    assert script.ends_s[-1] == 28
    assert len(script.ends_s) == 14


@pytest.mark.parametrize("end", [False, True])
def test_decisions_are_the_scripts(end: bool) -> None:
    """Also with refused drafts, whatever the weights say; with an end token if one is wanted."""
    script = Script(12, 2, 0, 1, end=end)
    for chunk, wanted in enumerate(script.hypotheses):
        request = script.request(("one", 1), speech_like(12, 0, 1), chunk, drafts=True)
        greedy = ScriptedGreedy(
            request.forced, request.draft, request.budget, request.ends, script=script
        )
        while greedy.stop is None:
            proposal = greedy.proposal()
            greedy.decide(proposal, [END] * (len(proposal) + 1), [-1.0] * (len(proposal) + 1))
        assert greedy.tokens == wanted
        assert greedy.stop == ("eos" if end else "budget")
        decided = len(wanted) - len(request.forced) + end
        assert len(greedy.chosen) == len(greedy.log_probabilities) == decided
        assert greedy.passes == decided - greedy.accepted


def test_floor_is_below_everything_and_grows_with_the_shapes() -> None:
    script = Script(28, 2, GRID_S, 1, end=False)
    floors = [bench.floor_flops(shapes, script) for shapes in SHAPES]
    assert floors == sorted(floors)
    assert floors[2] == pytest.approx(52e9, rel=0.02), "of the 0.6B"


def test_louder_audio_makes_windows_be_encoded_again(tmp_path: Path) -> None:
    shared = ("--shapes", "tiny", "--count", "--modes", "d")
    quiet, louder = found(tmp_path, *shared), found(tmp_path, *shared, "--rise", "17")
    assert louder["d"]["encoder_frames"] > 1.5 * quiet["d"]["encoder_frames"]
    assert louder["d"]["tokens_checksum"] == quiet["d"]["tokens_checksum"]
