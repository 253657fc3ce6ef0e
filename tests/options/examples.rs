//! examples/: each file is what Compose or Kubernetes reads, hangs together,
//! and gives the relay options that it takes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use ff_relay::config::{self, Config, Fixed, Mode, parse_duration, table};
use serde_json::Value;

use super::run;

const SETS: [&str; 3] = ["one-relay", "redis", "followers"];
const IMAGE: &str = "ff-relay:latest";

fn text(set: &str, file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(set).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every document of a file. A key that stands twice is an error, too.
fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{error}"))
}

fn member<'a>(value: &'a Value, path: &str) -> &'a Value {
    value.pointer(path).unwrap_or_else(|| panic!("{path} is missing in {value:#}"))
}

fn word<'a>(value: &'a Value, path: &str) -> &'a str {
    member(value, path).as_str().unwrap_or_else(|| panic!("{path} is no text in {value:#}"))
}

fn list<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    value.pointer(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().map(|it| it.keys().map(String::as_str).collect()).unwrap_or_default()
}

/// A word that no field has is most likely misspelt.
fn only_known(value: &Value, known: &[&str], what: &str) {
    for key in keys(value) {
        assert!(known.contains(&key), "{what}: {key} is not known here");
    }
}

/// The relay of one container: `files` lie where it reads secrets.
fn relay(what: &str, variables: &BTreeMap<String, String>, files: &BTreeSet<PathBuf>) -> Config {
    let names: BTreeSet<String> = table::all().filter_map(config::OptionSpec::variable_name).collect();
    let secrets: BTreeSet<String> = table::all().filter_map(config::OptionSpec::file_variable_name).collect();
    // As the image has it.
    let mut surroundings = Fixed::default().with_variable("DATA_DIR", "/data");
    for (name, value) in variables {
        assert!(names.contains(name) || secrets.contains(name), "{what}: {name} is no option");
        let secret = table::all().find(|spec| spec.variable_name().as_ref() == Some(name));
        assert!(secret.is_none_or(|spec| !spec.kind.is_secret()), "{what}: {name} belongs into a file");
        if secrets.contains(name) {
            assert!(files.contains(Path::new(value)), "{what}: nothing is mounted at {value}");
        }
        surroundings = surroundings.with_variable(name, value);
    }
    for file in files {
        surroundings = surroundings.with_file(file, "made-up");
    }
    let config = run(&[], &surroundings);
    let unexpected: Vec<&String> = config.warnings.iter().filter(|it| !it.contains("without TLS")).collect();
    assert!(unexpected.is_empty(), "{what}: {unexpected:?}");
    assert!(config.http.auth_secret.is_some(), "{what}: SDKs move between relays");
    config
}

/// The ports on which the relay listens for other machines.
fn listens(config: &Config) -> BTreeSet<u64> {
    let grpc = config.grpc.address.filter(|address| !address.ip().is_loopback()).map(|it| it.port());
    [Some(config.http.port), grpc].into_iter().flatten().map(u64::from).collect()
}

/// Whom the relay connects to beside Harness: `host:port`.
fn talks_to(config: &Config) -> Vec<(String, u64)> {
    let redis = config.redis.iter().flat_map(|it| &it.addresses).map(|it| (it.host.clone(), u64::from(it.port)));
    let Mode::Peer(peer) = &config.mode else { return redis.collect() };
    let split = |address: &String| {
        let (host, port) = address.rsplit_once(':').unwrap();
        (host.rsplit('/').next().unwrap().to_owned(), port.parse().unwrap())
    };
    peer.addresses.iter().map(ToString::to_string).map(|it| split(&it)).chain(redis).collect()
}

#[test]
fn compose_files() {
    for set in SETS {
        let text = text(set, "compose.yaml");
        let documents = documents(&text);
        assert_eq!(documents.len(), 1);
        compose(set, &text, &documents[0]);
    }
}

const COMPOSE_SERVICE: [&str; 18] = [
    "image",
    "build",
    "hostname",
    "command",
    "environment",
    "secrets",
    "ports",
    "volumes",
    "tmpfs",
    "networks",
    "healthcheck",
    "depends_on",
    "read_only",
    "cap_drop",
    "security_opt",
    "stop_grace_period",
    "restart",
    "user",
];

