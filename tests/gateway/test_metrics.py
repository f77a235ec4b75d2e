"""What an operator sees of the work that was done."""

from prometheus_client.parser import text_string_to_metric_families

from engine.messages import SegmentKey, StepResult
from engine.segment import StepKind
from engine.worker import BatchReport
from gateway.metrics import Metrics


def samples(metrics: Metrics) -> dict[str, float]:
    """Values by name and labels, as a Prometheus server reads them."""
    return {
        sample.name + "".join(f"/{value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(metrics.exposition().decode())
        for sample in family.samples
    }


def result(accepted: int, decode_steps: int) -> StepResult:
    return StepResult(
        (), (), "eos", "en", 0.9,
        accepted=accepted, decode_steps=decode_steps, encode_s=0.25, decode_s=0.5,
        reused_tokens=104.0, evictions=0.5,
    )  # fmt: skip


def report(kinds: list[StepKind], results: list[StepResult], waited_s: list[float]) -> BatchReport:
    keys = [SegmentKey("s", i) for i in range(len(kinds))]
    return BatchReport(keys, kinds, results, 0.2, waited_s, busy_s=0.125)


def test_a_micro_batch_is_counted_by_steps_phases_and_tokens() -> None:
    metrics = Metrics()

    both = [StepKind.FINAL, StepKind.PARTIAL]
    metrics.batch_done(report(both, [result(3, 4), result(0, 7)], [0.0, 0.25]))
    metrics.batch_done(report([StepKind.PARTIAL], [result(1, 1)], [0.5]))

    shown = samples(metrics)
    assert shown["scribewire_steps_total/partial"] == 2
    assert shown["scribewire_steps_total/final"] == 1
    assert shown["scribewire_batch_size_sum"] == 3
    assert shown["scribewire_batch_seconds_count"] == 2
    assert shown["scribewire_step_phase_seconds_total/encode"] == 0.75
    assert shown["scribewire_step_phase_seconds_total/decode"] == 1.5
    assert shown["scribewire_tokens_total/draft"] == 4
    assert shown["scribewire_tokens_total/pass"] == 12
    assert shown["scribewire_queue_seconds_count"] == 3
    assert shown["scribewire_queue_seconds_sum"] == 0.75
    assert shown["scribewire_model_busy_seconds_total"] == 0.25
    assert shown["scribewire_cache_hit_tokens_total"] == 312
    assert shown["scribewire_cache_evictions_total"] == 1.5


def test_two_gateways_in_one_process_count_apart() -> None:
    first, second = Metrics(), Metrics()

    first.opened.inc()

    assert samples(first)["scribewire_sessions_opened_total"] == 1
    assert samples(second)["scribewire_sessions_opened_total"] == 0


def test_every_metric_has_our_prefix_a_description_and_a_unit_of_the_base_system() -> None:
    for family in text_string_to_metric_families(Metrics().exposition().decode()):
        assert family.name.startswith("scribewire_")
        assert len(family.documentation) > 10
        assert not family.name.endswith(("_ms", "_milliseconds", "_kb"))
