//! Programs of this repository.

use std::{env, path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};

use crate::tools::{target_dir, workspace};

/// Builds a program of the workspace as it is now, unless that has been done, and says where it lies.
///
/// # Errors
/// When it does not build; the compiler's output has gone to standard error.
pub fn binary(name: &str) -> Result<PathBuf> {
    let package = if name == "leakhound-agent" { "leakhound-node-agent" } else { name };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    // What the cargo that runs a test says of the test's package is no business of this one: some build scripts run again when
    // it changes, and with them half of all dependencies.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let of_package =
            ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|start| text.starts_with(start));
        if of_package || text == "OUT_DIR" {
            build.env_remove(&name);
        }
    }
    build.current_dir(workspace()).args(["build", "--quiet", "--package", package, "--bin", name]);
    ensure!(build.status().context("cannot run cargo")?.success(), "{name} does not build: see above");
    Ok(target_dir().join("debug").join(name))
}