fn compose(set: &str, text: &str, file: &Value) {
    only_known(file, &["services", "networks", "volumes", "secrets"], set);
    let services = keys(member(file, "/services"));
    let (mut published, mut used) = (BTreeSet::new(), BTreeSet::new());
    let mut listening = BTreeMap::new();
    let mut calls = Vec::new();
    for name in &services {
        let what = format!("{set}/compose.yaml, {name}");
        let service = member(file, &format!("/services/{name}"));
        only_known(service, &COMPOSE_SERVICE, &what);
        let mut files = BTreeSet::new();
        for secret in list(service, "/secrets").iter().filter_map(Value::as_str) {
            let source = word(file, &format!("/secrets/{secret}/file"));
            let told = text.lines().any(|line| line.starts_with('#') && line.contains(secret));
            assert!(told, "{what}: how {source} is made is not said");
            files.insert(PathBuf::from(format!("/run/secrets/{secret}")));
            used.insert(format!("/secrets/{secret}"));
        }
        for network in list(service, "/networks").iter().filter_map(Value::as_str) {
            used.insert(format!("/networks/{network}"));
        }
        for volume in list(service, "/volumes").iter().filter_map(Value::as_str) {
            let (source, _) = volume.split_once(':').unwrap();
            used.insert(format!("/volumes/{source}"));
        }
        for other in list(service, "/depends_on").iter().filter_map(Value::as_str) {
            assert!(services.contains(other), "{what}: there is no service {other}");
        }
        if word(service, "/image") != IMAGE {
            // Redis, on its own port.
            listening.insert((*name).to_owned(), [6379].into());
            continue;
        }
        let variables = member(service, "/environment").as_object().unwrap();
        let variables =
            variables.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
        let config = relay(&what, &variables, &files);
        let ports = listens(&config);
        for port in list(service, "/ports").iter().filter_map(Value::as_str) {
            let (outside, inside) = port.split_once(':').unwrap();
            assert!(ports.contains(&inside.parse().unwrap()), "{what}: nothing listens on {inside}");
            assert!(published.insert(outside.to_owned()), "{what}: {outside} is published twice");
        }
        assert!(list(service, "/volumes").iter().any(|it| it.as_str().unwrap().ends_with(":/data")), "{what}: /data");
        assert_eq!(member(service, "/read_only"), true, "{what}");
        let grace = parse_duration(word(service, "/stop_grace_period")).unwrap();
        assert!(grace > config.shutdown_grace, "{what}: stop_grace_period");
        calls.extend(talks_to(&config).into_iter().map(|it| (what.clone(), it)));
        listening.insert((*name).to_owned(), ports);
    }
    for path in &used {
        assert!(file.pointer(path).is_some(), "{set}/compose.yaml: {path} is not defined");
    }
    for kind in ["networks", "volumes", "secrets"] {
        let all = file.get(kind).map(keys).unwrap_or_default();
        for name in all {
            assert!(used.contains(&format!("/{kind}/{name}")), "{set}/compose.yaml: nobody uses {kind} {name}");
        }
    }
    reachable(&calls, &listening);
}

/// Every host that a relay names is there, and listens on that port.
fn reachable(calls: &[(String, (String, u64))], listening: &BTreeMap<String, BTreeSet<u64>>) {
    for (what, (host, port)) in calls {
        assert!(
            listening.get(host).is_some_and(|ports| ports.contains(port)),
            "{what}: {host}:{port} in {listening:?}"
        );
    }
}

#[test]
fn kubernetes_manifests() {
    for set in SETS {
        let text = text(set, "kubernetes.yaml");
        let documents = documents(&text);
        let what = format!("{set}/kubernetes.yaml");
        let mut names = BTreeSet::new();
        for object in &documents {
            object_itself(&what, object);
            let name = (word(object, "/kind"), word(object, "/metadata/name"));
            assert!(names.insert(name), "{what}: {name:?} is there twice");
        }
        let pods: Vec<Pod> = documents.iter().filter_map(|object| pod(&what, &text, object)).collect();
        for kind in ["Service", "PodDisruptionBudget"] {
            assert!(names.iter().any(|(it, _)| *it == kind), "{what}: no {kind}");
        }
        let mut listening = BTreeMap::new();
        for object in &documents {
            selectors(&what, object, &pods, &mut listening);
        }
        for pod in &pods {
            if let Some(service) = member(pod.object, "/spec").get("serviceName").and_then(Value::as_str) {
                assert!(names.contains(&("Service", service)), "{}: there is no Service {service}", pod.name);
            }
            let budgets = documents.iter().filter(|it| it["kind"] == "PodDisruptionBudget");
            let counted = budgets.filter(|it| matches(member(it, "/spec/selector/matchLabels"), pod)).count();
            assert_eq!(counted, usize::from(pod.config.is_some()), "{}: budgets", pod.name);
        }
        let calls: Vec<_> =
            pods.iter().flat_map(|pod| pod.config.iter().flat_map(talks_to).map(|it| (pod.name.clone(), it))).collect();
        reachable(&calls, &listening);
    }
}

