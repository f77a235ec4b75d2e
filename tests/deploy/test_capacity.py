"""The simulation behind CAPACITY.md obeys what holds for any queue, and its tables stand there."""

import gzip
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.capacity import inputs, scenarios, talk
from deploy.capacity.__main__ import assumptions, read_arguments, renewed
from deploy.capacity.copies import Constant, Embedded, OnGpu, Work
from deploy.capacity.day import DAY_S, Cell, Visits, simulate
from deploy.capacity.inputs import Traffic
from deploy.capacity.sizing import (
    Assumptions,
    erlang_b,
    gateways,
    gpus,
    load_for,
    over_cdn,
    sessions_per_gpu,
)
from deploy.capacity.steps import Pool
from engine.models.qwen3_asr.arithmetic import segment_cost
from gateway.segments import playlist

CAPACITY = Path(__file__).parents[2] / "deploy" / "CAPACITY.md"
TICK_S = 0.02
seeds = st.integers(0, 2**32 - 1)


def talking(model: Constant, copies: int, sessions: int, seed: int, seconds: float = 30) -> Pool:
    rng, pool = np.random.default_rng(seed), Pool(model, copies, seed)
    for _ in range(sessions):
        pool.speak(talk.speech(rng, 0.0, seconds, 0.7))
    return pool


class TestSteps:
    @given(seeds)
    def test_nobody_waits_where_there_is_ample_capacity(self, seed: int) -> None:
        outcome = talking(Constant(0.01, lanes=100), 1, 20, seed).run(60)

        assert outcome.begun == outcome.finished > 0
        assert max(outcome.waited) <= 0.01 + 1e-6
        assert max(outcome.final) <= TICK_S
        # A pause may put a partial off; the first behind a cut has what was carried over.
        assert np.percentile(outcome.cadence, 95) <= 2.0 + talk.ENDPOINT_S
        assert max(outcome.cadence) <= talk.CUT_WINDOW_S + 0.2

    @given(seeds, st.floats(0.01, 0.5), st.integers(1, 3), st.floats(1, 60))
    @settings(max_examples=25)
    def test_each_segment_is_finished_or_waits(
        self, seed: int, step_s: float, copies: int, until: float
    ) -> None:
        pool = talking(Constant(step_s), copies, 10, seed)
        outcome = pool.run(until)

        assert outcome.begun == outcome.finished + pool.unfinished

    @given(seeds, st.floats(0, 40), st.floats(0, 40), st.floats(0, 40))
    @settings(max_examples=25)
    def test_no_segment_is_lost_whatever_befalls_copies_and_gateways(
        self, seed: int, lost: float, drained: float, cut: float
    ) -> None:
        pool = talking(Constant(0.05, max_batch=8), 3, 20, seed)
        pool.lose_copy(0, lost, found_s=2.0, back_s=8.0)
        pool.drain_copy(1, drained, within_s=5.0)
        pool.lose_gateway(0.5, cut, backoff_s=1.0, per_s=50.0)
        outcome = pool.run(300)

        assert outcome.begun == outcome.finished
        assert pool.unfinished == 0

    @given(seeds, st.integers(1, 4))
    @settings(max_examples=8)
    def test_more_copies_are_never_worse(self, seed: int, copies: int) -> None:
        """On average: which steps are in flight when somebody stops speaking is chance, and alone
        has moved the mean wait for one load's finals by 20 ms."""

        def waits(many: int) -> tuple[float, float]:
            loads = [talking(Constant(0.25), many, 20, seed + i).run(90) for i in range(4)]
            return (
                float(np.mean([wait for load in loads for wait in load.waited])),
                float(np.mean([wait for load in loads for wait in load.final])),
            )

        few, more = waits(copies), waits(copies + 1)

        assert more[0] <= few[0] + TICK_S
        assert more[1] <= few[1] + TICK_S

    @given(seeds)
    @settings(max_examples=5)
    def test_a_seed_says_all(self, seed: int) -> None:
        one, other = (talking(Constant(0.2), 2, 10, seed).run(60) for _ in range(2))

        assert one == other

    @pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
    def test_a_queue_of_finals_waits_as_the_closed_form_says(self, load: float) -> None:
        """Poisson arrivals at one server of constant time (M/D/1): load · time / 2 (1 - load)."""
        step_s, arrivals = 0.5, 6000
        rng, pool = np.random.default_rng(7), Pool(Constant(step_s), 1, pacing=False)
        clock = 0.0
        for _ in range(arrivals):
            clock += rng.exponential(step_s / load)
            end = clock + 0.7  # too short for a partial: the final is its only step
            pool.speak([talk.Segment(clock, end, end - talk.SPECULATE_S + talk.ENDPOINT_S)])
        outcome = pool.run(clock + 1000)

        silence = talk.ENDPOINT_S - talk.SPECULATE_S
        waited = np.mean(outcome.final) + silence - step_s
        assert outcome.finished == arrivals
        assert waited == pytest.approx(load * step_s / 2 / (1 - load), rel=0.12, abs=0.02)

    def test_a_segment_that_moves_costs_all_of_it_again(self) -> None:
        copy = OnGpu(inputs.LOW, inputs.SMALL)
        warm, cold = (copy.seconds([Work(28.0, False, each)], 0) for each in (False, True))

        assert cold > warm + 2e-3

    def test_copies_that_batch_are_at_work_all_the_time_and_need_little_of_it(self) -> None:
        outcome, _ = scenarios.batched(200)
        steps = sum(outcome.steps.values())
        row_s, batch_s = inputs.BATCHED_ROW_S, inputs.BATCHED_FIXED_S
        cell = Cell(row_s, batch_s, steps / scenarios.BATCHED_S / 200, duty=1.0)

        needed = outcome.needed_s / scenarios.BATCHED_S
        assert outcome.busy_s / scenarios.BATCHED_S > 0.95
        assert needed == pytest.approx(cell.load(200, 1), rel=0.15)
        assert needed < 0.3

    def test_the_day_takes_steps_of_the_embedded_model_as_long_as_they_are(self) -> None:
        outcome = scenarios.embedded_load(20, Traffic())

        assert outcome.busy_s / outcome.batches / 2 == pytest.approx(
            scenarios.EMBEDDED_STEP_S, rel=0.05
        )


