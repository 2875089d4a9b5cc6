//! Processes that belong to both clusters by their namespaces, and pipes between processes.

use super::proof::token;
use super::spot::{Inside, node};
use crate::audit::inject::bind_mount::process;
use crate::audit::inject::changes::{Changes, command};
use crate::audit::inject::{InjectError, Pair};

/// Moves the process whose pid is in the file `$0` into all cgroups of the process with the `/proc` folder `$1`.
const MOVE: &str = r#"pid=$(cat "$0"); while IFS=: read -r _ controllers path; do
for root in "/sys/fs/cgroup/$controllers" "/sys/fs/cgroup/${controllers#name=}" /sys/fs/cgroup/unified /sys/fs/cgroup; do
if test -e "$root$path/cgroup.procs"; then echo "$pid" > "$root$path/cgroup.procs"; break; fi; done; done < "$1/cgroup""#;

/// A process of the host enters the namespaces of the source's first node, but one of the target's first node.
pub(super) async fn planted(
    pair: &Pair<'_>,
    changes: &mut Changes,
    (name, namespace, in_cgroup): (&str, &str, bool),
) -> Result<(), InjectError> {
    let ours = process(pair.from, node(pair.from, 0)?, changes).await?;
    let theirs = process(pair.to, node(pair.to, 0)?, changes).await?;
    let enter: Vec<String> = [("mnt", "mount"), ("uts", "uts"), ("ipc", "ipc"), ("net", "net")]
        .iter()
        .map(|(file, flag)| {
            let of = if *file == namespace { &theirs } else { &ours };
            format!("--{flag}={}/ns/{file}", of.display())
        })
        .collect();
    let words = [&["nsenter"][..], &enter.iter().map(String::as_str).collect::<Vec<_>>(), &["sleep", "900"]];
    changes.start(name, &words.concat()).await?;
    if in_cgroup {
        let file = changes.pid_file(name);
        changes.ask(&command("sh", &["-c", MOVE, &file, &ours.display().to_string()])).await?;
    }
    Ok(())
}

/// Whether such a process runs, by its namespaces in `/proc`.
pub(super) async fn runs(
    pair: &Pair<'_>,
    name: &str,
    namespace: &str,
) -> Result<Option<String>, InjectError> {
    const SAME: &str = "test -s \"$0\" && pid=$(cat \"$0\") && there=$(readlink \"/proc/$pid/ns/$1\") && \
                        test \"$there\" = \"$(readlink \"$2/ns/$1\")\" && echo \"$there\"; true";
    let changes = Changes::on(pair);
    let file = changes.pid_file(name);
    let theirs = process(pair.to, node(pair.to, 0)?, &changes).await?;
    let ours = process(pair.from, node(pair.from, 0)?, &changes).await?;
    let other = if namespace == "uts" { "net" } else { "uts" };
    let same = async |kind: &str, of: &std::path::Path| {
        let found =
            changes.ask(&command("sh", &["-c", SAME, &file, kind, &of.display().to_string()])).await?;
        Ok::<_, InjectError>(found.trim().to_owned())
    };
    let (theirs, ours) = (same(namespace, &theirs).await?, same(other, &ours).await?);
    let is_open = !theirs.is_empty() && !ours.is_empty();
    Ok(is_open.then(|| {
        format!("a process has {ours} of a node of {} and {theirs} of {}", pair.from.name(), pair.to.name())
    }))
}

/// Two processes, in the namespaces of a node of each cluster, are joined by a pipe: what is appended to one file on the
/// source's node is written to a file on the target's.
pub(super) async fn pipe(
    pair: &Pair<'_>,
    changes: &mut Changes,
    (name, from, to): (&str, u8, u8),
) -> Result<(), InjectError> {
    let (here, there) = (Inside::node(pair.from, from)?, Inside::node(pair.to, to)?);
    let (near, far) = (format!("/run/{name}.in"), format!("/run/{name}.out"));
    changes.on_node(&here.node, &command("touch", &[&near]), command("rm", &["-f", &near])).await?;
    changes.on_node(&there.node, &command("touch", &[&far]), command("rm", &["-f", &far])).await?;
    let fifo = std::env::temp_dir().join(name).display().to_string();
    changes.on_host(&command("mkfifo", &[&fifo]), command("rm", &["-f", &fifo])).await?;
    for (side, inside, cluster, tail) in [
        ("near", &here, pair.from, format!("tail --follow --lines=+1 {near} > {fifo}")),
        ("far", &there, pair.to, format!("tee {far} < {fifo}")),
    ] {
        let first = process(cluster, &inside.node, changes).await?;
        let first = first.display();
        let enter: Vec<String> = [("mnt", "mount"), ("uts", "uts"), ("ipc", "ipc"), ("net", "net")]
            .iter()
            .map(|(file, flag)| format!("--{flag}={first}/ns/{file}"))
            .collect();
        let script = format!("exec nsenter {} {tail}", enter.join(" "));
        changes.start(&format!("{name}-{side}"), &["sh", "-c", &script]).await?;
    }
    Ok(())
}

/// Whether a token in the source's file gets into the target's file.
pub(super) async fn flows(
    pair: &Pair<'_>,
    (name, from, to): (&str, u8, u8),
) -> Result<Option<String>, InjectError> {
    let (here, there) = (Inside::node(pair.from, from)?, Inside::node(pair.to, to)?);
    let (near, far) = (format!("/run/{name}.in"), format!("/run/{name}.out"));
    let token = token();
    here.run("if test -e \"$1\"; then echo \"$0\" >> \"$1\"; fi", &[&token, &near]).await?;
    let found = there
        .run(
            "for try in 1 2 3 4 5 6; do grep --max-count=1 \"$0\" \"$1\" 2>/dev/null && break; sleep 0.3; done; true",
            &[&token, &far],
        )
        .await?;
    Ok((found == token).then(|| {
        format!("{} wrote a token to {near}, and it was in {far} of {}", here.node.name(), there.node.name())
    }))
}