/// A workload and what its pods are.
struct Pod<'a> {
    name: String,
    object: &'a Value,
    labels: &'a Value,
    /// By name.
    ports: BTreeMap<&'a str, u64>,
    /// `None`: no relay.
    config: Option<Config>,
}

fn object_itself(what: &str, object: &Value) {
    only_known(object, &["apiVersion", "kind", "metadata", "spec"], what);
    let (kind, name) = (word(object, "/kind"), word(object, "/metadata/name"));
    let what = format!("{what}, {kind} {name}");
    let version = match kind {
        "Service" => "v1",
        "Deployment" | "StatefulSet" => "apps/v1",
        "PodDisruptionBudget" => "policy/v1",
        "NetworkPolicy" => "networking.k8s.io/v1",
        other => panic!("{what}: {other} is not known here"),
    };
    assert_eq!(word(object, "/apiVersion"), version, "{what}");
    only_known(member(object, "/metadata"), &["name", "labels", "annotations"], &what);
    let spec = member(object, "/spec");
    let known: &[&str] = match kind {
        "Service" => &["clusterIP", "selector", "ports"],
        "Deployment" => &["replicas", "strategy", "selector", "template"],
        "StatefulSet" => {
            &["serviceName", "replicas", "podManagementPolicy", "selector", "template", "volumeClaimTemplates"]
        }
        "PodDisruptionBudget" => &["maxUnavailable", "minAvailable", "selector"],
        _ => &["podSelector", "policyTypes", "ingress"],
    };
    only_known(spec, known, &what);
    if kind == "Deployment" || kind == "StatefulSet" {
        only_known(member(spec, "/template/spec"), &POD, &what);
        for container in list(spec, "/template/spec/containers") {
            only_known(container, &CONTAINER, &what);
        }
    }
}

const POD: [&str; 6] = [
    "automountServiceAccountToken",
    "terminationGracePeriodSeconds",
    "securityContext",
    "topologySpreadConstraints",
    "containers",
    "volumes",
];
const CONTAINER: [&str; 11] = [
    "name",
    "image",
    "command",
    "ports",
    "env",
    "livenessProbe",
    "readinessProbe",
    "lifecycle",
    "resources",
    "securityContext",
    "volumeMounts",
];

fn pod<'a>(what: &str, text: &str, object: &'a Value) -> Option<Pod<'a>> {
    let template = object.pointer("/spec/template")?;
    let name = format!("{what}, {} {}", word(object, "/kind"), word(object, "/metadata/name"));
    let labels = member(template, "/metadata/labels");
    assert_eq!(member(object, "/spec/selector/matchLabels"), labels, "{name}: selector");
    let spec = member(template, "/spec");
    assert_eq!(member(spec, "/securityContext/runAsNonRoot"), true, "{name}");
    let [container] = list(spec, "/containers") else { panic!("{name}: one container") };
    assert_eq!(member(container, "/securityContext/readOnlyRootFilesystem"), true, "{name}");
    assert_eq!(member(container, "/securityContext/allowPrivilegeEscalation"), false, "{name}");
    assert!(container.pointer("/resources/requests/memory").is_some(), "{name}: requests");
    let files = mounted(&name, text, object, container);
    let ports: BTreeMap<&str, u64> = list(container, "/ports")
        .iter()
        .map(|port| (word(port, "/name"), member(port, "/containerPort").as_u64().unwrap()))
        .collect();
    for probe in ["livenessProbe", "readinessProbe"] {
        let probe = member(container, &format!("/{probe}"));
        let port = probe.pointer("/httpGet/port").or_else(|| probe.pointer("/tcpSocket/port")).unwrap();
        assert!(ports.contains_key(port.as_str().unwrap()), "{name}: there is no port {port}");
    }
    let config = (word(container, "/image") == IMAGE).then(|| {
        let variables = list(container, "/env").iter();
        let variables = variables.map(|it| (word(it, "/name").to_owned(), word(it, "/value").to_owned())).collect();
        let config = relay(&name, &variables, &files);
        assert_eq!(ports.values().copied().collect::<BTreeSet<_>>(), listens(&config), "{name}: ports");
        for (probe, path) in [("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
            let get = member(container, &format!("/{probe}/httpGet"));
            assert_eq!((word(get, "/path"), word(get, "/port")), (path, "sdk"), "{name}");
        }
        let waits = container.pointer("/lifecycle/preStop/sleep/seconds").and_then(Value::as_u64).unwrap_or(0);
        let grace = member(spec, "/terminationGracePeriodSeconds").as_u64().unwrap();
        assert!(grace > waits + config.shutdown_grace.as_secs(), "{name}: terminationGracePeriodSeconds");
        config
    });
    Some(Pod { name, object, labels, ports, config })
}

