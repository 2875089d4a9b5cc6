//! Reads what the running servers of an instance trust: their flags from `/proc`, each file as the server sees it, and
//! the authorities that the cluster publishes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::join_all;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::config::Kubeconfig;
use serde_json::Value;
use x509_parser::pem::Pem;

use crate::audit::{Trust, TrustAnchor};
use crate::cluster::{TestCluster, TestNode};

use super::{authorities, credentials, files, quick, within};

/// Prints process id, name and command line (base64) of each server. The kernel cuts a name after 15 characters.
const SERVERS: &str = r#"for dir in /proc/[0-9]*; do
read -r name < "$dir/comm" || continue
case $name in kube-apiserver|kube-controller|kube-scheduler|etcd|kubelet)
printf '%s ' "${dir#/proc/}"; base64 --wrap=0 < "$dir/cmdline"; echo;; esac; done 2>/dev/null"#;

/// The flags whose files have certificates or keys that the server trusts.
const ANCHORS: [&str; 14] = [
    "client-ca-file",
    "requestheader-client-ca-file",
    "etcd-cafile",
    "kubelet-certificate-authority",
    "oidc-ca-file",
    "service-account-key-file",
    "trusted-ca-file",
    "peer-trusted-ca-file",
    "root-ca-file",
    "cluster-signing-cert-file",
    "cluster-signing-kubelet-serving-cert-file",
    "cluster-signing-kubelet-client-cert-file",
    "cluster-signing-kube-apiserver-client-cert-file",
    "cluster-signing-legacy-unknown-cert-file",
];

/// The ConfigMaps with authorities, as `namespace/name`, and their entries.
const PUBLISHED: [(&str, &[&str]); 3] = [
    ("kube-system/extension-apiserver-authentication", &["client-ca-file", "requestheader-client-ca-file"]),
    ("kube-system/kube-root-ca.crt", &["ca.crt"]),
    ("kube-public/cluster-info", &["kubeconfig"]),
];

/// The flags that admit clients in a way that homelab does not plan. An ending `*` stands for any rest.
const UNPLANNED: [&str; 8] = [
    "token-auth-file",
    "authentication-config",
    "authentication-token-webhook-config-file",
    "oidc-*",
    "authorization-webhook-*",
    "authorization-config",
    "insecure-*",
    "config-dir",
];

/// What all servers of a cluster trust. What cannot be read is named in it.
pub(super) async fn of(cluster: &TestCluster) -> Trust {
    let plan = &cluster.inner().plan;
    let all = cluster.nodes().iter().map(async |node| {
        let read = within(plan, of_node(node)).await;
        read.unwrap_or_else(|| {
            let why = format!("what the servers of {} trust could not be read", node.real_name());
            Trust { unread: vec![why], ..Trust::default() }
        })
    });
    let (nodes, published) = futures::join!(join_all(all), within(plan, published(cluster)));
    let published = published.unwrap_or_else(|| {
        let why = format!("the authorities that '{}' publishes could not be read", cluster.name());
        Trust { unread: vec![why], ..Trust::default() }
    });
    nodes.into_iter().chain([published]).fold(Trust::default(), |mut whole, one| {
        whole.anchors.extend(one.anchors);
        whole.unplanned.extend(one.unplanned);
        whole.unread.extend(one.unread);
        whole
    })
}

/// The authorities that a cluster publishes in ConfigMaps: those that servers of aggregated APIs trust, the one that pods
/// trust, and the one that joining nodes trust.
async fn published(cluster: &TestCluster) -> Option<Trust> {
    let mut trust = Trust::default();
    for (place, settings) in PUBLISHED {
        let (namespace, name) = place.split_once('/')?;
        let maps: Api<ConfigMap> = Api::namespaced(cluster.client(), namespace);
        let data = maps.get(name).await.ok()?.data?;
        for setting in settings {
            let text = data.get(*setting)?;
            let keys = if *setting == "kubeconfig" { in_kubeconfig(text) } else { keys(text) }?;
            trust.anchors.extend((1..).zip(keys).map(|(block, key)| TrustAnchor {
                node: cluster.name().to_owned(),
                server: "ConfigMap".to_owned(),
                setting: (*setting).to_owned(),
                file: place.to_owned(),
                block,
                key,
            }));
        }
    }
    Some(trust)
}

/// The fingerprints of the authorities of all clusters in a kubeconfig. Pure.
fn in_kubeconfig(text: &str) -> Option<Vec<String>> {
    let config = Kubeconfig::from_yaml(text).ok()?;
    let all = config.clusters.iter().map(|named| {
        let data = named.cluster.as_ref()?.certificate_authority_data.as_deref()?;
        keys(&credentials::decoded(data)?)
    });
    let all = all.collect::<Option<Vec<_>>>()?.concat();
    (!all.is_empty()).then_some(all)
}

