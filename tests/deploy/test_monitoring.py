"""What Prometheus, Grafana and KEDA ask for is what a running gateway says, and all of it."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import InvalidStatus

from gateway.settings import Settings
from tests.conftest import QUICK_MODEL, Server, serving
from tests.deploy.files import DEPLOY, load
from tests.deploy.programs import program, run, running
from tests.deploy.test_proxies import RATE, SAID
from tests.gateway.dialing import dial, hear, hear_all
from tests.ray_cluster import free_port

RULES = load("alerts.yml")["groups"][0]["rules"]
DASHBOARD = json.loads((DEPLOY / "grafana" / "scribewire.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
SHOWN = [target["expr"] for panel in PANELS for target in panel["targets"]]
TRIGGERS = load("kubernetes/keda/scaler.yaml")["spec"]["triggers"]
SCALING = [trigger["metadata"]["query"] for trigger in TRIGGERS if trigger["type"] == "prometheus"]
ALERTS = [rule["expr"] for rule in RULES]
QUERIES = dict.fromkeys([*SHOWN, *SCALING, *ALERTS])

SEEN_WITHIN_S = 30
SILENT_HERE = {
    "scribewire_access_denied_total", "scribewire_sessions_resumed_total",
    "scribewire_suppressed_total", "scribewire_uploads_total",
}  # fmt: skip
"""Have labels, so that there is nothing of them before the first; no session here is to blame."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A gateway with room for one session, so that others are refused."""
    settings = Settings(
        port=0, runner="thread", model=QUICK_MODEL, max_sessions=1, resume_window_s=0
    )
    with serving(settings) as running:
        yield running


async def visit(server: Server) -> None:
    """One session speaks, a mistake included, and meanwhile another finds no room."""
    async with dial(server, f"sample_rate={RATE}") as socket:
        await hear(socket)
        with pytest.raises(InvalidStatus):
            await dial(server)
        for message in (json.dumps({"type": "sing"}), SAID, json.dumps({"type": "stop"})):
            await socket.send(message)
        messages = await hear_all(socket)
    assert messages[-1]["type"] == "done"


Families = list[Metric]


@pytest.fixture
async def families(server: Server) -> Families:
    """What the gateway's `/metrics` has after a visit."""
    await visit(server)
    return list(text_string_to_metric_families(server.get("/metrics").text))


def test_every_series_and_label_asked_for_is_exported(families: Families) -> None:
    series = {f"{each.name}_total": set[str]() for each in families if each.type == "counter"}
    for family in families:
        for sample in family.samples:
            series.setdefault(sample.name, set()).update(sample.labels)
    for query in QUERIES:
        names = set(re.findall(r"\bscribewire_\w+", query))
        assert names <= series.keys(), query
        if names & SILENT_HERE:
            continue
        labels = {
            label.strip()
            for group in re.findall(r"by \(([^)]*)\)", query) + re.findall(r"\{(\w+)[=!]", query)
            for label in group.split(",")
        }
        assert labels <= set().union({"job"}, *(series[name] for name in names)), query


def test_the_dashboard_shows_every_metric(families: Families) -> None:
    suffixes = {"counter": "_total", "histogram": "_bucket"}
    names = {
        family.name + suffixes.get(family.type, "")
        for family in families
        if not family.name.endswith("_created")
    }
    assert names == set(re.findall(r"\bscribewire_\w+", " ".join(SHOWN)))


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not taken & cells, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_grafana_finds_the_data_and_the_dashboard() -> None:
    [source] = load("grafana/datasource.yml")["datasources"]
    assert {(panel["datasource"]["type"], panel["datasource"]["uid"]) for panel in PANELS} == {
        (source["type"], source["uid"])
    }
    [provider] = load("grafana/dashboards.yml")["providers"]
    mounts = load("compose.yaml")["services"]["grafana"]["volumes"]
    assert f"./grafana/scribewire.json:{provider['options']['path']}/scribewire.json:ro" in mounts


def test_alerts_come_when_they_should_and_not_before() -> None:
    run("promtool", "check", "config", DEPLOY / "prometheus.yml")
    run("promtool", "test", "rules", Path(__file__).with_name("alerts.yml"))
    tested = load("../tests/deploy/alerts.yml")["tests"]
    names = {each["alertname"] for test in tested for each in test["alert_rule_test"]}
    assert names == {rule["alert"] for rule in RULES}


@pytest.fixture(scope="module")
def prometheus(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The API of a real one, with the configuration that is shipped and this gateway as target."""
    folder, port = tmp_path_factory.mktemp("prometheus"), free_port()
    config = load("prometheus.yml")
    config["global"]["scrape_interval"] = "500ms"
    config["rule_files"] = [str(DEPLOY / file) for file in config["rule_files"]]
    config["scrape_configs"][0]["static_configs"] = [{"targets": [urlsplit(server.ws).netloc]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    command = [
        program("prometheus"), f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with running(command, folder / "log", port):
        yield f"http://127.0.0.1:{port}/api/v1"


async def test_every_query_has_an_answer(server: Server, prometheus: str) -> None:
    def ask(path: str, **parameters: str) -> Any:
        answer = httpx.get(f"{prometheus}/{path}", params=parameters, trust_env=False)
        assert answer.status_code == 200, f"{parameters}: {answer.text}"
        return answer.json()["data"]

    def unanswered() -> set[str]:
        asked = [*SHOWN, *SCALING]
        return {query for query in asked if not ask("query", query=query)["result"]}

    silent = {query for query in SHOWN if any(name in query for name in SILENT_HERE)}
    until = time.monotonic() + SEEN_WITHIN_S
    while (missing := unanswered() - silent) and time.monotonic() < until:
        await visit(server)  # of a rate there is nothing before the second look

    assert not missing
    for query in ALERTS:
        ask("query", query=query)
