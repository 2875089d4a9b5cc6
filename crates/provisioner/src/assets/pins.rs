//! The pinned versions of everything in a node: embedded Go modules and lists of packages.

use crate::digest::digest_of;

/// The Go module of Kubernetes.
const KUBERNETES_MODULE: &str = "k8s.io/kubernetes";
/// CoreDNS's image tag, which kubeadm is given.
pub const COREDNS_TAG: &str = "v1.15.0";
/// Cilium's image tag.
pub const CILIUM_TAG: &str = "v1.19.6";
/// etcd's image tag, which kubeadm is given.
pub const ETCD_TAG: &str = "3.7.3-0";
/// The image of a pod's sandbox, under the name that containerd is given.
pub const PAUSE_IMAGE: &str = "homelab.invalid/pause:1";
/// The image with a shell, ping and the probe. Every node has it.
pub const TOOLBOX_IMAGE: &str = "homelab.invalid/toolbox:1";

/// The packages of a node's root file system, one per line.
pub(super) const PACKAGES: &str = include_str!("../../../../assets/node/packages");
/// The packages with the programs that Cilium's agent calls, one per line. Its image is a Debian with these.
pub(super) const CILIUM_PACKAGES: &str = include_str!("../../../../assets/cilium/packages");
/// The Debian release of a node's root file system.
pub(super) const SUITE: &str = "bookworm";
/// The static program that runs inside clusters. The host's part of an audit and tests run it outside of them.
pub const PROBE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/homelab-probe"));
/// The sources of the probe, for digests. The program's own bytes depend on the folder in which it was built.
pub(super) const PROBE_SOURCES: &str = include_str!(concat!(env!("OUT_DIR"), "/homelab-probe.sources"));

/// A Go module from which some of a node's binaries are built.
#[derive(Debug)]
pub(super) struct Component {
    /// Its name; all versions of Kubernetes have the name `kubernetes`.
    pub(super) name: &'static str,
    go_mod: &'static str,
    go_sum: &'static str,
    /// The module whose version in go.mod is the component's version.
    pub(super) module: &'static str,
    /// The packages to build, with the names of their binaries.
    pub(super) tools: &'static [(&'static str, &'static str)],
    /// Whether it is built with cgo: runc links libseccomp.
    pub(super) cgo: bool,
    /// Go build tags, comma-separated.
    pub(super) tags: &'static str,
    /// Go variables that the linker sets to the version.
    version_variables: &'static [&'static str],
    /// Files and folders of the module that are kept beside the binaries, below `source`.
    pub(super) sources: &'static [&'static str],
}

macro_rules! module {
    ($folder:literal, $file:literal) => {
        include_str!(concat!("../../../../assets/", $folder, "/", $file))
    };
}

