//! The arguments and files of every daemon of the cluster: pure text, each trap with its reason.

use serde_json::{Value, json};

use super::layout::{API_SERVICE, DNS_SERVICE, Layout, NODE, NODE_POD_RANGE, POD_RANGE, SERVICE_RANGE};

/// Where containerd listens, as seen on the node.
pub(super) const CONTAINERD: &str = "/run/containerd/containerd.sock";
/// The image of the process that holds a pod's namespaces.
pub(super) const PAUSE: &str = "localhost/pause:1";

fn flags(flags: &[(&str, String)]) -> Vec<String> {
    flags.iter().map(|(name, value)| format!("--{name}={value}")).collect()
}

fn at(layout: &Layout, name: &str) -> String {
    layout.path(name).display().to_string()
}

/// Host names and addresses under which the API server is reached.
pub(super) fn api_server_names(layout: &Layout) -> Vec<String> {
    let names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"];
    let addresses = [layout.node_address().to_string(), API_SERVICE.to_string(), "127.0.0.1".to_owned()];
    names.iter().map(ToString::to_string).chain(addresses).collect()
}

pub(super) fn etcd(layout: &Layout) -> Vec<String> {
    let mut arguments = flags(&[
        ("data-dir", at(layout, "etcd")),
        ("listen-client-urls", "http://127.0.0.1:2379".into()),
        ("advertise-client-urls", "http://127.0.0.1:2379".into()),
        ("listen-peer-urls", "http://127.0.0.1:2380".into()),
        ("log-level", "warn".into()),
    ]);
    arguments.push("--unsafe-no-fsync".into()); // the cluster is thrown away with its disk
    arguments
}

pub(super) fn api_server(layout: &Layout) -> Vec<String> {
    flags(&[
        ("etcd-servers", "http://127.0.0.1:2379".into()),
        // Loopback would be refused.
        ("advertise-address", layout.node_address().to_string()),
        ("secure-port", "6443".into()),
        ("tls-cert-file", at(layout, "pki/apiserver.crt")),
        ("tls-private-key-file", at(layout, "pki/apiserver.key")),
        ("client-ca-file", at(layout, "pki/ca.crt")),
        ("service-account-key-file", at(layout, "pki/sa.pub")),
        ("service-account-signing-key-file", at(layout, "pki/sa.key")),
        ("service-account-issuer", "https://kubernetes.default.svc".into()),
        ("service-cluster-ip-range", SERVICE_RANGE.into()),
        ("authorization-mode", "Node,RBAC".into()),
        ("enable-admission-plugins", "NodeRestriction".into()),
        ("allow-privileged", "true".into()),
        ("kubelet-client-certificate", at(layout, "pki/admin.crt")),
        ("kubelet-client-key", at(layout, "pki/admin.key")),
        ("kubelet-certificate-authority", at(layout, "pki/ca.crt")),
        // `kubectl exec` and `logs` would look up the node's name in the host's DNS.
        ("kubelet-preferred-address-types", "InternalIP".into()),
    ])
}

pub(super) fn controller_manager(layout: &Layout) -> Vec<String> {
    flags(&[
        ("kubeconfig", at(layout, "controller-manager.conf")),
        ("service-account-private-key-file", at(layout, "pki/sa.key")),
        ("root-ca-file", at(layout, "pki/ca.crt")),
        ("use-service-account-credentials", "true".into()),
        ("allocate-node-cidrs", "true".into()),
        ("cluster-cidr", POD_RANGE.into()),
        ("leader-elect", "false".into()),
    ])
}

pub(super) fn scheduler(layout: &Layout) -> Vec<String> {
    flags(&[("kubeconfig", at(layout, "scheduler.conf")), ("leader-elect", "false".into())])
}

pub(super) fn containerd(layout: &Layout) -> Vec<String> {
    flags(&[("config", at(layout, "containerd.toml"))])
}

