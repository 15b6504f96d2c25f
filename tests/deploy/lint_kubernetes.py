"""The chart, rendered by Helm's own engine and held to the schemas of Kubernetes."""

from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from helm_python import Chart, lint
from helm_python.errors import HelmValuesError

CHART = Path(__file__).resolve().parents[2] / "deploy" / "helm" / "parktwin"
# The oldest one that the chart takes, and the newest one that has schemas here.
VERSIONS = ("1.25", "1.37")
FIRST = {
    "name": "first", "database": "first-database", "broker": "first-broker", "keys": "first-keys",
    "model": {"configMap": "first-model"}, "hosts": ["twin.example.com"],
    "settings": {"PARKTWIN_MQTT_CA": "/broker/ca.crt", "PARKTWIN_LOG_MINUTE": 10},
}  # fmt: skip
SECOND = {**FIRST, "name": "second", "model": {"claim": "second-model"}}
VALUES = {
    "none": {},
    "one": {"parks": [FIRST], "api": {"replicas": 1}},
    "two": {
        "parks": [FIRST, SECOND],
        "api": {"replicas": 3, "trustedProxies": "10.0.0.0/8"},
        "imagePullSecrets": [{"name": "registry"}],
        "networkPolicy": {
            "from": [{"namespaceSelector": {"matchLabels": {"name": "ingress"}}}],
            "furtherPorts": {"ingest": [587], "api": [443]},
        },
    },
}


def rendered(values):
    texts = Chart.load(CHART).render(values, name="twin", namespace="parks")
    return [
        each
        for name, text in sorted(texts.items())
        if not name.endswith("NOTES.txt")
        for each in yaml.safe_load_all(text)
        if each
    ]


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def lint_chart_has_no_warning(values):
    result = lint(CHART, values, strict=True)
    assert result["errors"] == []
    assert {each["error"] for each in result["messages"]} <= {"icon is recommended"}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def lint_manifests_follow_the_schemas(values, version):
    for each in rendered(values):
        kubernetes_validate.validate(each, version, strict=True)


def lint_each_park_has_one_ingest_and_replicas_of_its_api():
    kinds = {
        (each["kind"], each["metadata"]["name"]): each["spec"] for each in rendered(VALUES["two"])
    }
    for park in ("first", "second"):
        ingest = kinds["Deployment", f"twin-{park}-ingest"]
        assert (ingest["replicas"], ingest["strategy"]["type"]) == (1, "Recreate")
        assert kinds["Deployment", f"twin-{park}-api"]["replicas"] == 3
        service = kinds["Service", f"twin-{park}-api"]
        pod = kinds["Deployment", f"twin-{park}-api"]["template"]
        assert service["selector"].items() <= pod["metadata"]["labels"].items()
        (policy,) = kinds["NetworkPolicy", f"twin-{park}-ingest"]["egress"][2:3]
        assert policy["ports"] == [{"port": 587}]
        assert "ingress" not in kinds["NetworkPolicy", f"twin-{park}-ingest"]
    volumes = [
        kinds["Deployment", f"twin-{park}-ingest"]["template"]["spec"]["volumes"][1]
        for park in ("first", "second")
    ]
    assert volumes == [
        {"name": "model", "configMap": {"name": "first-model"}},
        {"name": "model", "persistentVolumeClaim": {"claimName": "second-model"}},
    ]


def pods():
    for each in rendered(VALUES["two"]):
        spec = each["spec"]
        if each["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if "template" in spec:
            yield each, spec["template"]["spec"]


def lint_every_container_is_bounded_and_may_write_nothing():
    seen = 0
    for each, pod in pods():
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        (container,) = pod["containers"]
        guard = container["securityContext"]
        assert guard["readOnlyRootFilesystem"] is True
        assert guard["allowPrivilegeEscalation"] is False
        assert guard["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"].keys() == {"cpu", "memory"}
        assert {m["name"] for m in container["volumeMounts"]} == {v["name"] for v in pod["volumes"]}
        if each["kind"] == "Deployment":
            assert {"startupProbe", "livenessProbe"} <= container.keys()
        # Passwords come from secrets only.
        plain = {variable["name"] for variable in container["env"] if "value" in variable}
        assert not {name for name in plain if name.endswith("_URL")}
        seen += 1
    assert seen == 8


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "UPPER"},
        {"model": {}},
        {"model": {"claim": "a", "configMap": "b"}},
        {"settings": {"DATABASE_URL": "postgresql://"}},
        {"databse": "typing mistake"},
    ],
    ids=str,
)
def lint_wrong_values_are_refused(wrong):
    with pytest.raises(HelmValuesError):
        rendered({"parks": [{**FIRST, **wrong}]})
