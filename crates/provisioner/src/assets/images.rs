//! Builds the images that every node has, `FROM scratch` by podman, and keeps them as archives.

use std::fs;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use crate::digest::digest_of;
use crate::exec::{Command, Runner};

use super::AssetsError;
use super::cache::{Cache, failed};
use super::pins::{
    CILIUM_PACKAGES, CILIUM_TAG, COREDNS_TAG, ETCD_TAG, PACKAGES, PAUSE_IMAGE, PROBE, PROBE_SOURCES,
    TOOLBOX_IMAGE,
};
use super::recipe::Recipe;
use super::sandbox::contained_with_own_run;

/// Part of the digest; must be increased when the code that builds images changes.
const RECIPE: &str = "8";

/// One image: its name and its contents.
struct Image {
    name: String,
    contents: Contents,
}

enum Contents {
    /// One static binary of a component (component, binary), which is also the entrypoint.
    Binary(&'static str, &'static str),
    /// kube-proxy and the `nft` that it calls, with its libraries and the protocols' names.
    Proxy,
    /// The probe as the first process of a sandbox.
    Pause,
    /// Cilium's agent and the programs that it calls. Among them is clang, because the agent compiles its datapath.
    CiliumAgent,
    /// A shell with the usual applets, wget, socat and the probe.
    Toolbox,
}

/// The inputs of the images.
pub(super) struct Sources<'a> {
    /// The cache with the binaries.
    pub(super) cache: &'a Cache,
    /// The recipe whose images are built.
    pub(super) recipe: &'a Recipe,
    /// The Debian trees.
    pub(super) trees: Trees,
}

impl Sources<'_> {
    /// The folder of a component's binaries.
    fn binaries(&self, component: &str) -> Utf8PathBuf {
        self.cache.path(self.recipe.binaries(component))
    }
}

/// The Debian trees that images take programs from.
pub(super) struct Trees {
    /// The node's tree.
    pub(super) node: Utf8PathBuf,
    /// The tree for Cilium's agent.
    pub(super) cilium: Utf8PathBuf,
}

/// All images, under the names that kubeadm and containerd ask for (`kubeadm config images list`).
fn all(kubernetes: &str) -> Vec<Image> {
    let own = |name: &'static str, contents| Image {
        name: format!("registry.k8s.io/{name}:{kubernetes}"),
        contents,
    };
    let plain = |name| own(name, Contents::Binary("kubernetes", name));
    let image = |name: &str, contents| Image { name: name.to_owned(), contents };
    vec![
        plain("kube-apiserver"),
        plain("kube-controller-manager"),
        plain("kube-scheduler"),
        own("kube-proxy", Contents::Proxy),
        image(&format!("registry.k8s.io/etcd:{ETCD_TAG}"), Contents::Binary("etcd", "etcd")),
        image(
            &format!("registry.k8s.io/coredns/coredns:{COREDNS_TAG}"),
            Contents::Binary("coredns", "coredns"),
        ),
        image(&format!("quay.io/cilium/cilium:{CILIUM_TAG}"), Contents::CiliumAgent),
        image(
            &format!("quay.io/cilium/operator-generic:{CILIUM_TAG}"),
            Contents::Binary("cilium", "cilium-operator-generic"),
        ),
        image(PAUSE_IMAGE, Contents::Pause),
        image(TOOLBOX_IMAGE, Contents::Toolbox),
    ]
}

/// The digest of the archives' inputs, given that of all binaries.
pub(super) fn digest(kubernetes: &str, binaries: &str) -> String {
    let names: String = all(kubernetes).into_iter().map(|image| image.name + "\n").collect();
    digest_of([RECIPE, &names, binaries, PACKAGES, CILIUM_PACKAGES, PROBE_SOURCES])
}

