//! Leakhound's own images, as the release builds them from the Dockerfiles, but from the programs that cargo has built here.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::binary::binary;
use crate::image::Image;
use crate::tools::target_dir;

/// What the chart must be told to use these images.
pub const VALUES: [&str; 3] = ["image.registry=localhost", "image.tag=e2e", "image.pullPolicy=Never"];

/// Authorities that sign the certificates of object stores.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The operator's image: nobody in particular runs it.
///
/// # Errors
/// When the program does not build.
pub fn operator() -> Result<Image> {
    Ok(packed("leakhound-operator")?.copy(AUTHORITIES, Path::new(AUTHORITIES), 0o644)?.user("65532:65532"))
}

/// The agent's image: root runs it, since added capabilities reach nobody else.
///
/// # Errors
/// When the program does not build.
pub fn agent() -> Result<Image> {
    Ok(packed("leakhound-agent")?.user("0:0"))
}

/// The command line's image: `helm test` runs it, as a user would.
///
/// # Errors
/// When the program does not build.
pub fn command_line() -> Result<Image> {
    Ok(packed("leakhound")?.user("65532:65532"))
}

fn packed(name: &str) -> Result<Image> {
    let built = binary(name)?;
    let slim = target_dir().join("e2e").join(name);
    // Debug information makes the program ten times as large, and nobody investigates it here.
    let status =
        Command::new("strip").arg("-o").arg(&slim).arg(&built).status().context("cannot run strip")?;
    ensure!(status.success(), "strip {} failed: see above", built.display());
    let at = format!("/usr/bin/{name}");
    Ok(Image::named(&format!("localhost/{name}:e2e")).program(&at, &slim)?.entrypoint(&[&at]))
}
