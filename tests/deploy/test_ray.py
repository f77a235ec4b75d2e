"""The Ray cluster of `deploy/kubernetes/ray`: what gateways, KubeRay and Ray each make of it."""

import subprocess
import sys
from importlib.metadata import requires
from typing import Any

import kubernetes_validate
import pytest
import yaml
from packaging.requirements import Requirement

from gateway.parts import plan_of
from tests.deploy.files import DEPLOY, image_environment, settings_of
from tests.deploy.kuberay import RayCluster, RayService
from tests.deploy.test_kubernetes import KUBERNETES, Manifests, built, environment

CLIENT_PORT = 10001

ASK_RAY = """
import sys
import yaml
from ray._common.utils import import_attr
from ray.scripts.scripts import start
from ray.serve.schema import ServeDeploySchema

for application in ServeDeploySchema.model_validate(yaml.safe_load(sys.stdin)).applications:
    assert callable(import_attr(application.import_path))
print(*(name for option in start.params for name in option.opts))
"""
"""Fails unless it can make something of `serveConfigV2`; prints the options of `ray start`. In a
process of its own, as Ray leaves much behind."""


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> Manifests:
    return built(tmp_path_factory.mktemp("ray") / "kubernetes", "ray")


@pytest.fixture(scope="module")
def service(manifests: Manifests) -> RayService:
    """Nothing in it that is unknown here."""
    return RayService.model_validate(manifests["RayService", "models"])


@pytest.fixture(scope="module")
def cluster(service: RayService) -> RayCluster:
    return service.spec.ray_cluster_config


@pytest.fixture(scope="module")
def gateway(manifests: Manifests) -> Any:
    [container] = manifests["Deployment", "gateway"]["spec"]["template"]["spec"]["containers"]
    return container


def test_its_pods_are_of_the_schema(cluster: RayCluster) -> None:
    for group in cluster.groups:
        pod = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "a"}}
        kubernetes_validate.validate(pod | {"template": group.template}, KUBERNETES, strict=True)


def test_ray_knows_its_application_and_options(service: RayService, cluster: RayCluster) -> None:
    asked = subprocess.run(
        [sys.executable, "-c", ASK_RAY], input=service.spec.serve_config_v2, text=True,
        capture_output=True, check=False,
    )  # fmt: skip
    assert asked.returncode == 0, asked.stderr
    for group in cluster.groups:
        assert {f"--{name}" for name in group.ray_start_params} <= {*asked.stdout.split()}


def test_pods_run_the_image_that_has_all_of_ray(cluster: RayCluster) -> None:
    for group in cluster.groups:
        [container] = group.template["spec"]["containers"]
        assert container["image"] == "scribewire-cuda:latest"
    lines = [Requirement(line) for line in requires("scribewire") or []]
    [ray] = [each for each in lines if str(each.marker) == 'extra == "kuberay"']
    assert ray.name == "ray"
    assert ray.extras == {"client", "default", "serve"}
    pins = (DEPLOY / "constraints.txt").read_text().splitlines()
    assert f"ray=={cluster.ray_version}" in pins


def test_gateways_and_application_mean_the_same_copies(service: RayService, gateway: Any) -> None:
    [application] = yaml.safe_load(service.spec.serve_config_v2)["applications"]
    arguments = {f"SCRIBEWIRE_{name.upper()}": value for name, value in application["args"].items()}
    keeper = plan_of(settings_of(image_environment("Dockerfile.cuda") | arguments))
    ours = plan_of(settings_of(image_environment("Dockerfile") | environment(gateway)))
    assert keeper == ours


def test_there_is_room_for_the_copies_and_only_on_workers(
    cluster: RayCluster, gateway: Any
) -> None:
    settings = settings_of(environment(gateway))
    [workers] = cluster.worker_group_specs
    [container] = workers.template["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == str(int(settings.engine_gpus))
    assert float(container["resources"]["requests"]["cpu"]) >= settings.engine_cpus
    assert workers.min_replicas <= settings.engine_least <= settings.engine_most
    assert settings.engine_most == workers.max_replicas
    assert cluster.head_group_spec.ray_start_params["num-cpus"] == "0"


def test_gateways_reach_the_head_with_its_token(
    service: RayService, cluster: RayCluster, manifests: Manifests, gateway: Any
) -> None:
    url = f"ray://{service.metadata['name']}-head-svc:{CLIENT_PORT}"
    assert settings_of(environment(gateway)).engine == url
    assert environment(gateway)["RAY_AUTH_MODE"] == cluster.auth_options.mode == "token"
    [token] = [each["valueFrom"] for each in gateway["env"] if each["name"] == "RAY_AUTH_TOKEN"]
    secret = {"name": cluster.auth_options.secret_name, "key": "auth_token"}
    assert token == {"secretKeyRef": secret}

    head = cluster.head_group_spec.template["metadata"]["labels"]
    out = manifests["NetworkPolicy", "gateway"]["spec"]["egress"]
    [to_head] = [rule for rule in out if "to" in rule]
    assert to_head["to"] == [{"podSelector": {"matchLabels": head}}]
    assert [port["port"] for port in to_head["ports"]] == [CLIENT_PORT]


def test_nobody_else_reaches_it(cluster: RayCluster, manifests: Manifests) -> None:
    """But the operator, and the cluster's own pods among themselves."""
    policy = manifests["NetworkPolicy", "models"]["spec"]
    labels = policy["podSelector"]["matchLabels"]
    for group in cluster.groups:
        assert labels.items() <= group.template["metadata"]["labels"].items()
    [itself, gateways, operator] = policy["ingress"]
    assert itself == {"from": [{"podSelector": {"matchLabels": labels}}]}
    pods = manifests["Deployment", "gateway"]["spec"]["template"]["metadata"]["labels"]
    assert gateways["from"] == [{"podSelector": {"matchLabels": pods}}]
    assert [port["port"] for port in gateways["ports"]] == [CLIENT_PORT]
    assert "kuberay-operator" in str(operator["from"])


def test_its_pods_may_nothing_that_they_need_not(cluster: RayCluster) -> None:
    contexts = [cluster.autoscaler_options.security_context]
    for group in cluster.groups:
        [container] = group.template["spec"]["containers"]
        contexts.append(container["securityContext"])
        pod = group.template["spec"]["securityContext"]
        assert (pod["runAsNonRoot"], pod["runAsUser"]) == (True, 10001)
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    restricted = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert contexts == [restricted] * 3