/// Builds all archives if they are missing; returns their folder and whether they were in the cache.
pub(super) async fn build(
    sources: &Sources<'_>,
    runner: &dyn Runner,
) -> Result<(Utf8PathBuf, bool), AssetsError> {
    let make = async |part: &Utf8Path| {
        let scratch = part.join("scratch");
        for (number, image) in all(sources.recipe.kubernetes).into_iter().enumerate() {
            let content = scratch.join(format!("content-{number}"));
            let root = content.join("root");
            image.lay_out(sources, &root, runner).await?;
            let recipe = content.join("Containerfile");
            fs::write(&recipe, image.containerfile()).map_err(failed("write", &recipe))?;
            let archive = part.join(archive_name(number));
            let step = |source| AssetsError::Step { artefact: format!("image {}", image.name), source };
            let build = podman(
                &scratch,
                ["build", "--quiet", "--http-proxy=false", "--tag", &image.name, content.as_str()],
            );
            runner.run(&build).await.map_err(step)?;
            let save = podman(&scratch, ["save", "--quiet", "--output", archive.as_str(), &image.name]);
            runner.run(&save).await.map_err(step)?;
        }
        fs::remove_dir_all(&scratch).map_err(failed("remove", &scratch))
    };
    sources.cache.artefact(&sources.recipe.images, make).await
}

/// The archive of the toolbox's image, in the folder that [`build`] returns. Pure.
pub(super) fn toolbox(folder: &Utf8Path, kubernetes: &str) -> Option<Utf8PathBuf> {
    let number = all(kubernetes).iter().position(|image| image.name == TOOLBOX_IMAGE)?;
    Some(folder.join(archive_name(number)))
}

fn archive_name(number: usize) -> String {
    format!("{number}.tar")
}

/// podman with a separate store, so that the host's images are not touched. No network is used.
fn podman<'a>(scratch: &Utf8Path, args: impl IntoIterator<Item = &'a str>) -> Command {
    let root = scratch.join("store");
    let command = Command::within(Duration::from_secs(300), "podman")
        .arg("--remote=false")
        // The runroot's path must be short, because podman makes sockets in it.
        .args(["--root", root.as_str(), "--runroot", "/run/homelab-build", "--runtime", "runc"])
        // Layers are only written and read once, which needs no overlay mount.
        .args(["--storage-driver", "vfs"]);
    contained_with_own_run(&command.args(args))
}

impl Image {
    /// A Containerfile with one layer. Nodes see the unpacked layers through an overlay, which would take the whiteouts
    /// of a second layer (overlayfs.rst) for its own and hide them.
    fn containerfile(&self) -> String {
        let entry = match self.contents {
            Contents::Binary(_, binary) => format!("ENTRYPOINT [\"/usr/local/bin/{binary}\"]\n"),
            Contents::Pause => "ENTRYPOINT [\"/usr/local/bin/homelab-probe\", \"pause\"]\n".to_owned(),
            // The agent's socket for `hubble observe`, as in `images/cilium/Dockerfile` of the module.
            Contents::CiliumAgent => "ENV HUBBLE_SERVER=unix:///var/run/cilium/hubble.sock\n".to_owned(),
            Contents::Proxy | Contents::Toolbox => String::new(),
        };
        format!("FROM scratch\nCOPY root /\nENV PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n{entry}")
    }