/// Where secrets lie. Every mount has its volume, every volume its mount,
/// every secret a line that says how it is made.
fn mounted(what: &str, text: &str, object: &Value, container: &Value) -> BTreeSet<PathBuf> {
    let mut volumes: BTreeMap<&str, Option<&Value>> = BTreeMap::new();
    for volume in list(object, "/spec/template/spec/volumes") {
        volumes.insert(word(volume, "/name"), volume.get("secret"));
    }
    for claim in list(object, "/spec/volumeClaimTemplates") {
        volumes.insert(word(claim, "/metadata/name"), None);
    }
    let mut files = BTreeSet::new();
    for mount in list(container, "/volumeMounts") {
        let name = word(mount, "/name");
        let secret = volumes.remove(name).unwrap_or_else(|| panic!("{what}: there is no volume {name}"));
        let Some(secret) = secret else { continue };
        let made = made(what, text, word(secret, "/secretName"));
        let items = list(secret, "/items");
        for key in items.iter().map(|it| word(it, "/key")) {
            assert!(made.contains(key), "{what}: {secret} has no {key}");
        }
        let paths = if items.is_empty() { made } else { items.iter().map(|it| word(it, "/path")).collect() };
        files.extend(paths.into_iter().map(|path| Path::new(word(mount, "/mountPath")).join(path)));
    }
    assert!(volumes.is_empty(), "{what}: not mounted: {volumes:?}");
    for part in word(container, "/image").strip_prefix("redis").iter().flat_map(|_| list(container, "/command")) {
        for path in part.as_str().unwrap().split(['(', ')', ' ']).filter(|it| it.starts_with("/etc/")) {
            assert!(files.contains(Path::new(path)), "{what}: nothing is mounted at {path}");
        }
    }
    files
}

/// The keys of a secret, by the line that says how it is made.
fn made<'a>(what: &str, text: &'a str, secret: &str) -> BTreeSet<&'a str> {
    let command = format!("kubectl create secret generic {secret} ");
    let line = text.lines().find(|it| it.contains(&command)).unwrap_or_else(|| panic!("{what}: how {secret} is made"));
    line.split("--from-file=").skip(1).map(|it| it.split('=').next().unwrap()).collect()
}

fn matches(selector: &Value, pod: &Pod<'_>) -> bool {
    selector.as_object().unwrap().iter().all(|(name, value)| pod.labels.get(name) == Some(value))
}

/// What selects pods selects some, and what it says of ports is so.
fn selectors(what: &str, object: &Value, pods: &[Pod<'_>], listening: &mut BTreeMap<String, BTreeSet<u64>>) {
    let (kind, name) = (word(object, "/kind"), word(object, "/metadata/name"));
    let what = format!("{what}, {kind} {name}");
    let selected = |selector: &Value| -> Vec<&Pod<'_>> {
        let found: Vec<_> = pods.iter().filter(|pod| matches(selector, pod)).collect();
        assert!(!found.is_empty(), "{what}: selects nothing");
        found
    };
    match kind {
        "Service" => {
            for pod in selected(member(object, "/spec/selector")) {
                let ports: BTreeSet<u64> =
                    list(object, "/spec/ports").iter().map(|it| service_port(&what, it, pod)).collect();
                listening.insert(name.to_owned(), ports.clone());
                let set = word(pod.object, "/metadata/name");
                if object.pointer("/spec/clusterIP").is_some() && word(pod.object, "/kind") == "StatefulSet" {
                    let count = member(pod.object, "/spec/replicas").as_u64().unwrap();
                    listening.extend((0..count).map(|number| (format!("{set}-{number}.{name}"), ports.clone())));
                }
            }
        }
        "PodDisruptionBudget" => drop(selected(member(object, "/spec/selector/matchLabels"))),
        "NetworkPolicy" => {
            let to = selected(member(object, "/spec/podSelector/matchLabels"));
            for rule in list(object, "/spec/ingress") {
                list(rule, "/from").iter().for_each(|from| drop(selected(member(from, "/podSelector/matchLabels"))));
                for port in list(rule, "/ports").iter().map(|it| word(it, "/port")) {
                    assert!(to.iter().all(|pod| pod.ports.contains_key(port)), "{what}: there is no port {port}");
                }
            }
        }
        _ => {
            for spread in list(object, "/spec/template/spec/topologySpreadConstraints") {
                selected(member(spread, "/labelSelector/matchLabels"));
            }
        }
    }
}

fn service_port(what: &str, port: &Value, pod: &Pod<'_>) -> u64 {
    let target = word(port, "/targetPort");
    assert!(pod.ports.contains_key(target), "{what}: {} has no port {target}", pod.name);
    member(port, "/port").as_u64().unwrap()
}
