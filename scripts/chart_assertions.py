"""What must hold in the rendered chart, and what it must refuse. Run by scripts/chart.

usage: chart_assertions.py HELM CHART RENDERED_DIR     (RENDERED_DIR has one file for each of CHART/ci/*.yaml)
"""

import pathlib
import re
import subprocess
import sys
import tomllib

import yaml

HELM, CHART, RENDERED = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
results = {"passed": 0, "failed": 0}


def check(case, what, holds):
    results["passed" if holds else "failed"] += 1
    if not holds:
        print(f"FAILED  {case}: {what}")


def one(objects, kind, suffix=""):
    found = [o for o in objects if o["kind"] == kind and o["metadata"]["name"].endswith(suffix)]
    assert len(found) == 1, f"{len(found)} of {kind} …{suffix}"
    return found[0]


def kinds(objects):
    return sorted(o["kind"] for o in objects)


def pods(objects):
    return [o["spec"]["template"]["spec"] for o in objects if o["kind"] in ("Deployment", "Job")]


def strings(node):
    if isinstance(node, dict):
        for key, value in node.items():
            yield from strings(key)
            yield from strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from strings(value)
    elif isinstance(node, str):
        yield node


def every_case(case, objects):
    server = one(objects, "Deployment")["spec"]["template"]["spec"]
    container = server["containers"][0]
    for probe, service in (("startup", "readiness"), ("readiness", "readiness"), ("liveness", "liveness")):
        check(case, f"{probe} probe is gRPC, service {service}",
              container[f"{probe}Probe"].get("grpc") == {"port": 50051, "service": service})
    check(case, "serves the mounted configuration", container["args"] == ["serve", "--config", "/etc/hongbao/config.toml"])
    check(case, "the grace period covers the drain",
          server["terminationGracePeriodSeconds"] >= config(objects)["server"]["drain_seconds"] + 15)
    labels = one(objects, "Deployment")["spec"]["template"]["metadata"]["labels"].items()
    for service in (o for o in objects if o["kind"] == "Service"):
        check(case, f"{service['metadata']['name']} selects the server", service["spec"]["selector"].items() <= labels)
    jobs = [o["spec"]["template"]["metadata"]["labels"].items() for o in objects if o["kind"] == "Job"]
    for service in (o for o in objects if o["kind"] in ("Service", "PodDisruptionBudget")):
        selector = service["spec"]["selector"].get("matchLabels", service["spec"]["selector"])
        check(case, f"{service['kind']} leaves the migration alone", not any(selector.items() <= j for j in jobs))
    for pod in pods(objects):
        check(case, "pod runs as nobody, with the default seccomp profile",
              pod["securityContext"]["runAsNonRoot"] is True
              and pod["securityContext"]["runAsUser"] == 65532
              and pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"})
        check(case, "pod has no token of the API server", pod["automountServiceAccountToken"] is False)
        mounted = {m["name"] for c in pod["containers"] for m in c["volumeMounts"]}
        check(case, "every mount has a volume and the reverse", mounted == {v["name"] for v in pod["volumes"]})
        for c in pod["containers"]:
            check(case, "container is restricted", c["securityContext"] == {
                "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}})
            check(case, "container has requests and a memory limit",
                  {"requests", "limits"} <= c["resources"].keys() and "memory" in c["resources"]["limits"])
            for env in c.get("env", []):
                check(case, f"{env['name']} is no plain secret",
                      "secretKeyRef" in env.get("valueFrom", {}) or not re.search("URL|KEY|SECRET|PASS|TOKEN", env["name"]))
    check(case, "the chart makes no Secret", "Secret" not in kinds(objects))
    everything = "\n".join(strings(objects))
    check(case, "no password in a URL, no key material",
          not re.search(r"://[^/\s:]+:[^@\s/]+@|BEGIN [A-Z ]*PRIVATE KEY", everything))
    check(case, "every object says its namespace", all(o["metadata"].get("namespace") == "prod" for o in objects))


def config(objects):
    return tomllib.loads(one(objects, "ConfigMap")["data"]["config.toml"])


def embedded(case, objects):
    check(case, "no migration Job: the server migrates its own file", "Job" not in kinds(objects))
    check(case, "one process at a time", one(objects, "Deployment")["spec"]["strategy"] == {"type": "Recreate"})
    check(case, "no disruption budget for one replica", "PodDisruptionBudget" not in kinds(objects))
    check(case, "the file is on the volume", config(objects)["database"]["url"].startswith("sqlite:///var/lib/hongbao/"))
    check(case, "the volume outlives the release",
          one(objects, "PersistentVolumeClaim")["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep")
    check(case, "no Secret is asked for", "secret" not in str(pods(objects)).lower().replace("run/secrets", ""))


def hook_job(case, objects):
    job = one(objects, "Job", "-migrate")
    check(case, "the migration is a pre-install and pre-upgrade hook",
          job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade")
    check(case, "a failed migration keeps its log",
          job["metadata"]["annotations"]["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded")
    migration(case, objects, job)


def migration(case, objects, job):
    pod = job["spec"]["template"]["spec"]
    server = one(objects, "Deployment")["spec"]["template"]["spec"]
    check(case, "the migration runs the same image", pod["containers"][0]["image"] == server["containers"][0]["image"])
    check(case, "the migration migrates", pod["containers"][0]["args"] == ["migrate"])
    # What the chart makes does not exist yet when a pre-install hook runs.
    check(case, "the migration uses no object of the chart",
          "serviceAccountName" not in pod and all("emptyDir" in v for v in pod["volumes"]))
    url = [e for e in pod["containers"][0]["env"] if e["name"] == "HONGBAO__DATABASE__URL"]
    check(case, "server and migration read one database",
          len(url) == 1 and url[0] in server["containers"][0]["env"])


def minimal(case, objects):
    hook_job(case, objects)
    strategy = one(objects, "Deployment")["spec"]["strategy"]
    check(case, "a rollout never goes below its size", strategy["rollingUpdate"]["maxUnavailable"] == 0)
    check(case, "the image is the chart's version",
          pods(objects)[0]["containers"][0]["image"] == f"hongbao:{crate_version()}")
    check(case, "h2c for gateways", one(objects, "Service", "rp-hongbao")["spec"]["ports"][0]["appProtocol"] == "kubernetes.io/h2c")
    check(case, "no monitor unless asked", "ServiceMonitor" not in kinds(objects))


def production(case, objects):
    hook_job(case, objects)
    toml = config(objects)
    check(case, "credentials are paths into mounted Secrets", toml["credentials"]["wechat-main"] == {
        "shops": [1, 2], "base_url": "https://api.mch.weixin.qq.com", "mch_id": "1900000109",
        "api_key_file": "/run/secrets/hongbao/credentials/wechat-main/api-key",
        "cert_file": "/run/secrets/hongbao/credentials/wechat-main/apiclient_cert.pem",
        "key_file": "/run/secrets/hongbao/credentials/wechat-main/apiclient_key.pem"})
    check(case, "large shop ids stay integers", str(toml["credentials"]["platform"]["shops"]) == "[1000000]")
    check(case, "odd text survives the quoting", toml["credentials"]["platform"]["base_url"] == 'https://open.example.com/<红包>"\\')
    check(case, "extraConfig is there", toml["rate_limit"] == {"per_app_per_second": 200})
    server = one(objects, "Deployment")["spec"]["template"]["spec"]
    mounts = {m["name"]: m["mountPath"] for m in server["containers"][0]["volumeMounts"]}
    files = {f"{mounts[v['name']]}/{i['path']}" for v in server["volumes"] if "secret" in v for i in v["secret"]["items"]}
    named = {s for s in strings(toml) if s.startswith("/run/secrets/")}
    check(case, "every file that the configuration names is mounted", named == files and len(named) == 6)
    check(case, "by digest", "@sha256:" in server["containers"][0]["image"])
    ports = one(objects, "Service", "-admin")["spec"]["ports"]
    monitor = one(objects, "ServiceMonitor")["spec"]
    check(case, "the monitor finds the admin Service",
          monitor["endpoints"][0]["port"] == ports[0]["name"]
          and monitor["selector"]["matchLabels"].items() <= one(objects, "Service", "-admin")["metadata"]["labels"].items()
          and not monitor["selector"]["matchLabels"].items() <= one(objects, "Service", "rp-hongbao")["metadata"]["labels"].items())
    policy = one(objects, "NetworkPolicy")["spec"]
    check(case, "the policy holds both ways and every rule names somebody",
          policy["policyTypes"] == ["Ingress", "Egress"] and all(r.get("from") for r in policy["ingress"]))
    check(case, "spread over zones and hosts", {c["topologyKey"] for c in server["topologySpreadConstraints"]}
          == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"})


def gitops(case, objects):
    job = one(objects, "Job")
    check(case, "an ordinary Job, named by revision",
          job["metadata"]["name"].endswith("-migrate-1") and "helm.sh/hook" not in job["metadata"].get("annotations", {}))
    migration(case, objects, job)
    check(case, "the mesh's protocol", one(objects, "Service", "rp-hongbao")["spec"]["ports"][0]["appProtocol"] == "grpc")
    check(case, "somebody else's account", "ServiceAccount" not in kinds(objects))


def crate_version():
    return tomllib.loads(pathlib.Path("Cargo.toml").read_text())["package"]["version"]


def helm(*args):
    run = subprocess.run([HELM, *args], capture_output=True, text=True, timeout=120)
    return run.returncode, run.stdout + run.stderr


# What must be refused, by which words.
MINIMAL = str(CHART / "ci/minimal.yaml")
REFUSED = [
    ("two processes on one file", ["--set", "database.kind=sqlite", "--set", "replicaCount=2"], "replicaCount > 1 needs database.kind=postgresql"),
    ("PostgreSQL without its Secret", ["--set", "keys.existingSecret=k"], "needs database.existingSecret"),
    ("PostgreSQL with the development key", ["--set", "database.existingSecret=d"], "needs keys.existingSecret"),
    ("a Secret that SQLite would ignore", ["--set", "database.kind=sqlite", "--set", "replicaCount=1", "--set", "database.existingSecret=d"], "would be ignored"),
    ("a drain longer than the grace period", ["-f", MINIMAL, "--set", "server.drainSeconds=40"], "at least server.drainSeconds + 15"),
    ("the URL as a value", ["-f", MINIMAL, "--set", "extraEnv[0].name=HONGBAO__DATABASE__URL,extraEnv[0].value=x"], "the database URL is a secret"),
    ("a secret among the settings", ["-f", MINIMAL, "--set-json", 'credentials=[{"name":"a","existingSecret":"a","shops":[1],"settings":{"api_key":"x"},"files":{"api_key_file":"k"}}]'], "api_key"),
    ("two accounts of one name", ["-f", MINIMAL, "--set-json", 'credentials=[{"name":"a","existingSecret":"a","shops":[1],"settings":{},"files":{"api_key_file":"k"}},{"name":"a","existingSecret":"b","shops":[1],"settings":{},"files":{"api_key_file":"k"}}]'], "two entries are named a"),
    ("a number in words", ["-f", MINIMAL, "--set", "replicaCount=two"], "replicaCount"),
    ("an unknown key", ["-f", MINIMAL, "--set", "replicas=2"], "replicas"),
    ("an unknown key, deeper", ["-f", MINIMAL, "--set", "database.url=postgres://u:p@h/d"], "url"),
]


def main():
    for values in sorted(CHART.glob("ci/*.yaml")):
        case = values.stem
        objects = [d for d in yaml.safe_load_all((RENDERED / f"{case}.yaml").read_text()) if d]
        every_case(case, objects)
        {"embedded": embedded, "minimal": minimal, "production": production, "gitops": gitops}[case](case, objects)

    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    check("Chart.yaml", "appVersion is the crate's version", chart["appVersion"] == crate_version())
    check("Chart.yaml", "kubeVersion", chart["kubeVersion"] == ">=1.28.0-0")

    for what, args, words in REFUSED:
        code, said = helm("template", "rp", str(CHART), *args)
        check("refused", f"{what}: {said.strip()[:300]}", code != 0 and words in said)
    code, said = helm("template", "rp", str(CHART), "-f", MINIMAL, "--kube-version", "1.27")
    check("refused", f"an older Kubernetes: {said.strip()[:300]}", code != 0 and "1.28" in said)

    code, said = helm("install", "rp", str(CHART), "-n", "prod", "-f", MINIMAL, "--dry-run=client")
    notes = said.partition("NOTES:")[2]
    check("NOTES.txt", f"prints the grpcurl lines: {said.strip()[-300:]}",
          code == 0 and "grpcurl -plaintext -d '{\"service\":\"readiness\"}' 127.0.0.1:50051 grpc.health.v1.Health/Check" in notes)

    print(f"chart assertions: {results['passed']} passed, {results['failed']} failed")
    sys.exit(1 if results["failed"] or not results["passed"] else 0)


main()