pub(super) fn containerd_config(layout: &Layout) -> String {
    let network = at(layout, "cni");
    format!(
        r#"version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.nri.v1.nri"]
[grpc]
address = "{CONTAINERD}"
[plugins."io.containerd.internal.v1.opt"]
path = "/var/lib/containerd/opt"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{PAUSE}"
[plugins."io.containerd.cri.v1.runtime"]
# Without CAP_SYS_RESOURCE a container could not be made harder to kill, and would fail to start.
restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["/usr/lib/cni", "/opt/cni/bin"]
conf_dir = "{network}"
"#
    )
}

/// Pods hang on a bridge of the node.
pub(super) fn network() -> Value {
    json!({
        "cniVersion": "1.0.0",
        "name": "leakhound",
        "plugins": [
            {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true, "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": NODE_POD_RANGE}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            }},
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
}

pub(super) fn kubelet(layout: &Layout) -> Vec<String> {
    flags(&[
        ("config", at(layout, "kubelet.json")),
        ("kubeconfig", at(layout, "kubelet.conf")),
        ("hostname-override", NODE.into()),
        ("node-ip", layout.node_address().to_string()),
        ("root-dir", "/var/lib/kubelet".into()),
    ])
}

/// `cgroup` is the path of the cluster's own cgroup: two kubelets under one root would kill each other's pods.
pub(super) fn kubelet_config(layout: &Layout, cgroup: &str) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": format!("unix://{CONTAINERD}"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup,
        "failCgroupV1": false,
        "failSwapOn": false,
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": at(layout, "pki/ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": at(layout, "pki/kubelet.crt"),
        "tlsPrivateKeyFile": at(layout, "pki/kubelet.key"),
        "clusterDomain": "cluster.local",
        "clusterDNS": [DNS_SERVICE.to_string()],
        "resolvConf": "",
        "enforceNodeAllocatable": [],
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        // A full disk of the host is no reason to throw pods out.
        "evictionHard": {
            "imagefs.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "memory.available": "100Mi",
        },
        "imageGCHighThresholdPercent": 100,
        // Short, so that a test of deletion or restart is not spent on waiting for the kubelet.
        "syncFrequency": "10s",
    })
}

pub(super) fn proxy(layout: &Layout) -> Vec<String> {
    flags(&[
        ("kubeconfig", at(layout, "proxy.conf")),
        ("hostname-override", NODE.into()),
        ("cluster-cidr", POD_RANGE.into()),
        ("proxy-mode", "iptables".into()),
        // 0 leaves the kernel's settings alone, which may be read-only.
        ("conntrack-max-per-core", "0".into()),
        ("conntrack-tcp-timeout-established", "0".into()),
        ("conntrack-tcp-timeout-close-wait", "0".into()),
    ])
}

pub(super) fn dns(layout: &Layout) -> Vec<String> {
    vec!["-conf".into(), at(layout, "Corefile")]
}

pub(super) fn dns_config(layout: &Layout) -> String {
    let (address, kubeconfig) = (layout.node_address(), at(layout, "admin.conf"));
    format!(
        ".:53 {{\n  bind {address}\n  errors\n  kubernetes cluster.local {SERVICE_RANGE} {{\n    kubeconfig {kubeconfig}\n  }}\n}}\n"
    )
}

/// CoreDNS runs beside the node, not in a pod: a Service without selector and an EndpointSlice lead to it.
pub(super) fn dns_service(layout: &Layout) -> [Value; 2] {
    let ports = json!([{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]);
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "kube-dns", "namespace": "kube-system"},
        "spec": {"clusterIP": DNS_SERVICE.to_string(), "ports": ports},
    });
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": "kube-dns", "namespace": "kube-system",
            "labels": {"kubernetes.io/service-name": "kube-dns"},
        },
        "addressType": "IPv4",
        "ports": ports,
        "endpoints": [{"addresses": [layout.node_address().to_string()]}],
    });
    [service, slice]
}
