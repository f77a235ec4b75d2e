"""P1–P4: the same tokens as transformers' own generate on everything again, whatever is kept."""

from itertools import cycle, pairwise

import numpy as np
import pytest

from engine.guards import repetition_start
from engine.messages import Audio, SegmentKey
from engine.models.qwen3_asr.incremental import Request, Reuse, Transcriber
from engine.models.qwen3_asr.kv import PoolExhaustedError
from tests.engine.models.qwen3_asr.reference import (
    Pair,
    digits_in_two_languages,
    digits_pair,
    random_pair,
    sounds,
    two_cities,
)

pytestmark = pytest.mark.timeout(180)

SECONDS = (0.3, 0.5, 0.7, 2, 4, 6, 7.99, 8, 8.02, 10, 12, 14, 16, 16.3, 20, 24, 26, 28)


CHECKPOINTS = {
    "random weights": (random_pair, two_cities),
    "digits": (digits_pair, digits_in_two_languages),
}


@pytest.fixture(scope="module", params=CHECKPOINTS)
def checkpoint(request: pytest.FixtureRequest) -> tuple[Pair, dict[str, Audio]]:
    model, recording = CHECKPOINTS[request.param]
    return model(), sounds(recording())


random_weights = pytest.mark.parametrize("checkpoint", ["random weights"], indirect=True)
"""For what does not depend on what the model writes."""


@pytest.fixture(scope="module")
def pair(checkpoint: tuple[Pair, dict[str, Audio]]) -> Pair:
    return checkpoint[0]


@pytest.fixture(scope="module")
def audio(checkpoint: tuple[Pair, dict[str, Audio]]) -> dict[str, Audio]:
    return checkpoint[1]


def written(transcriber: Transcriber, request: Request) -> list[int]:
    [done] = transcriber.step([request])
    return done.tokens[len(request.forced) :]


def assert_same(found: list[int], request: Request, wanted: list[int]) -> None:
    """The repetition guard may cut a step short; as far as it goes all is the same."""
    assert found == wanted[: len(found)]
    if found != wanted:
        written = [[*request.forced, *wanted[: n + 1]] for n in range(len(wanted))]
        assert any(repetition_start(tokens) is not None for tokens in written)


@pytest.mark.parametrize("name", ["speech", "louder", "silence", "noise"])
def test_every_chunk_gives_what_everything_again_gives(
    pair: Pair, audio: dict[str, Audio], name: str
) -> None:
    """P1, P4: with drafts that are right, wrong and empty in turn."""
    transcriber, random = pair.transcriber(), np.random.default_rng(3)
    previous: list[int] = []
    compared = 0
    for seconds, drafts in zip(SECONDS, cycle(["right", "wrong", "none", "right"]), strict=False):
        kept = int(random.integers(0, min(len(previous), pair.most_forced) + 1))
        forced, draft = previous[:kept], previous[kept:]
        if drafts == "wrong":
            draft = random.integers(0, pair.vocabulary - 1, 6).tolist()
        request = pair.request(
            audio[name][: int(seconds * 16_000)], forced, () if drafts == "none" else draft
        )
        found, wanted = written(transcriber, request), pair.generate(request)
        assert_same(found, request, wanted)
        compared += len(found)
        previous = [*forced, *wanted]
    assert compared > len(SECONDS)


def test_a_draft_of_what_the_model_writes_is_kept_whole(
    pair: Pair, audio: dict[str, Audio]
) -> None:
    for seconds in (2, 9, 20):
        clip = audio["speech"][: seconds * 16_000]
        request = pair.request(clip)
        alone = pair.transcriber()
        tokens = written(alone, request)
        passes = alone.meter.total.decode_steps

        drafted = pair.transcriber()
        [done] = drafted.step([pair.request(clip, (), tokens)])

        assert done.tokens == tokens
        assert done.accepted == min(len(tokens), pair.new_tokens - 1), "the last ends the step"
        assert drafted.meter.total.decode_steps <= 1 < passes


@pytest.mark.parametrize("size", [1, 2, 5, 16])
def test_batches_and_evictions_change_nothing(
    pair: Pair, audio: dict[str, Audio], size: int
) -> None:
    """P2, P3: segments of unequal length together, caches dropped at random, a small pool."""
    random = np.random.default_rng(size)
    roomy, tight = pair.transcriber(16_000), pair.transcriber(1200)
    names = sorted(audio)
    previous: dict[int, list[int]] = {i: [] for i in range(size)}
    for turn in range(6):
        requests = []
        for i in range(size):
            length = int(16_000 * min(28, 0.3 + turn * 4.1 + i * 0.37))
            kept = int(random.integers(0, 5))
            forced, draft = previous[i][:kept], previous[i][kept:]
            clip = audio[names[i % len(names)]][:length]
            requests.append(pair.request(clip, forced, draft, name=f"s{i}"))
        if turn % 2:
            tight.forget(SegmentKey(f"s{random.integers(size)}", 1))
        together = [done.tokens for done in roomy.step(requests)]
        crowded = [done.tokens for done in tight.step(requests)]
        alone = [pair.transcriber().step([request])[0].tokens for request in requests]
        assert together == alone
        assert crowded == alone
        previous = dict(enumerate(alone))
    if size == 16:
        assert tight.meter.total.evictions > 0


