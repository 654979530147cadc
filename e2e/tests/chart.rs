//! The chart as Helm renders it, without a cluster: what is refused, what follows from which value, and that nothing is forgotten.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this file is nothing but tests")]

use std::collections::BTreeSet;
use std::process::{Command, Output};

use leakhound_e2e::tools::{Tools, workspace};
use serde_json::Value;

fn helm(action: &str, values: &[&str]) -> Output {
    let bin = Tools::build(&[Tools::Helm]).unwrap();
    let mut helm = Command::new(bin.join("helm"));
    match action {
        "template" => {
            helm.args(["template", "leakhound", "--namespace", "leaks", "--kube-version", "1.33.0"])
        }
        action => helm.arg(action),
    };
    helm.arg(workspace().join("charts/leakhound"));
    for value in values {
        let flag = if value.contains("=[") { "--set-json" } else { "--set" };
        helm.args([flag, value]);
    }
    helm.output().unwrap()
}

fn rendered(values: &[&str]) -> Vec<Value> {
    let output = helm("template", values);
    assert!(output.status.success(), "{values:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let objects = serde_yaml_ng::Deserializer::from_str(&text)
        .map(|document| <Value as serde::Deserialize>::deserialize(document).unwrap());
    objects.filter(|object| !object.is_null()).collect()
}

fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let is_it = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == name;
    objects.iter().find(is_it).unwrap_or_else(|| panic!("no {kind} {name}"))
}

fn agent(values: &[&str]) -> Value {
    find(&rendered(values), "DaemonSet", "leakhound-agent")["spec"]["template"]["spec"].clone()
}

fn added_capabilities(values: &[&str]) -> BTreeSet<String> {
    let added = agent(values)["containers"][0]["securityContext"]["capabilities"]["add"].clone();
    serde_json::from_value(added).unwrap()
}

