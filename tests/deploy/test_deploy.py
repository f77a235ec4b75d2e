"""What is deployed fits the program: its options, metrics and files, and its platforms' schemas."""

import json
import re
import shlex
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from gateway.metrics import Metrics
from gateway.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILES = ["Dockerfile", "Dockerfile.cuda"]
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
KUBERNETES = "1.34"
PREFIX = "SCRIBEWIRE_"


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def manifest(name: str) -> Any:
    return load(DEPLOY / "kubernetes" / name)


def instructions(name: str) -> list[list[str]]:
    """Words of each instruction of a Dockerfile."""
    text = re.sub(r"\\\n", " ", (DEPLOY / name).read_text())
    return [shlex.split(line) for line in text.splitlines() if line and not line.startswith("#")]


def check_settings(environment: dict[str, str]) -> None:
    """That these are settings with values that are taken."""
    given = {n.removeprefix(PREFIX).lower(): v for n, v in environment.items() if PREFIX in n}
    Settings(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", DOCKERFILES)
class TestImages:
    def test_what_is_copied_is_there_and_sent_to_the_builder(self, name: str) -> None:
        sent = (DEPLOY / f"{name}.dockerignore").read_text().splitlines()
        copied = [
            source for word, *files in instructions(name) if word == "COPY" for source in files[:-1]
        ]
        assert len(copied) >= 7
        for source in copied:
            assert (ROOT / source).exists()
            assert f"!{source}" in sent

    def test_it_does_not_run_as_root(self, name: str) -> None:
        words = [line[0] for line in instructions(name)]
        users = [line[1] for line in instructions(name) if line[0] == "USER"]
        assert users == ["10001"]
        assert "RUN" not in words[words.index("USER") :]

    def test_its_settings_are_settings(self, name: str) -> None:
        [pairs] = [line[1:] for line in instructions(name) if line[0] == "ENV"]
        environment = dict(pair.split("=", 1) for pair in pairs)
        assert environment["SCRIBEWIRE_HOST"] == "0.0.0.0"
        check_settings(environment)

    def test_it_starts_the_server_so_that_signals_reach_it(self, name: str) -> None:
        last = {line[0]: " ".join(line[1:]) for line in instructions(name)}
        assert (last["ENTRYPOINT"], last["CMD"]) == ("[scribewire]", "[serve]")
        assert "/healthz" in last["HEALTHCHECK"]
        assert last["EXPOSE"] == str(Settings().port)


class TestLock:
    @staticmethod
    def pins() -> dict[str, str]:
        lines = (DEPLOY / "constraints.txt").read_text().splitlines()
        return dict(line.split("==") for line in lines if not line.startswith("#"))

    @pytest.mark.parametrize("name", DOCKERFILES)
    def test_images_are_built_with_it(self, name: str) -> None:
        text = (DEPLOY / name).read_text()
        assert "source=deploy/constraints.txt,target=/constraints.txt" in text
        assert "pip install --no-cache-dir -c /constraints.txt" in text
        assert "!deploy/constraints.txt" in (DEPLOY / f"{name}.dockerignore").read_text()

    def test_it_has_all_that_is_needed_in_versions_that_are_allowed(self) -> None:
        requirements = [Requirement(line) for line in requires("scribewire") or []]
        needed = [
            each for each in requirements
            if not each.marker or each.marker.evaluate({"extra": "cluster"})
        ]  # fmt: skip
        assert len(needed) > 20
        pins = self.pins()
        for each in needed:
            assert pins[canonicalize_name(each.name)] in each.specifier, each


class TestCompose:
    services = load(DEPLOY / "compose.yaml")["services"]

    def test_its_files_are_there(self) -> None:
        build = self.services["gateway"]["build"]
        assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()
        mounts = [volume for each in self.services.values() for volume in each["volumes"]]
        files = [mount.split(":")[0] for mount in mounts if mount.startswith("./")]
        assert len(files) == 5
        assert all((DEPLOY / file).is_file() for file in files)

    def test_its_settings_are_settings(self) -> None:
        check_settings(self.services["gateway"]["environment"])

    def test_nothing_is_published_beyond_this_machine(self) -> None:
        ports = [port for each in self.services.values() for port in each.get("ports", [])]
        assert ports
        assert all(port.startswith("127.0.0.1:") for port in ports)

    def test_sessions_have_time_for_their_finals(self) -> None:
        assert int(self.services["gateway"]["stop_grace_period"].rstrip("s")) > Settings().drain_s

    def test_prometheus_asks_the_gateway(self) -> None:
        [job] = load(DEPLOY / "prometheus.yml")["scrape_configs"]
        assert job["static_configs"] == [{"targets": [f"gateway:{Settings().port}"]}]


def dashboard() -> Any:
    return json.loads((DEPLOY / "grafana" / "scribewire.json").read_text())


def queries() -> list[str]:
    """All that dashboard and alerts ask Prometheus for."""
    alerts = [rule["expr"] for g in load(DEPLOY / "alerts.yml")["groups"] for rule in g["rules"]]
    return alerts + [t["expr"] for panel in dashboard()["panels"] for t in panel["targets"]]


def exported() -> dict[str, set[str]]:
    """Every series that the server exports, with the labels that it may have."""
    found: dict[str, set[str]] = {}
    for collector in set(vars(Metrics()).values()):
        for family in getattr(collector, "describe", list)():
            labels = set(getattr(collector, "_labelnames", ()))
            suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
            for suffix in suffixes.get(family.type, [""]):
                found[family.name + suffix] = labels | ({"le"} if suffix == "_bucket" else set())
    return found


@pytest.mark.parametrize("query", queries())
def test_what_is_asked_for_is_exported(query: str) -> None:
    series = exported()
    names = re.findall(r"\bscribewire_\w+", query)
    assert names or query.startswith("up")
    for name in names:
        assert name in series, f"{name} is not exported"
    labels = {
        label.strip()
        for group in re.findall(r"by \(([^)]*)\)", query) + re.findall(r"\{(\w+)[=!]", query)
        for label in group.split(",")
    }
    allowed = set().union(*(series[name] for name in names)) if names else {"job"}
    assert labels <= allowed


class TestKubernetes:
    @pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
    def test_it_is_of_the_schema(self, path: Path) -> None:
        if path.stem != "kustomization":
            kubernetes_validate.validate(load(path), KUBERNETES, strict=True)

    def test_all_of_it_is_applied(self) -> None:
        listed = manifest("kustomization.yaml")["resources"]
        assert sorted([*listed, "kustomization.yaml"]) == [path.name for path in MANIFESTS]

    def test_everything_means_the_same_pods(self) -> None:
        pod = manifest("deployment.yaml")["spec"]["template"]["metadata"]["labels"]
        selectors = [
            manifest("deployment.yaml")["spec"]["selector"]["matchLabels"],
            manifest("service.yaml")["spec"]["selector"],
            manifest("disruption.yaml")["spec"]["selector"]["matchLabels"],
            manifest("network.yaml")["spec"]["podSelector"]["matchLabels"],
        ]
        assert all(selector == pod for selector in selectors)
        target = manifest("autoscaler.yaml")["spec"]["scaleTargetRef"]
        assert target["name"] == manifest("deployment.yaml")["metadata"]["name"]

    def test_its_settings_are_settings(self) -> None:
        check_settings(self.environment)

    def test_sessions_have_time_for_their_finals(self) -> None:
        spec = manifest("deployment.yaml")["spec"]["template"]["spec"]
        sleep_s = self.container["lifecycle"]["preStop"]["sleep"]["seconds"]
        drain_s = float(self.environment["SCRIBEWIRE_DRAIN_S"])
        assert spec["terminationGracePeriodSeconds"] >= sleep_s + drain_s + 5
        assert sleep_s >= self.container["readinessProbe"]["periodSeconds"]

    def test_the_pod_may_nothing_that_it_need_not(self) -> None:
        spec = manifest("deployment.yaml")["spec"]["template"]["spec"]
        assert spec["securityContext"]["runAsNonRoot"]
        assert not spec["automountServiceAccountToken"]
        context = self.container["securityContext"]
        assert context["readOnlyRootFilesystem"]
        assert context["capabilities"] == {"drop": ["ALL"]}

    @property
    def container(self) -> Any:
        [container] = manifest("deployment.yaml")["spec"]["template"]["spec"]["containers"]
        return container

    @property
    def environment(self) -> dict[str, str]:
        return {each["name"]: each["value"] for each in self.container["env"]}


def test_nginx_waits_longer_than_a_session_may_be_silent() -> None:
    text = (DEPLOY / "nginx.conf").read_text()
    for timeout in re.findall(r"proxy_(?:read|send)_timeout (\d+)s;", text):
        assert int(timeout) > Settings().idle_timeout_s
    assert text.count("{") == text.count("}")
    for needed in ("proxy_buffering off;", "proxy_request_buffering off;", "$http_upgrade;"):
        assert needed in text
    assert f"127.0.0.1:{Settings().port};" in text