def test_a_final_may_end_before_the_last_partial_did(pair: Pair, audio: dict[str, Audio]) -> None:
    transcriber = pair.transcriber()
    for seconds in (9.0, 17.5, 16.02, 15.9, 7.8, 8.0, 24.5, 23.9):
        request = pair.request(audio["louder"][: int(seconds * 16_000)])
        assert_same(written(transcriber, request), request, pair.generate(request))


@random_weights
def test_another_context_is_read_anew(pair: Pair, audio: dict[str, Audio]) -> None:
    transcriber = pair.transcriber()
    for head in (pair.head, (5, 6, 7), pair.head, (5, 6, 7, 8)):
        request = pair.request(audio["speech"][: 17 * 16_000], head=head)
        assert_same(written(transcriber, request), request, pair.generate(request))


@random_weights
@pytest.mark.parametrize("reuse", [Reuse(False, False), Reuse(True, False)])
def test_keeping_less_gives_the_same(pair: Pair, audio: dict[str, Audio], reuse: Reuse) -> None:
    everything, less = pair.transcriber(), pair.transcriber(reuse=reuse)
    for seconds in (2, 8.5, 10, 18):
        request = pair.request(audio["louder"][: int(seconds * 16_000)])
        assert written(everything, request) == written(less, request)
    assert everything.meter.total.flops < less.meter.total.flops


@random_weights
def test_fixed_batch_sizes_change_nothing(pair: Pair, audio: dict[str, Audio]) -> None:
    """Rows that fill up a bucket write where nobody reads; without a GPU nothing is captured."""
    plain, bucketed = pair.transcriber(16_000), pair.transcriber(16_000, graphs=True)
    for turn in range(3):
        requests = [
            pair.request(audio["speech"][: 16_000 + 50_000 * (turn + i)], name=f"s{i}")
            for i in range(5)
        ]
        wanted = [done.tokens for done in plain.step(requests)]
        assert [done.tokens for done in bucketed.step(requests)] == wanted
    assert plain.meter.snapshot().flops == bucketed.meter.snapshot().flops


@random_weights
def test_only_new_audio_is_paid_for(pair: Pair, audio: dict[str, Audio]) -> None:
    transcriber = pair.transcriber()
    costs = []
    for seconds in (16.5, 18.5, 20.5, 22.5):
        before = transcriber.meter.snapshot()
        transcriber.step([pair.request(audio["noise"][: int(seconds * 16_000)])])
        costs.append(transcriber.meter.total.since(before))

    # The third window is open: its frames alone are encoded, and its tokens alone prefilled.
    assert [cost.encoder_frames for cost in costs[1:]] == [250, 450, 650]
    for earlier, later in pairwise(costs[1:]):
        assert later.prefill_tokens - earlier.prefill_tokens == 26
    assert costs[1].prefill_tokens < 33 + len(pair.tail) + 1


@random_weights
def test_a_louder_sound_renews_only_the_windows_it_changes(pair: Pair) -> None:
    """A window of loud noise has nothing near the floor; one with digital silence has."""
    random = np.random.default_rng(0)
    noise = random.normal(0, 0.05, 26 * 16_000).astype(np.float32)
    noise[9 * 16_000 : 10 * 16_000] = 0
    noise[25 * 16_000 :] *= 1.3
    transcriber = pair.transcriber()
    transcriber.step([pair.request(noise[: 24 * 16_000 + 8000])])
    before = transcriber.meter.snapshot()

    request = pair.request(noise)
    assert_same(written(transcriber, request), request, pair.generate(request))

    # Windows 1 (with silence) and the open one; not windows 0 and 2.
    assert transcriber.meter.total.since(before).encoder_frames == 800 + 200


@random_weights
def test_nothing_is_left_behind(pair: Pair, audio: dict[str, Audio]) -> None:
    transcriber = pair.transcriber()
    for i in range(5):
        transcriber.step([pair.request(audio["speech"][: 40_000 * (i + 1)], name=f"s{i}")])
    for i in range(5):
        transcriber.forget(SegmentKey(f"s{i}", 1))

    assert transcriber.pool.used_pages == 0


@random_weights
def test_a_pool_too_small_for_one_segment_says_so(pair: Pair, audio: dict[str, Audio]) -> None:
    with pytest.raises(PoolExhaustedError):
        pair.transcriber(100).step([pair.request(audio["speech"])])
