"""What KubeRay's `RayService` may have, as far as it is used here, in our own words.

KubeRay's types are published as Go and as a schema of Kubernetes' own kind alone. Pods in it are
Kubernetes' own, and `serveConfigV2` is Ray's: those are checked by their schemas.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Seconds = Annotated[int, Field(ge=0)]
Replicas = Annotated[int, Field(ge=0)]


class Strict(BaseModel):
    """Nothing that it does not know, nothing of another type."""

    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)


class AuthOptions(Strict):
    mode: Literal["disabled", "token"]
    secret_name: str
    """Its key is ``auth_token``."""


class AutoscalerOptions(Strict):
    version: Literal["v1", "v2"]
    idle_timeout_seconds: Seconds
    resources: dict[str, dict[str, str]]
    security_context: dict[str, Any]


class Group(Strict):
    ray_start_params: dict[str, str]
    """Options of ``ray start``, without their hyphens."""
    template: dict[str, Any]


class WorkerGroup(Group):
    group_name: str
    replicas: Replicas
    min_replicas: Replicas
    max_replicas: Replicas


class RayCluster(Strict):
    ray_version: str
    auth_options: AuthOptions
    enable_in_tree_autoscaling: bool
    autoscaler_options: AutoscalerOptions
    head_group_spec: Group
    worker_group_specs: list[WorkerGroup]

    @property
    def groups(self) -> list[Group]:
        """The head's and all others."""
        return [self.head_group_spec, *self.worker_group_specs]


class UpgradeStrategy(Strict):
    type: Literal["NewCluster", "NewClusterWithIncrementalUpgrade", "None"]


class Spec(Strict):
    upgrade_strategy: UpgradeStrategy
    ray_cluster_deletion_delay_seconds: Seconds
    serve_config_v2: str = Field(alias="serveConfigV2")
    ray_cluster_config: RayCluster


class RayService(Strict):
    api_version: Literal["ray.io/v1"]
    kind: Literal["RayService"]
    metadata: dict[str, Any]
    spec: Spec
