"""Manifests, as kubectl's Kustomize builds them: of their platforms' schemas, and of one piece."""

import shutil
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.deploy.files import DEPLOY, settings_of
from tests.deploy.programs import run

KUBERNETES = "1.34"
COMPONENTS = [(), ("keda",), ("ray",), ("keda", "ray")]
OF_OPERATORS = {"ScaledObject", "RayService"}

Manifests = dict[tuple[str, str], Any]


def built(folder: Path, *components: str) -> Manifests:
    """What ``kubectl apply -k`` would apply, by kind and name.

    Args:
        folder: a new one.
    """
    shutil.copytree(DEPLOY / "kubernetes", folder)
    root = folder / "kustomization.yaml"
    chosen = yaml.safe_load(root.read_text()) | {"components": list(components)}
    root.write_text(yaml.safe_dump(chosen))
    found = list(yaml.safe_load_all(run("kubectl", "kustomize", folder)))
    manifests = {(each["kind"], each["metadata"]["name"]): each for each in found}
    assert len(manifests) == len(found)
    return manifests


@pytest.fixture(params=COMPONENTS, ids="+".join)
def manifests(request: pytest.FixtureRequest, tmp_path: Path) -> Manifests:
    return built(tmp_path / "kubernetes", *request.param)


@pytest.fixture
def pod(manifests: Manifests) -> Any:
    return manifests["Deployment", "gateway"]["spec"]["template"]


@pytest.fixture
def container(pod: Any) -> Any:
    [container] = pod["spec"]["containers"]
    return container


def environment(container: Any) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container["env"] if "value" in each}


def test_what_is_applied_unless_something_is_chosen(tmp_path: Path) -> None:
    text = run("kubectl", "kustomize", DEPLOY / "kubernetes")
    assert list(yaml.safe_load_all(text)) == list(built(tmp_path / "kubernetes").values())


def test_each_is_of_its_schema(manifests: Manifests) -> None:
    for (kind, _), manifest in manifests.items():
        if kind not in OF_OPERATORS:
            kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def test_all_of_it_is_in_one_namespace(manifests: Manifests) -> None:
    [namespace] = [name for kind, name in manifests if kind == "Namespace"]
    for (kind, _), manifest in manifests.items():
        assert manifest["metadata"].get("namespace") == (namespace if kind != "Namespace" else None)


def test_everything_means_the_same_pods(manifests: Manifests, pod: Any) -> None:
    selectors = [
        manifests["Deployment", "gateway"]["spec"]["selector"]["matchLabels"],
        manifests["Service", "gateway"]["spec"]["selector"],
        manifests["PodDisruptionBudget", "gateway"]["spec"]["selector"]["matchLabels"],
        manifests["NetworkPolicy", "gateway"]["spec"]["podSelector"]["matchLabels"],
    ]
    assert all(selector == pod["metadata"]["labels"] for selector in selectors)


def test_one_thing_alone_scales_the_gateways(manifests: Manifests) -> None:
    [(kind, scaler)] = [
        (kind, manifest["spec"]) for (kind, _), manifest in manifests.items()
        if kind in ("HorizontalPodAutoscaler", "ScaledObject")
    ]  # fmt: skip
    assert scaler["scaleTargetRef"]["name"] == "gateway"
    assert "replicas" not in manifests["Deployment", "gateway"]["spec"]
    if kind == "ScaledObject":
        scaler = scaler["advanced"]["horizontalPodAutoscalerConfig"]
    down = scaler["behavior"]["scaleDown"]
    assert down["stabilizationWindowSeconds"] >= 900
    assert [policy["type"] for policy in down["policies"]] == ["Pods"]


def test_settings_are_settings(container: Any) -> None:
    assert settings_of(environment(container)).metrics_open


def test_sessions_have_time_for_their_finals(pod: Any, container: Any) -> None:
    sleep_s = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain_s = settings_of(environment(container)).drain_s
    assert pod["spec"]["terminationGracePeriodSeconds"] >= sleep_s + drain_s + 5
    assert sleep_s >= container["readinessProbe"]["periodSeconds"]


def test_a_pod_may_nothing_that_it_need_not(pod: Any, container: Any) -> None:
    assert pod["spec"]["securityContext"]["runAsNonRoot"]
    assert not pod["spec"]["automountServiceAccountToken"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_keda_scales_by_sessions_and_load(tmp_path: Path) -> None:
    """That KEDA's own types take it all says that no field of it is unknown or of a wrong type."""
    # Not at the top: thousands of models, which every worker would build to collect the tests.
    from cloudcoil.models.keda.v1alpha1 import ScaledObject

    scaler = built(tmp_path / "kubernetes", "keda")["ScaledObject", "gateway"]
    read = ScaledObject.model_validate(scaler)
    assert read.model_dump(by_alias=True, exclude_unset=True, mode="json") == scaler
    triggers = {each["name"]: each for each in scaler["spec"]["triggers"]}
    # Sessions are added up, and shared among the pods; a load is a share already.
    assert triggers["sessions"]["metricType"] == "AverageValue"
    assert triggers["load"]["metricType"] == "Value"
    assert 0 < float(triggers["load"]["metadata"]["threshold"]) < 1
