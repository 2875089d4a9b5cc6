//! Rules of every kind that change, copy or redirect packets: nftables, both iptables, IPVS, IPsec.
//!
//! The programs that list rules take milliseconds each, and there is a namespace for each pod. So the kernel is asked
//! first whether a namespace has rules of a kind.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::process::Stdio;

use serde_json::Value;

use crate::walk::netlink::Netlink;

const NETFILTER: isize = 12;
/// The most bytes of rules of one kind in one namespace; a node with many services has about a megabyte.
const LONGEST: usize = 32 << 20;

/// `nft --json list ruleset` in the thread's namespace, without `metainfo`.
pub(super) fn nft() -> io::Result<Vec<Value>> {
    // NFNL_SUBSYS_NFTABLES, NFT_MSG_GETTABLE; any family.
    const GETTABLE: u16 = (10 << 8) | 1;
    match Netlink::open(NETFILTER).and_then(|netlink| netlink.dump(GETTABLE, &[0; 4])) {
        Ok(tables) if tables.is_empty() => return Ok(Vec::new()),
        Ok(_) => {}
        Err(error) if is_lack(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    }
    let text = run("nft", &["--json", "list", "ruleset"])?;
    let answer: Value = serde_json::from_str(&text)?;
    let objects = answer.get("nftables").and_then(Value::as_array).cloned();
    let objects = objects.ok_or_else(|| io::Error::other("nft's answer has another form"))?;
    Ok(objects.into_iter().filter(|object| object.get("metainfo").is_none()).collect())
}

/// The tables of iptables. Those that the kernel keeps as nftables are read again by their own program only if a rule
/// has a part that nft cannot tell (`xt`).
pub(super) fn iptables(nft: &[Value], unread: &mut dyn FnMut(&str, &io::Error)) -> BTreeMap<String, String> {
    let mut programs = Vec::new();
    for (table, program) in
        [("ip_tables_names", "iptables-legacy-save"), ("ip6_tables_names", "ip6tables-legacy-save")]
    {
        match fs::read_to_string(format!("/proc/thread-self/net/{table}")) {
            Ok(names) if names.trim().is_empty() => {}
            Ok(_) => programs.push(program),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {} // the kernel has no such module
            Err(error) => unread(table, &error),
        }
    }
    let has_xt = |family: &str| {
        nft.iter().filter_map(|object| object.get("rule")).any(|rule| {
            rule.get("family").and_then(Value::as_str) == Some(family) && rule.to_string().contains("\"xt\":")
        })
    };
    for (family, program) in [("ip", "iptables-nft-save"), ("ip6", "ip6tables-nft-save")] {
        if has_xt(family) {
            programs.push(program);
        }
    }
    let mut all = BTreeMap::new();
    for program in programs {
        match run(program, &[]) {
            Ok(text) => drop(all.insert(program.to_owned(), text)),
            Err(error) => unread(program, &error),
        }
    }
    all
}

/// The virtual servers of IPVS.
pub(super) fn ipvs() -> io::Result<Vec<String>> {
    match fs::read_to_string("/proc/thread-self/net/ip_vs") {
        // Version, size, two lines of columns.
        Ok(text) => Ok(text.lines().skip(3).map(str::to_owned).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The number of policies and states of IPsec.
pub(super) fn xfrm() -> io::Result<usize> {
    const XFRM: isize = 6;
    const GETSA: u16 = 0x12;
    const GETPOLICY: u16 = 0x15;
    let count = || {
        let netlink = Netlink::open(XFRM)?;
        Ok(netlink.dump(GETSA, &[])?.len() + netlink.dump(GETPOLICY, &[])?.len())
    };
    match count() {
        Err(error) if is_lack(&error) => Ok(0),
        counted => counted,
    }
}

/// Whether the kernel lacks what was asked: EINVAL, EPROTONOSUPPORT, EOPNOTSUPP.
fn is_lack(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(22 | 93 | 95))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the probe has no Runner, and only a child of this thread is in its namespace"
)]
fn run(program: &str, arguments: &[&str]) -> io::Result<String> {
    let output = std::process::Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("{}: {}", output.status, said.trim())));
    }
    if output.stdout.len() > LONGEST {
        return Err(io::Error::other(format!("more than {LONGEST} bytes of rules")));
    }
    String::from_utf8(output.stdout).map_err(io::Error::other)
}