/// All components of all versions, the ones that build quickly first.
pub(super) const COMPONENTS: [Component; 9] = [
    Component {
        name: "cni-plugins",
        go_mod: module!("cni-plugins", "go.mod"),
        go_sum: module!("cni-plugins", "go.sum"),
        module: "github.com/containernetworking/plugins",
        tools: &[
            ("github.com/containernetworking/plugins/plugins/main/bridge", "bridge"),
            ("github.com/containernetworking/plugins/plugins/main/loopback", "loopback"),
            ("github.com/containernetworking/plugins/plugins/main/ptp", "ptp"),
            ("github.com/containernetworking/plugins/plugins/ipam/host-local", "host-local"),
            ("github.com/containernetworking/plugins/plugins/meta/portmap", "portmap"),
        ],
        cgo: false,
        tags: "",
        version_variables: &["github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion"],
        sources: &[],
    },
    Component {
        name: "runc",
        go_mod: module!("runc", "go.mod"),
        go_sum: module!("runc", "go.sum"),
        module: "github.com/opencontainers/runc",
        tools: &[("github.com/opencontainers/runc", "runc")],
        cgo: true,
        tags: "seccomp",
        version_variables: &[],
        sources: &[],
    },
    Component {
        name: "etcd",
        go_mod: module!("etcd", "go.mod"),
        go_sum: module!("etcd", "go.sum"),
        module: "go.etcd.io/etcd/server/v3",
        tools: &[("go.etcd.io/etcd/server/v3", "etcd")],
        cgo: false,
        tags: "",
        version_variables: &[],
        sources: &[],
    },
    Component {
        name: "containerd",
        go_mod: module!("containerd", "go.mod"),
        go_sum: module!("containerd", "go.sum"),
        module: "github.com/containerd/containerd/v2",
        tools: &[
            ("github.com/containerd/containerd/v2/cmd/containerd", "containerd"),
            ("github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2", "containerd-shim-runc-v2"),
            ("github.com/containerd/containerd/v2/cmd/ctr", "ctr"),
        ],
        cgo: false,
        tags: "",
        version_variables: &["github.com/containerd/containerd/v2/version.Version"],
        sources: &[],
    },
    Component {
        name: "coredns",
        go_mod: module!("coredns", "go.mod"),
        go_sum: module!("coredns", "go.sum"),
        module: "github.com/coredns/coredns",
        tools: &[("github.com/coredns/coredns", "coredns")],
        cgo: false,
        tags: "",
        version_variables: &[],
        sources: &[],
    },
    kubernetes(module!("kubernetes", "go.mod"), module!("kubernetes", "go.sum")),
    kubernetes(module!("kubernetes-1.35", "go.mod"), module!("kubernetes-1.35", "go.sum")),
    Component {
        name: "helm",
        go_mod: module!("helm", "go.mod"),
        go_sum: module!("helm", "go.sum"),
        module: "helm.sh/helm/v4",
        tools: &[("helm.sh/helm/v4/cmd/helm", "helm")],
        cgo: false,
        tags: "",
        version_variables: &[],
        sources: &[],
    },
    Component {
        name: "cilium",
        go_mod: module!("cilium", "go.mod"),
        go_sum: module!("cilium", "go.sum"),
        module: "github.com/cilium/cilium",
        tools: &[
            ("github.com/cilium/cilium/cilium-dbg", "cilium-dbg"),
            ("github.com/cilium/cilium/cilium-health/responder", "cilium-health-responder"),
            ("github.com/cilium/cilium/daemon", "cilium-agent"),
            ("github.com/cilium/cilium/hubble", "hubble"),
            ("github.com/cilium/cilium/operator", "cilium-operator-generic"),
            ("github.com/cilium/cilium/plugins/cilium-cni", "cilium-cni"),
            ("github.com/cilium/cilium/tools/mount", "cilium-mount"),
            ("github.com/cilium/cilium/tools/sysctlfix", "cilium-sysctlfix"),
        ],
        cgo: false,
        // The operator asks no cloud for addresses (Makefile of the module's operator).
        tags: "ipam_provider_operator",
        version_variables: &[],
        sources: &[
            "bpf",
            "install/kubernetes/cilium",
            "pkg/k8s/apis/cilium.io/client/crds",
            "images/cilium/init-container.sh",
            "plugins/cilium-cni/install-plugin.sh",
            "plugins/cilium-cni/cni-uninstall.sh",
        ],
    },
];

/// The component of a Kubernetes version.
const fn kubernetes(go_mod: &'static str, go_sum: &'static str) -> Component {
    Component {
        name: "kubernetes",
        go_mod,
        go_sum,
        module: KUBERNETES_MODULE,
        tools: &[
            ("k8s.io/kubernetes/cmd/kubeadm", "kubeadm"),
            ("k8s.io/kubernetes/cmd/kubelet", "kubelet"),
            ("k8s.io/kubernetes/cmd/kube-apiserver", "kube-apiserver"),
            ("k8s.io/kubernetes/cmd/kube-controller-manager", "kube-controller-manager"),
            ("k8s.io/kubernetes/cmd/kube-scheduler", "kube-scheduler"),
            ("k8s.io/kubernetes/cmd/kube-proxy", "kube-proxy"),
            ("k8s.io/kubernetes/cmd/kubectl", "kubectl"),
        ],
        cgo: false,
        tags: "",
        version_variables: &[
            "k8s.io/component-base/version.gitVersion",
            "k8s.io/client-go/pkg/version.gitVersion",
        ],
        sources: &[],
    }
}

/// The components of nodes of one Kubernetes version: that version of Kubernetes, and the components that all versions
/// share.
pub(super) fn components(kubernetes: &str) -> impl Iterator<Item = &'static Component> {
    let of_another = move |component: &Component| {
        component.module == KUBERNETES_MODULE && component.version() != kubernetes
    };
    COMPONENTS.iter().filter(move |component| !of_another(component))
}

