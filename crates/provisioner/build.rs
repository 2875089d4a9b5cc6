//! Builds the probe as a static binary, which is embedded in `homelab`, so that `homelab` needs no other file.
//!
//! The nested cargo has its own target folder, because the outer cargo holds the lock of its target folder meanwhile.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> Result<(), Box<dyn Error>> {
    let manifest = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let probe = manifest.join("../probe");
    let target = env::var("TARGET")?;

    build(&probe, &out.join("probe-target"), &target)?;
    let built = out.join("probe-target").join(&target).join("probe/homelab-probe");
    fs::copy(built, out.join("homelab-probe"))?;

    // The path of the workspace changes a few bytes of the binary but not its behaviour. So probes are compared by
    // their sources, not by their bytes.
    let mut sources = vec![probe.join("Cargo.toml")];
    collect(&probe.join("src"), &mut sources)?;
    sources.sort();
    let mut text = String::new();
    for source in &sources {
        text.push_str(&fs::read_to_string(source)?);
    }
    fs::write(out.join("homelab-probe.sources"), text)?;

    let workspace = manifest.join("../../Cargo.toml");
    for path in [&probe.join("src"), &probe.join("Cargo.toml"), &workspace, &manifest.join("build.rs")] {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    Ok(())
}

/// Adds all files in a folder and its subfolders. Cargo's `rerun-if-changed` also covers subfolders.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { collect(&path, files)? } else { files.push(path) }
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a build script has no Runner; this is cargo, run by cargo")]
fn build(probe: &Path, target_dir: &Path, target: &str) -> Result<(), Box<dyn Error>> {
    let mut cargo = std::process::Command::new(env::var("CARGO")?);
    // An allow-list: variables that select the Rust toolchain and the way to its crates. Variables that change how
    // programs are built are left out: the caller's (`RUSTFLAGS`, `CFLAGS`, `CARGO_PROFILE_…`) and those of the outer
    // cargo's rustc (clippy's wrapper).
    let kept = [
        "PATH",
        "HOME",
        "TMPDIR",
        "LD_LIBRARY_PATH",
        "RUSTC",
        "CARGO_HOME",
        "CARGO_MAKEFLAGS",
        "MAKEFLAGS",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
    ];
    let prefixes =
        ["RUSTUP_", "CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTRIES_", "CARGO_REGISTRY_", "CARGO_SOURCE_"];
    let is_kept = |name: &str| kept.contains(&name) || prefixes.iter().any(|prefix| name.starts_with(prefix));
    cargo.env_clear().envs(env::vars().filter(|(name, _)| is_kept(name)));
    let status = cargo
        .args(["build", "--quiet", "--locked", "--package", "homelab-probe", "--profile", "probe"])
        .args(["--target", target, "--target-dir"])
        .arg(target_dir)
        .current_dir(probe)
        .env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static")
        .status()?;
    if status.success() { Ok(()) } else { Err(format!("build homelab-probe: {status}").into()) }
}