    async fn lay_out(
        &self,
        sources: &Sources<'_>,
        root: &Utf8Path,
        runner: &dyn Runner,
    ) -> Result<(), AssetsError> {
        let debian = sources.trees.node.as_path();
        let bin = root.join("usr/local/bin");
        fs::create_dir_all(&bin).map_err(failed("make", &bin))?;
        let copy = |component: &str, binary: &str| {
            let from = sources.binaries(component).join(binary);
            fs::copy(&from, bin.join(binary)).map(drop).map_err(failed("copy", &from))
        };
        match self.contents {
            Contents::Binary(component, binary) => copy(component, binary),
            Contents::Proxy => {
                copy("kubernetes", "kube-proxy")?;
                // kube-proxy uses names of protocols, and without this file nft prints their numbers. A kube-proxy that
                // is restarted would then not recognise its own rules in the kernel, and delete those that it has just
                // added.
                let (names, etc) = ("etc/protocols", root.join("etc"));
                fs::create_dir(&etc).map_err(failed("make", &etc))?;
                fs::copy(debian.join(names), root.join(names))
                    .map_err(failed("copy", &debian.join(names)))?;
                with_libraries(debian, "/usr/sbin/nft", root, runner).await
            }
            Contents::CiliumAgent => cilium(sources, root, runner).await,
            Contents::Pause => probe(&bin),
            Contents::Toolbox => {
                probe(&bin)?;
                with_libraries(debian, "/bin/busybox", root, runner).await?;
                // busybox's own wget crashes with a time-out option, which looks like a denied connection.
                with_libraries(debian, "/usr/bin/wget", root, runner).await?;
                // For servers of all kinds, including TLS. openssl's test server loses data that arrives too early.
                with_libraries(debian, "/usr/bin/socat", root, runner).await?;
                let tmp = root.join("tmp");
                fs::create_dir(&tmp).map_err(failed("make", &tmp))?;
                let shared = std::os::unix::fs::PermissionsExt::from_mode(0o1777);
                fs::set_permissions(&tmp, shared).map_err(failed("open", &tmp))?;
                applets(debian, &root.join("bin"), runner).await
            }
        }
    }
}

/// A whole Debian, with Cilium's programs at the paths that its chart uses (`images/cilium/Dockerfile` of the module).
async fn cilium(sources: &Sources<'_>, root: &Utf8Path, runner: &dyn Runner) -> Result<(), AssetsError> {
    const PROGRAMS: [(&str, &str); 7] = [
        ("cilium-health-responder", "usr/bin/cilium-health-responder"),
        ("cilium-agent", "usr/bin/cilium-agent"),
        ("cilium-dbg", "usr/bin/cilium-dbg"),
        ("cilium-mount", "usr/bin/cilium-mount"),
        ("hubble", "usr/bin/hubble"),
        ("cilium-sysctlfix", "usr/bin/cilium-sysctlfix"),
        ("cilium-cni", "opt/cni/bin/cilium-cni"),
    ];
    const SCRIPTS: [(&str, &str); 3] = [
        ("images/cilium/init-container.sh", "init-container.sh"),
        ("plugins/cilium-cni/install-plugin.sh", "install-plugin.sh"),
        ("plugins/cilium-cni/cni-uninstall.sh", "cni-uninstall.sh"),
    ];
    let step = |source| AssetsError::Step { artefact: "Cilium's image".to_owned(), source };
    let copy = Command::within(Duration::from_secs(120), "cp").args(["--archive", "--link"]);
    runner.run(&copy.args([format!("{}/.", sources.trees.cilium), root.to_string()])).await.map_err(step)?;
    let built = sources.binaries("cilium");
    let source = built.join("source");
    let put = |from: &Utf8Path, to: &str| {
        let to = root.join(to);
        let folder = to.parent().unwrap_or(root);
        fs::create_dir_all(folder).map_err(failed("make", folder))?;
        fs::copy(from, &to).map_err(failed("copy", from))?;
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&to, executable).map_err(failed("write", &to))
    };
    for (program, to) in PROGRAMS {
        put(&built.join(program), to)?;
    }
    for (script, to) in SCRIPTS {
        put(&source.join(script), to)?;
    }
    put(&sources.binaries("cni-plugins").join("loopback"), "cni/loopback")?;
    let links = [("cilium-dbg", "usr/bin/cilium"), ("clang-19", "usr/bin/clang")];
    for (target, link) in links {
        let link = root.join(link);
        std::os::unix::fs::symlink(target, &link).map_err(failed("link", &link))?;
    }
    let state = root.join("var/lib/cilium");
    fs::create_dir_all(&state).map_err(failed("make", &state))?;
    let copy = Command::within(Duration::from_secs(60), "cp").arg("--recursive");
    runner.run(&copy.args([source.join("bpf"), state.join("bpf")])).await.map(drop).map_err(step)
}

fn probe(bin: &Utf8Path) -> Result<(), AssetsError> {
    let path = bin.join("homelab-probe");
    fs::write(&path, PROBE).map_err(failed("write", &path))?;
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&path, executable).map_err(failed("write", &path))
}