impl Component {
    /// The component with this name, in nodes of a supported Kubernetes version.
    #[cfg(test)]
    pub(super) fn named(name: &str, kubernetes: &str) -> &'static Self {
        components(kubernetes)
            .find(|component| component.name == name)
            .expect("only names of the table are asked for, and only supported versions get here")
    }

    /// The files of its module folder.
    pub(super) fn files(&self) -> [(&'static str, &'static str); 2] {
        [("go.mod", self.go_mod), ("go.sum", self.go_sum)]
    }

    /// The version that its go.mod pins, with its `v`.
    pub(super) fn version(&self) -> &'static str {
        let line = self.go_mod.lines().map(|line| line.trim().trim_start_matches("require "));
        let mut versions = line.filter_map(|line| line.strip_prefix(self.module)?.strip_prefix(' '));
        versions
            .find_map(|rest| rest.split_whitespace().next().filter(|word| word.starts_with('v')))
            .unwrap_or("v0")
    }

    /// The oldest Go that builds it, as its go.mod says.
    pub(super) fn go(&self) -> &'static str {
        self.go_mod.lines().find_map(|line| line.strip_prefix("go ")).unwrap_or("0.0")
    }

    /// The linker's flags: no symbol table, and the version.
    pub(super) fn linker_flags(&self) -> String {
        let version = self.version();
        let mut flags = "-s -w".to_owned();
        for variable in self.version_variables {
            flags.push_str(&format!(" -X {variable}={version}"));
        }
        if self.name == "cilium" {
            // The variable must have three words: version, revision and its date (`pkg/version` of the module).
            let (variable, version) = ("github.com/cilium/cilium/pkg/version.ciliumVersion", &version[1..]);
            flags.push_str(&format!(" -X '{variable}={version} release unknown'"));
            flags.push_str(&format!(" -X github.com/cilium/cilium/hubble/pkg.Version={version}"));
        }
        if self.module == KUBERNETES_MODULE {
            let mut numbers = version.trim_start_matches('v').split('.');
            let (major, minor) = (numbers.next().unwrap_or("1"), numbers.next().unwrap_or("0"));
            let base = "k8s.io/component-base/version";
            flags.push_str(&format!(" -X {base}.gitMajor={major} -X {base}.gitMinor={minor}"));
            flags.push_str(&format!(" -X {base}.gitTreeState=clean"));
        }
        flags
    }

    /// The digest of everything that its binaries depend on.
    pub(super) fn digest(&self) -> String {
        let tools: String =
            self.tools.iter().map(|(package, binary)| format!("{package}={binary}\n")).collect();
        let sources = self.sources.join("\n");
        digest_of([self.go_mod, self.go_sum, &tools, self.tags, &self.linker_flags(), &sources])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{KUBERNETES_VERSION, KUBERNETES_VERSIONS};

    #[test]
    fn kubeadm_gets_the_pinned_versions() {
        let version = |name| Component::named(name, KUBERNETES_VERSION).version();
        assert_eq!(version("coredns"), COREDNS_TAG);
        assert_eq!(version("cilium"), CILIUM_TAG);
        assert_eq!(format!("{}-0", &version("etcd")[1..]), ETCD_TAG);
    }

    #[test]
    fn each_supported_version_of_kubernetes_has_one_module_and_each_module_is_of_one() {
        let pinned = COMPONENTS.iter().filter(|component| component.module == KUBERNETES_MODULE);
        assert_eq!(pinned.map(Component::version).collect::<Vec<_>>(), KUBERNETES_VERSIONS);
    }

    #[test]
    fn versions_of_kubernetes_share_all_but_kubernetes_itself() {
        let names = |version| components(version).map(|it| it.name).collect::<Vec<_>>();
        for version in KUBERNETES_VERSIONS {
            assert_eq!(names(version), names(KUBERNETES_VERSION));
            assert_eq!(Component::named("kubernetes", version).version(), version);
            let flags = Component::named("kubernetes", version).linker_flags();
            assert!(flags.contains(&format!("version.gitVersion={version}")), "{flags}");
        }
    }

    #[test]
    fn every_tool_is_declared_in_its_module() {
        for component in &COMPONENTS {
            for (package, _) in component.tools {
                let declared =
                    component.go_mod.lines().any(|line| line.trim().trim_start_matches("tool ") == *package);
                assert!(declared, "{package} is no tool of {} {}", component.name, component.version());
            }
        }
    }

    #[test]
    fn another_flag_makes_another_digest() {
        let runc = Component::named("runc", KUBERNETES_VERSION);
        let other = Component { tags: "", ..Component { tools: runc.tools, ..COMPONENTS[1] } };
        assert_ne!(runc.digest(), other.digest());
    }
}