class TestTalk:
    @given(seeds, st.floats(0.3, 0.95))
    def test_segments_follow_each_other_and_none_is_too_long(self, seed: int, duty: float) -> None:
        segments = talk.speech(np.random.default_rng(seed), 0.0, 300.0, duty)

        for one, other in pairwise(segments):
            assert one.end <= other.start + 1e-9
        for each in segments:
            assert each.start < each.end <= each.known
            assert each.end - each.start <= talk.LONGEST_S + talk.SPECULATE_S
            assert all(each.start < pause.begun < each.end for pause in each.pauses)

    def test_people_speak_for_the_share_of_time_that_was_asked_for(self) -> None:
        rng = np.random.default_rng(1)
        said = [s for _ in range(100) for s in talk.speech(rng, 0.0, 300.0, 0.7)]

        share = sum(segment.known - segment.start for segment in said) / 300 / 100
        assert share == pytest.approx(0.7, abs=0.03)

    def test_steps_for_a_second_are_what_the_multiplication_takes(self) -> None:
        rng, pool = np.random.default_rng(0), Pool(Constant(1e-3, lanes=99), 1, pacing=False)
        said = [talk.speech(rng, 0.0, 300.0, 0.7) for _ in range(50)]
        for each in said:
            pool.speak(each)
        steps = sum(pool.run(320).steps.values())

        seconds = sum(segment.known - segment.start for each in said for segment in each)
        assert steps / seconds == pytest.approx(inputs.STEPS_PER_OPEN_S, abs=0.005)