#[test]
fn the_chart_has_no_lint() {
    let output = helm("lint", &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn wrong_values_are_refused_and_named() {
    for (value, complaint) in [
        ("agnet.maxProbes=1", "'agnet' not allowed"),
        ("agent.maxProbe=1", "'maxProbe' not allowed"),
        ("agent.capabilities.preset=tiny", "/agent/capabilities/preset"),
        ("agent.capabilities.add=[\"CAP_BPF\"]", "/agent/capabilities/add"),
        ("agent.seccompProfile=runtime/default", "/agent/seccompProfile"),
        ("agent.maxProbes=0", "/agent/maxProbes"),
        ("agent.resources.limits.memory=lots", "/agent/resources/limits/memory"),
        ("operator.replicas=-1", "/operator/replicas"),
        ("operator.image.digest=sha256:1234", "/operator/image/digest"),
        ("operator.log.format=xml", "/operator/log/format"),
        ("store.url=/var/lib/leakhound", "/store/url"),
        ("store.persistence.enabled=yes", "/store/persistence/enabled"),
        ("reports.url=leaks.example", "/reports/url"),
        ("reports.service.type=NodePort", "/reports/service/type"),
        ("networkPolicy.apiServerPorts=[70000]", "/networkPolicy/apiServerPorts"),
        ("image.pullPolicy=Sometimes", "/image/pullPolicy"),
        ("crds.keep=1", "/crds/keep"),
        ("agent.spoolHostPath=var/spool", "/agent/spoolHostPath"),
        ("uninstall.patience=forever", "/uninstall/patience"),
        ("operator.replicas=2", "needs a store that all of them reach"),
    ] {
        let output = helm("template", &[value]);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{value} was taken");
        assert!(errors.contains(complaint), "{value}: {errors}");
    }
}

/// The paths of all leaves, where `below` gives the fields of a value that has some.
fn leaves(value: &Value, path: &str, found: &mut BTreeSet<String>, below: fn(&Value) -> Option<&Value>) {
    match below(value).and_then(Value::as_object) {
        Some(fields) if !fields.is_empty() => {
            fields.iter().for_each(|(name, field)| leaves(field, &format!("{path}.{name}"), found, below));
        }
        _ => drop(found.insert(path.to_owned())),
    }
}

#[test]
fn every_value_of_the_schema_is_documented_with_its_default() {
    let chart = workspace().join("charts/leakhound");
    let read = |name: &str| std::fs::read_to_string(chart.join(name)).unwrap();
    let schema: Value = serde_json::from_str(&read("values.schema.json")).unwrap();
    let values: Value = serde_yaml_ng::from_str(&read("values.yaml")).unwrap();
    let (mut described, mut defaulted) = (BTreeSet::new(), BTreeSet::new());
    leaves(&schema, "", &mut described, |value| value.get("properties"));
    leaves(&values, "", &mut defaulted, |value| Some(value));
    for path in &described {
        let below = format!("{path}.");
        let there = defaulted.iter().any(|default| default == path || default.starts_with(&below));
        let optional = [".global", ".seLinuxOptions", ".claims"].iter().any(|part| path.contains(part));
        assert!(there || optional, "values.yaml does not document {path}");
    }
}

#[test]
fn the_agent_has_the_capabilities_of_its_preset_and_nothing_else() {
    let minimal =
        BTreeSet::from(["BPF", "DAC_READ_SEARCH", "PERFMON", "SYSLOG", "SYS_PTRACE"].map(String::from));
    assert_eq!(added_capabilities(&[]), minimal);
    let more = added_capabilities(&["agent.capabilities.preset=compat"]);
    assert_eq!(more.difference(&minimal).collect::<Vec<_>>(), ["SYS_ADMIN", "SYS_RESOURCE"]);
    let added = added_capabilities(&["agent.capabilities.add=[\"CHECKPOINT_RESTORE\"]"]);
    assert_eq!(added.difference(&minimal).collect::<Vec<_>>(), ["CHECKPOINT_RESTORE"]);

    let security = agent(&[])["containers"][0]["securityContext"].clone();
    assert_eq!(security["capabilities"]["drop"][0], "ALL");
    assert_eq!(security["allowPrivilegeEscalation"], false);
    assert_eq!(security["readOnlyRootFilesystem"], true);
    let privileged =
        agent(&["agent.capabilities.preset=privileged"])["containers"][0]["securityContext"].clone();
    assert_eq!(privileged["privileged"], true);
    assert_eq!(privileged.get("capabilities"), None, "privileged has them all");
}

#[test]
fn the_agent_gets_nothing_of_the_host_but_processes_and_cgroups() {
    let pod = agent(&[]);
    assert_eq!(pod["hostPID"], true);
    assert_eq!((pod.get("hostNetwork"), pod.get("hostIPC")), (None, None));
    let volumes = pod["volumes"].as_array().unwrap();
    let of_host: Vec<_> = volumes.iter().filter_map(|volume| volume["hostPath"]["path"].as_str()).collect();
    assert_eq!(of_host, ["/sys/fs/cgroup"]);
    let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
    let writable: Vec<_> = mounts.iter().filter(|mount| mount["readOnly"] != true).collect();
    assert_eq!(writable.len(), 1, "{writable:?}");
    assert_eq!(writable[0]["name"], "spool");
}

#[test]
fn a_directory_of_the_node_for_recordings_is_a_wish_of_its_own() {
    let pod = agent(&["agent.spoolHostPath=/var/spool/leakhound"]);
    let volumes = pod["volumes"].as_array().unwrap();
    let of_host: Vec<_> = volumes.iter().filter_map(|volume| volume["hostPath"]["path"].as_str()).collect();
    assert_eq!(of_host, ["/sys/fs/cgroup", "/var/spool/leakhound"]);
}

#[test]
fn what_ends_investigations_before_an_uninstall_may_do_nothing_else() {
    let objects = rendered(&[]);
    let hooks: Vec<_> = objects
        .iter()
        .filter(|object| object["metadata"]["annotations"]["helm.sh/hook"] == "pre-delete")
        .collect();
    let kinds: BTreeSet<_> = hooks.iter().filter_map(|object| object["kind"].as_str()).collect();
    assert_eq!(kinds, BTreeSet::from(["ClusterRole", "ClusterRoleBinding", "Job", "ServiceAccount"]));
    let rules = &find(&objects, "ClusterRole", "leakhound-uninstall")["rules"];
    assert_eq!(rules[0]["verbs"], serde_json::json!(["list", "patch"]));
    assert_eq!(rules.as_array().unwrap().len(), 1);
    let job = &find(&objects, "Job", "leakhound-uninstall")["spec"];
    assert_eq!((job["backoffLimit"].as_i64(), job["activeDeadlineSeconds"].as_i64()), (Some(0), Some(90)));
    let left_alone = rendered(&["uninstall.patience=0s"]);
    assert!(left_alone.iter().all(|object| object["metadata"]["name"] != "leakhound-uninstall"));
}

#[test]
fn no_pod_has_a_token_that_lives_for_ever() {
    let objects = rendered(&[]);
    for (kind, name, audiences) in [
        ("Deployment", "leakhound-operator", vec![""]),
        ("DaemonSet", "leakhound-agent", vec!["", "leakhound"]),
    ] {
        let pod = &find(&objects, kind, name)["spec"]["template"]["spec"];
        assert_eq!(pod["automountServiceAccountToken"], false);
        let volumes = pod["volumes"].as_array().unwrap().iter();
        let sources = volumes.filter_map(|volume| volume["projected"]["sources"].as_array()).flatten();
        let tokens: Vec<_> = sources.filter_map(|source| source.get("serviceAccountToken")).collect();
        assert!(
            tokens.iter().all(|token| token["expirationSeconds"].as_i64().unwrap() <= 3600),
            "{tokens:?}"
        );
        let have: Vec<_> =
            tokens.iter().map(|token| token["audience"].as_str().unwrap_or_default()).collect();
        assert_eq!(have, audiences);
    }
}

#[test]
fn the_operator_needs_no_right_that_restricted_pods_lack() {
    let pod = find(&rendered(&[]), "Deployment", "leakhound-operator")["spec"]["template"]["spec"].clone();
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    let security = &pod["containers"][0]["securityContext"];
    assert_eq!(security["capabilities"], serde_json::json!({"drop": ["ALL"]}));
    assert_eq!(security["allowPrivilegeEscalation"], false);
}

#[test]
fn an_object_store_needs_no_volume_and_allows_replicas() {
    let objects =
        rendered(&["store.url=s3://leaks/prod", "store.credentialsSecret=s3", "operator.replicas=2"]);
    let deployment = &find(&objects, "Deployment", "leakhound-operator")["spec"];
    assert_eq!(deployment.get("strategy"), None);
    let pod = &deployment["template"]["spec"];
    assert_eq!(pod["containers"][0]["envFrom"][0]["secretRef"]["name"], "s3");
    assert!(pod["volumes"].as_array().unwrap().iter().all(|volume| volume["name"] != "store"));
    find(&objects, "PodDisruptionBudget", "leakhound-operator");
}

#[test]
fn a_digest_wins_over_the_tag() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let set = format!("agent.image.digest={digest}");
    let image = agent(&["image.registry=registry.example/mirror", &set])["containers"][0]["image"].clone();
    assert_eq!(image, format!("registry.example/mirror/leakhound-agent@{digest}"));
}

#[test]
fn everything_namespaced_is_in_the_release_namespace() {
    let all =
        ["metrics.monitors.enabled=true", "metrics.rules.enabled=true", "metrics.dashboard.enabled=true"];
    let cluster_wide = ["CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding"];
    let own = |object: &Value| object["metadata"]["annotations"]["helm.sh/hook"] != "test";
    for object in rendered(&all).into_iter().filter(own) {
        let kind = object["kind"].as_str().unwrap();
        if !cluster_wide.contains(&kind) && !kind.starts_with("ValidatingAdmissionPolicy") {
            assert_eq!(object["metadata"]["namespace"], "leaks", "{kind} {}", object["metadata"]["name"]);
        }
    }
}

#[test]
fn what_can_be_left_out_is_left_out() {
    let kinds = |values: &[&str]| -> BTreeSet<String> {
        rendered(values).iter().map(|object| object["kind"].as_str().unwrap().to_owned()).collect()
    };
    let default = kinds(&[]);
    for kind in ["ServiceMonitor", "PodMonitor", "PrometheusRule", "PersistentVolumeClaim"] {
        assert!(!default.contains(kind), "{kind} is there by default");
    }
    for (value, kind) in [
        ("crds.enabled=false", "CustomResourceDefinition"),
        ("admission.enabled=false", "ValidatingAdmissionPolicy"),
        ("networkPolicy.enabled=false", "NetworkPolicy"),
    ] {
        assert!(default.contains(kind) && !kinds(&[value]).contains(kind), "{value}");
    }
}
