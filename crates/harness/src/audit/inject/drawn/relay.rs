//! Relays: processes of the host that pass connections on between network namespaces.
//!
//! They are a few lines of Perl, which each Debian host has (perl-base), and get their addresses in the environment, so
//! that no command line shows them.

use std::net::Ipv4Addr;

use super::leak::NearEnd;
use super::proof::comes_back;
use super::spot::{Inside, Spot, node};
use crate::audit::inject::bind_mount::process;
use crate::audit::inject::changes::{Changes, command};
use crate::audit::inject::{InjectError, Pair};

/// Listens at `$NEAR` and connects each connection with `$FAR`: `tcp:127.0.0.1:80` or `unix:/run/socket`.
const RELAY: &str = r#"
use strict; use IO::Socket::INET; use IO::Socket::UNIX;
sub place { split /:/, $_[0], 2 }
my ($near, $far) = ($ENV{NEAR}, $ENV{FAR});
my ($kind, $at) = place($near);
my $door = $kind eq "unix" ? IO::Socket::UNIX->new(Local => $at, Listen => 8)
    : IO::Socket::INET->new(LocalAddr => $at, Listen => 8, ReuseAddr => 1, Proto => "tcp");
die "listen at $near: $!" unless $door;
$SIG{CHLD} = "IGNORE";
sub pass { my ($in, $out) = @_; my $bytes;
    while (sysread($in, $bytes, 65536)) { syswrite($out, $bytes) or last } shutdown($out, 1) }
while (1) {
    my $here = $door->accept or next;
    next if fork;
    my ($kind, $at) = place($far);
    my $there = $kind eq "unix" ? IO::Socket::UNIX->new(Peer => $at)
        : IO::Socket::INET->new(PeerAddr => $at, Proto => "tcp", Timeout => 3);
    exit 1 unless $there;
    if (fork) { pass($there, $here) } else { pass($here, $there) }
    exit 0;
}
"#;

/// The address of a relay's near end. Hardly a program uses it, so its ports are free.
const NEAR: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 76);
/// The address of a relay's far end. Hardly a program uses it, so its ports are free.
const FAR: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 77);

/// A relay from the near end to a TCP port of a spot of the target, by two processes with a UNIX socket between them, or
/// by one if the near end is a UNIX socket.
pub(super) async fn between(
    pair: &Pair<'_>,
    changes: &mut Changes,
    (name, near, far, to): (&str, &NearEnd, u16, Spot),
) -> Result<(), InjectError> {
    let there = Inside::at(pair, pair.to, to).await?;
    let middle = match near {
        NearEnd::Port { .. } => std::env::temp_dir().join(name).display().to_string(),
        NearEnd::Path => {
            let root = process(pair.from, node(pair.from, 0)?, changes).await?.join("root");
            format!("{}/run/{name}", root.display())
        }
    };
    changes.on_host(&command("true", &[]), command("rm", &["-f", &middle])).await?;
    let far = format!("tcp:{FAR}:{far}");
    start(changes, &format!("{name}-far"), &there.path, [&format!("unix:{middle}"), &far]).await?;
    changes.ask(&command("sh", &["-c", "until test -S \"$0\"; do sleep 0.02; done", &middle])).await?;
    if let NearEnd::Port { at, port } = near {
        let here = Inside::at(pair, pair.from, *at).await?;
        let near = format!("tcp:{NEAR}:{port}");
        start(changes, &format!("{name}-near"), &here.path, [&near, &format!("unix:{middle}")]).await?;
    }
    Ok(())
}

/// Starts a relay in the network namespace with this path on the host.
async fn start(
    changes: &mut Changes,
    name: &str,
    path: &str,
    [near, far]: [&str; 2],
) -> Result<(), InjectError> {
    let (enter, near, far) = (format!("--net={path}"), format!("NEAR={near}"), format!("FAR={far}"));
    changes.start(name, &["nsenter", &enter, "env", &near, &far, "perl", "-e", RELAY]).await
}

/// Whether a port of the source's spot leads to a port of the target's.
pub(super) async fn port_answers(
    pair: &Pair<'_>,
    (at, port): (Spot, u16),
    (far, to): (u16, Spot),
) -> Result<Option<String>, InjectError> {
    let here = Inside::at(pair, pair.from, at).await?;
    let there = Inside::at(pair, pair.to, to).await?;
    comes_back(&here, &format!("TCP4:{NEAR}:{port},connect-timeout=1"), (&there, (FAR, far))).await
}

/// Whether a UNIX socket of the source's first node leads to a port of the target's spot.
pub(super) async fn path_answers(
    pair: &Pair<'_>,
    name: &str,
    far: u16,
    to: Spot,
) -> Result<Option<String>, InjectError> {
    let (here, there) = (Inside::node(pair.from, 0)?, Inside::at(pair, pair.to, to).await?);
    comes_back(&here, &format!("UNIX-CONNECT:/run/{name}"), (&there, (FAR, far))).await
}

/// A process of the host listens at the source's gateway and passes connections on to the target's first node.
pub(super) async fn listener(
    pair: &Pair<'_>,
    changes: &mut Changes,
    (name, near, far): (&str, u16, u16),
) -> Result<(), InjectError> {
    let plan = &pair.from.inner().plan;
    let near_end = format!("NEAR=tcp:{}:{near}", plan.gateway);
    let far_end = format!("FAR=tcp:{}:{far}", node(pair.to, 0)?.ip());
    changes.start(name, &["env", &near_end, &far_end, "perl", "-e", RELAY]).await?;
    let link = plan.id.link();
    let rule = format!("insert rule inet homelab input iifname \"{link}\" tcp dport {near} accept\n");
    changes.change_guard(&rule).await
}

/// Whether a port of the source's gateway leads to a port of the target's first node.
pub(super) async fn gateway_answers(
    pair: &Pair<'_>,
    near: u16,
    far: u16,
) -> Result<Option<String>, InjectError> {
    let (here, there) = (Inside::node(pair.from, 0)?, Inside::node(pair.to, 0)?);
    let gateway = pair.from.inner().plan.gateway;
    comes_back(&here, &format!("TCP4:{gateway}:{near},connect-timeout=1"), (&there, (there.node.ip(), far)))
        .await
}