async fn of_node(node: &TestNode) -> Option<Trust> {
    let listed = node.run(&quick("sh").args(["-c", SERVERS])).await.ok()?.text();
    let servers: Vec<Server> = listed.lines().map(Server::parse).collect::<Option<_>>()?;
    let mut trust = Trust::default();
    let mut named = Vec::new();
    for server in &servers {
        let whose = format!("{} of {}", server.program, node.real_name());
        trust.unplanned.extend(server.unplanned().map(|flag| format!("{whose} runs with --{flag}")));
        named.extend(server.anchors().map(|(setting, file)| (server, setting, file)));
    }
    let configured: Vec<_> = servers.iter().filter_map(|server| Some((server, server.config()?))).collect();
    let paths: Vec<String> = configured.iter().map(|(server, file)| server.path(file)).collect();
    let configs = if paths.is_empty() { Vec::new() } else { files::read(node, &paths).await? };
    for ((server, file), text) in configured.into_iter().zip(configs) {
        let config: Value = serde_saphyr::from_str(&text).ok()?;
        trust.unplanned.extend(open(&config).map(|what| format!("{file} of {} {what}", node.real_name())));
        let authority = config.pointer("/authentication/x509/clientCAFile").and_then(Value::as_str);
        named.extend(authority.map(|file| (server, "clientCAFile", file.to_owned())));
    }
    let paths: Vec<String> = named.iter().map(|(server, _, file)| server.path(file)).collect();
    let texts = if paths.is_empty() { Vec::new() } else { files::read(node, &paths).await? };
    for ((server, setting, file), text) in named.into_iter().zip(texts) {
        let Some(keys) = keys(&text) else {
            trust.unread.push(format!("{file} of {} has a block that is not understood", node.real_name()));
            continue;
        };
        trust.anchors.extend((1..).zip(keys).map(|(block, key)| TrustAnchor {
            node: node.real_name().to_owned(),
            server: server.program.clone(),
            setting: setting.to_owned(),
            file: file.clone(),
            block,
            key,
        }));
    }
    Some(trust)
}

/// A running server.
struct Server {
    pid: u32,
    /// The name of its program's file.
    program: String,
    /// Its flags without dashes, each with its value; the value of a flag without one is empty.
    flags: Vec<(String, String)>,
}

impl Server {
    /// From a line that [`SERVERS`] prints. Pure.
    fn parse(line: &str) -> Option<Self> {
        let (pid, encoded) = line.split_once(' ')?;
        let bytes = STANDARD.decode(encoded).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let mut words = text.split_terminator('\0').peekable();
        let program = words.next()?.rsplit('/').next()?.to_owned();
        let mut flags = Vec::new();
        while let Some(word) = words.next() {
            let Some(flag) = word.strip_prefix('-').map(|flag| flag.trim_start_matches('-')) else {
                continue;
            };
            let (name, value) = match flag.split_once('=') {
                Some(both) => both,
                None => (flag, words.next_if(|next| !next.starts_with('-')).unwrap_or_default()),
            };
            // Kubernetes takes `_` for `-` in the names of flags.
            flags.push((name.replace('_', "-"), value.to_owned()));
        }
        Some(Self { pid: pid.parse().ok()?, program, flags })
    }

    fn anchors(&self) -> impl Iterator<Item = (&str, String)> {
        let files = self.flags.iter().filter(|(name, file)| ANCHORS.contains(&&**name) && !file.is_empty());
        files.flat_map(|(name, files)| files.split(',').map(|file| (name.as_str(), file.to_owned())))
    }

    fn unplanned(&self) -> impl Iterator<Item = String> {
        let is_it = |(name, value): &&(String, String)| {
            let named = UNPLANNED.iter().any(|flag| match flag.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => name == flag,
            });
            named
                || (name == "anonymous-auth" && value != "false")
                || (name == "authorization-mode" && value.contains("AlwaysAllow"))
                || (name.ends_with("client-cert-auth") && value == "false")
        };
        self.flags.iter().filter(is_it).map(|(name, value)| match value.is_empty() {
            true => name.clone(),
            false => format!("{name}={value}"),
        })
    }

    /// The configuration file of a kubelet.
    fn config(&self) -> Option<String> {
        let config = self.flags.iter().find(|(name, _)| self.program == "kubelet" && name == "config");
        config.map(|(_, file)| file.clone())
    }

    /// The path of a file as this server sees it, for a command on its node.
    fn path(&self, file: &str) -> String {
        format!("/proc/{}/root/{}", self.pid, file.trim_start_matches('/'))
    }
}

/// What a kubelet's configuration opens to all clients. Pure.
fn open(config: &Value) -> impl Iterator<Item = &'static str> {
    let at = |place: &str| config.pointer(place).cloned();
    let anonymous = at("/authentication/anonymous/enabled") != Some(Value::Bool(false));
    let all = at("/authorization/mode") == Some("AlwaysAllow".into());
    let all = all.then_some("allows everything to every client");
    anonymous.then_some("accepts anonymous requests").into_iter().chain(all)
}

