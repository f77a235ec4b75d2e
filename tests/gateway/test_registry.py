"""Who is let in, by how full model and gateway are."""

import pytest

from gateway.errors import Overloaded
from gateway.metrics import Metrics
from gateway.registry import Load, Registry
from gateway.settings import Settings

SETTINGS = Settings(max_cadence_ms=5000, max_unheard_ms=500)


@pytest.mark.parametrize(("cadence_ms", "unheard_ms"), [(0, 0), (5000, 500)])
def test_up_to_both_limits_there_is_room(cadence_ms: float, unheard_ms: float) -> None:
    Registry(SETTINGS, Metrics(), Load(lambda: cadence_ms, lambda: unheard_ms)).admit()


@pytest.mark.parametrize(
    ("cadence_ms", "unheard_ms", "setting"),
    [(5001, 0, "max_cadence_ms"), (0, 501, "max_unheard_ms")],
)
def test_beyond_either_nobody_is_let_in_and_the_setting_is_counted(
    cadence_ms: float, unheard_ms: float, setting: str
) -> None:
    metrics = Metrics()
    registry = Registry(SETTINGS, metrics, Load(lambda: cadence_ms, lambda: unheard_ms))

    with pytest.raises(Overloaded) as refused:
        registry.admit()

    assert refused.value.retry_after_ms
    counted = f'scribewire_limits_reached_total{{setting="{setting}"}} 1.0'
    assert counted in metrics.exposition().decode()
