//! Builds the probe as a static binary, so that `homelab` carries it along and needs no file beside itself.
//!
//! A nested cargo with a target folder of its own: the outer one holds its lock while it waits for us.

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

    // Where the workspace lies changes a few bytes of the binary but nothing of what it does, so its sources, not
    // its bytes, tell one probe from another.
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

/// Adds all files in a folder and those below it. Cargo looks below it too for `rerun-if-changed`.
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
    // What the outer cargo sets for its own rustc, clippy's wrapper above all, must not reach the inner one.
    let leaks = ["RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTFLAGS", "RUSTDOCFLAGS", "CLIPPY_ARGS"];
    let prefixes = ["CARGO_ENCODED_", "CARGO_BUILD_", "CARGO_TARGET_", "CARGO_PROFILE_", "CARGO_INCREMENTAL"];
    for (name, _) in env::vars() {
        if leaks.contains(&name.as_str()) || prefixes.iter().any(|prefix| name.starts_with(prefix)) {
            cargo.env_remove(name);
        }
    }
    let status = cargo
        .args(["build", "--quiet", "--locked", "--package", "homelab-probe", "--profile", "probe"])
        .args(["--target", target, "--target-dir"])
        .arg(target_dir)
        .current_dir(probe)
        .env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static")
        .status()?;
    if status.success() { Ok(()) } else { Err(format!("build homelab-probe: {status}").into()) }
}