class TestDay:
    town = Visits(60, 60)

    @given(seeds)
    @settings(max_examples=5)
    def test_who_came_was_refused_or_left_or_is_there(self, seed: int) -> None:
        day = simulate(Cell(0.5, most=3), self.town, seed)

        assert day.refused > 0
        assert day.arrived == day.refused + day.finished + day.sessions[-1]

    def test_a_seed_says_all(self) -> None:
        assert simulate(Cell(0.1), self.town, 3) == simulate(Cell(0.1), self.town, 3)

    def test_nobody_is_refused_or_stretched_where_there_is_ample_capacity(self) -> None:
        day = simulate(Cell(0.01, least=20, most=20), self.town)

        assert (day.refused, day.stretched(2.0)) == (0, 0.0)

    def test_more_copies_from_the_beginning_are_never_worse(self) -> None:
        shares = [
            simulate(Cell(0.1, least=least), self.town).stretched(2.0) for least in (1, 2, 4, 8)
        ]

        assert shares == sorted(shares, reverse=True)
        assert shares[0] > shares[-1]

    def test_copies_stay_within_their_limits_and_all_are_paid(self) -> None:
        day = simulate(Cell(0.1, least=2, most=5, failure_days=0.5), self.town)

        assert day.failures > 0
        assert max(day.copies) <= 5
        assert min(day.paid) >= 2
        assert len(day.copies) == DAY_S


class TestSizing:
    @pytest.mark.parametrize(("load", "servers", "blocked"), [(1, 1, 0.5), (2, 2, 0.4)])
    def test_erlang(self, load: float, servers: int, blocked: float) -> None:
        assert erlang_b(load, servers) == pytest.approx(blocked)

    @given(st.integers(1, 2000))
    def test_a_larger_cell_may_be_fuller(self, places: int) -> None:
        assert load_for(places) / places < load_for(2 * places) / (2 * places) < 1

    @given(st.integers(1, 10**7), st.integers(1, 10**6))
    def test_more_speakers_never_take_less(self, sessions: int, more: int) -> None:
        given = Assumptions()
        copy = OnGpu(inputs.HIGH, inputs.SMALL)

        assert gpus(sessions, copy, given.traffic) <= gpus(sessions + more, copy, given.traffic)
        few, many = gateways(sessions, given), gateways(sessions + more, given)
        assert few.processes <= many.processes
        assert few.processes * few.each >= sessions

    def test_memory_or_time_bounds_a_gpu(self) -> None:
        given = Assumptions().traffic
        low, high = (OnGpu(gpu, inputs.SMALL) for gpu in (inputs.LOW, inputs.HIGH))

        assert sessions_per_gpu(low, given) < sessions_per_gpu(high, given)
        assert sessions_per_gpu(high, given) * given.duty <= high.open_segments

    def test_prices_and_habits_may_be_put_in(self) -> None:
        own = assumptions(read_arguments(["--cdn-million-requests", "0", "--duty", "0.35"]))

        assert own.traffic.duty == 0.35
        assert over_cdn(1000, own).dollars < over_cdn(1000, Assumptions()).dollars


class TestInputs:
    @pytest.mark.parametrize(
        ("shapes", "mode", "listed"),
        [
            ("0.6b", "d", inputs.GFLOPS_WARM),
            ("0.6b", "a", inputs.GFLOPS_COLD),
            ("1.7b", "d", inputs.GFLOPS_WARM_1_7B),
            ("1.7b", "a", inputs.GFLOPS_COLD_1_7B),
        ],
    )
    def test_operations_are_those_of_the_meter(
        self, shapes: str, mode: str, listed: tuple[float, ...]
    ) -> None:
        chunks = range(1, len(listed) + 1)
        sums = [segment_cost(shapes, mode, segment_s=2 * n).gflops * n for n in chunks]

        assert np.diff([0.0, *sums]) == pytest.approx(listed, abs=0.1)

    def test_a_list_of_captions_is_as_long_as_it_says(self) -> None:
        listed = playlist(range(300), 6000, has_ended=False).encode()

        assert len(listed) / 300 == pytest.approx(32, abs=0.5)
        assert len(gzip.compress(listed)) / 300 == pytest.approx(inputs.Wire().hls_entry, abs=0.3)

    @given(st.floats(0.5, 28), st.booleans(), st.integers(0, 1))
    def test_longer_steps_of_the_embedded_model_never_take_less(
        self, audio_s: float, final: bool, beside: int
    ) -> None:
        model = Embedded()
        short, long = (Work(each, final, False) for each in (audio_s, audio_s + 1))

        assert 0 < model.seconds([short], beside) <= model.seconds([long], beside)


@pytest.mark.timeout(300)
def test_the_tables_are_what_the_script_prints() -> None:
    text = CAPACITY.read_text()

    assert renewed(text, Assumptions()) == text