/// Copies a program from the Debian tree, with all libraries that its loader names.
async fn with_libraries(
    debian: &Utf8Path,
    program: &str,
    root: &Utf8Path,
    runner: &dyn Runner,
) -> Result<(), AssetsError> {
    let ask = Command::within(Duration::from_secs(30), "chroot").args([debian.as_str(), "ldd", program]);
    let step = |source| AssetsError::Step { artefact: format!("the libraries of {program}"), source };
    let answer = runner.run(&ask).await.map_err(step)?.text();
    for path in std::iter::once(program).chain(libraries(&answer)) {
        let target = root.join(path.trim_start_matches('/'));
        let folder = target.parent().unwrap_or(root);
        fs::create_dir_all(folder).map_err(failed("make", folder))?;
        let from = inside(debian, path);
        fs::copy(&from, &target).map_err(failed("copy", &from))?;
    }
    Ok(())
}

/// The file to which a path of the tree leads. An absolute link, such as Debian's loader, leads to a file of the tree
/// and not of the host.
fn inside(tree: &Utf8Path, path: &str) -> Utf8PathBuf {
    let mut file = tree.join(path.trim_start_matches('/'));
    while let Ok(target) = file.read_link_utf8() {
        file = match target.strip_prefix("/") {
            Ok(absolute) => tree.join(absolute),
            Err(_) => file.with_file_name(target),
        };
    }
    file
}

/// The paths in the output of `ldd`: `libc.so.6 => /lib/… (0x…)`, and the loader's line.
fn libraries(answer: &str) -> impl Iterator<Item = &str> {
    answer.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
}

/// A link for each applet of busybox.
async fn applets(debian: &Utf8Path, bin: &Utf8Path, runner: &dyn Runner) -> Result<(), AssetsError> {
    let ask = Command::within(Duration::from_secs(30), "chroot").args([debian.as_str(), "busybox", "--list"]);
    let step = |source| AssetsError::Step { artefact: "the applets of busybox".to_owned(), source };
    for applet in runner
        .run(&ask)
        .await
        .map_err(step)?
        .text()
        .lines()
        .filter(|name| !["busybox", "wget"].contains(name))
    {
        let link = bin.join(applet);
        std::os::unix::fs::symlink("busybox", &link).map_err(failed("link", &link))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_image_has_a_single_layer() {
        for image in all(crate::request::KUBERNETES_VERSION) {
            let text = image.containerfile();
            let words = text.lines().filter_map(|line| line.split(' ').next());
            let layers = words.filter(|word| ["FROM", "COPY", "ADD", "RUN", "WORKDIR"].contains(word));
            assert_eq!(layers.collect::<Vec<_>>(), ["FROM", "COPY"], "{}", image.name);
            assert!(text.starts_with("FROM scratch\n"), "{text}");
        }
    }

    #[test]
    fn an_absolute_link_of_the_tree_never_leads_to_the_hosts_file() {
        let folder = tempfile::tempdir().unwrap();
        let tree = Utf8Path::from_path(folder.path()).unwrap();
        fs::create_dir_all(tree.join("usr/lib")).unwrap();
        std::os::unix::fs::symlink("usr/lib", tree.join("lib")).unwrap();
        std::os::unix::fs::symlink("/lib/ld.so.2", tree.join("ld.so")).unwrap();
        std::os::unix::fs::symlink("ld-2.so", tree.join("usr/lib/ld.so.2")).unwrap();
        fs::write(tree.join("usr/lib/ld-2.so"), "").unwrap();
        assert_eq!(inside(tree, "/ld.so"), tree.join("lib/ld-2.so"));
    }

    #[test]
    fn libraries_are_read_out_of_the_loaders_answer() {
        let answer = "\tlinux-vdso.so.1 (0x1)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x2)\n\t/lib64/ld.so (0x3)\n";
        assert_eq!(libraries(answer).collect::<Vec<_>>(), ["/lib/x/libc.so.6", "/lib64/ld.so"]);
    }
}
