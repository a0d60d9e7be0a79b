"""deploy/kubernetes: rendered by kubectl, held against the API's own schemas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.deployment import DEPLOY
from tests.deployment.conftest import Rendered

pytestmark = pytest.mark.slow

#: The oldest release that has all the kinds used, and a recent one.
RELEASES = ("1.25", "1.33")


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("folder", ["base", "example"])
def test_every_document_is_valid_and_has_no_unknown_field(
    kustomize: Callable[[str], Rendered], folder: str, release: str
) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    documents = kustomize(folder)
    kinds = {each["kind"] for each in documents}
    assert kinds >= {"Deployment", "PodDisruptionBudget", "NetworkPolicy", "ServiceAccount"}
    for each in documents:
        kubernetes_validate.validate(each, release, strict=True)


def test_a_misspelt_field_would_be_found(kustomize: Callable[[str], Rendered]) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    (deployment,) = (each for each in kustomize("base") if each["kind"] == "Deployment")
    deployment["spec"]["template"]["spec"]["terminationGracePeriodSecond"] = 15
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, RELEASES[-1], strict=True)


def test_all_selectors_mean_the_pods_of_the_deployment(
    kustomize: Callable[[str], Rendered],
) -> None:
    by_kind = {each["kind"]: each["spec"] for each in kustomize("base") if "spec" in each}
    template = by_kind["Deployment"]["template"]
    labels = template["metadata"]["labels"]
    spread = template["spec"]["topologySpreadConstraints"]
    selectors = [
        by_kind["Deployment"]["selector"],
        by_kind["PodDisruptionBudget"]["selector"],
        by_kind["NetworkPolicy"]["podSelector"],
        *(each["labelSelector"] for each in spread),
    ]
    assert [each["matchLabels"] for each in selectors] == [labels] * len(selectors)


def test_three_beats_of_which_a_drain_takes_one(kustomize: Callable[[str], Rendered]) -> None:
    by_kind = {each["kind"]: each["spec"] for each in kustomize("base") if "spec" in each}
    assert by_kind["Deployment"]["replicas"] == 3
    assert by_kind["PodDisruptionBudget"]["maxUnavailable"] == 1


def test_the_pod_has_no_rights_that_it_does_not_need(
    kustomize: Callable[[str], Rendered], container: dict[str, Any]
) -> None:
    (deployment,) = (each for each in kustomize("base") if each["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_the_image_runs_as_the_user_of_the_pod(kustomize: Callable[[str], Rendered]) -> None:
    (deployment,) = (each for each in kustomize("base") if each["kind"] == "Deployment")
    user = deployment["spec"]["template"]["spec"]["securityContext"]["runAsUser"]
    dockerfile = (DEPLOY / "docker" / "Dockerfile").read_text()
    assert f"\nUSER {user}\n" in dockerfile
    assert f"--uid {user} " in dockerfile


def test_the_example_names_its_secret_and_image(kustomize: Callable[[str], Rendered]) -> None:
    documents = kustomize("example")
    (secret,) = (each for each in documents if each["kind"] == "Secret")
    (deployment,) = (each for each in documents if each["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": secret["metadata"]["name"]}}]
    assert container["image"].startswith("registry.example/shop:")
    assert {each["metadata"].get("namespace") for each in documents} == {"shop"}