/// The fingerprints of the keys in all PEM blocks of a file. `None` where one is neither a certificate nor a public
/// key, or where there is no block. Pure.
fn keys(text: &str) -> Option<Vec<String>> {
    let blocks = Pem::iter_from_buffer(text.as_bytes());
    let keys: Vec<String> =
        blocks.map(|block| Some(authorities::prints(&block.ok()?)?.1)).collect::<Option<_>>()?;
    (!keys.is_empty()).then_some(keys)
}

#[cfg(test)]
mod tests {
    use provisioner::pki::Bundle;

    use super::*;

    fn server(words: &[&str]) -> Server {
        Server::parse(&format!("71 {}", STANDARD.encode(format!("{}\0", words.join("\0"))))).unwrap()
    }

    #[test]
    fn every_block_of_a_file_counts_and_an_unknown_block_is_no_key() {
        let (acme, globex) = (Bundle::make("acme").unwrap(), Bundle::make("globex").unwrap());
        let (one, other) = (&acme.front_proxy.certificate, &globex.front_proxy.certificate);
        let two = keys(&format!("{one}\nwords between\n{other}{}", globex.service_account_public)).unwrap();
        assert_eq!(two.len(), 3);
        assert_eq!(keys(one).unwrap(), two[..1]);
        assert_eq!(keys(other).unwrap(), two[1..2]);
        assert_eq!(keys(&format!("{one}{}", acme.front_proxy.key.reveal())), None);
        assert_eq!(keys("no block"), None);
    }

    #[test]
    fn the_authorities_of_every_cluster_in_a_published_kubeconfig_count() {
        let bundles = ["acme", "globex"].map(|name| Bundle::make(name).unwrap().cluster.certificate);
        let cluster = |pem: &String| {
            let encoded = STANDARD.encode(pem);
            format!("- name: \"\"\n  cluster: {{server: https://x, certificate-authority-data: {encoded}}}\n")
        };
        let text = |all: &[String]| format!("clusters:\n{}", all.iter().map(cluster).collect::<String>());
        let both = in_kubeconfig(&text(&bundles)).unwrap();
        assert_eq!(both, bundles.iter().flat_map(|pem| keys(pem).unwrap()).collect::<Vec<_>>());
        assert_eq!(in_kubeconfig("clusters: []\n"), None);
        assert_eq!(in_kubeconfig("clusters:\n- name: a\n  cluster: {server: https://x}\n"), None);
    }

    #[test]
    fn flags_are_read_in_every_spelling_and_repeated_ones_all_count() {
        let api = server(&[
            "/usr/bin/kube-apiserver",
            "--client-ca-file=/a.crt",
            "--requestheader_client_ca_file",
            "/b.crt",
            "--service-account-key-file=/c.pub,/d.pub",
            "--service-account-key-file=/e.pub",
            "--allow-privileged",
            "--token-auth-file=/tokens.csv",
            "--oidc-issuer-url=https://one",
            "--anonymous-auth=false",
        ]);
        assert_eq!(api.program, "kube-apiserver");
        let files: Vec<String> = api.anchors().map(|(_, file)| file).collect();
        assert_eq!(files, ["/a.crt", "/b.crt", "/c.pub", "/d.pub", "/e.pub"]);
        let unplanned: Vec<String> = api.unplanned().collect();
        assert_eq!(unplanned, ["token-auth-file=/tokens.csv", "oidc-issuer-url=https://one"]);
        assert_eq!((api.config(), api.path("/a.crt").as_str()), (None, "/proc/71/root/a.crt"));
        let kubelet = server(&["kubelet", "--config=/var/lib/kubelet/config.yaml", "--anonymous-auth"]);
        assert_eq!(kubelet.config().as_deref(), Some("/var/lib/kubelet/config.yaml"));
        assert_eq!(kubelet.unplanned().collect::<Vec<_>>(), ["anonymous-auth"]);
        let etcd = server(&["etcd", "-trusted-ca-file=/etcd.crt", "--client-cert-auth=false"]);
        assert_eq!(etcd.anchors().collect::<Vec<_>>(), [("trusted-ca-file", "/etcd.crt".to_owned())]);
        assert_eq!(etcd.unplanned().collect::<Vec<_>>(), ["client-cert-auth=false"]);
        assert!(Server::parse("none").is_none() && Server::parse("1 !").is_none());
    }

    #[test]
    fn a_kubelet_that_is_open_to_all_is_named() {
        let config = |anonymous, mode: &str| {
            let authentication = serde_json::json!({ "anonymous": { "enabled": anonymous } });
            serde_json::json!({ "authentication": authentication, "authorization": { "mode": mode } })
        };
        assert_eq!(open(&config(false, "Webhook")).count(), 0);
        assert_eq!(open(&config(true, "AlwaysAllow")).count(), 2);
        assert_eq!(open(&Value::Null).count(), 1, "the default of a file without the setting is not known");
    }
}
