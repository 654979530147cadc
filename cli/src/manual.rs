//! Manual pages of both names, made from the same text as `--help`.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use clap::CommandFactory;

use crate::{Outcome, args::Cli, cluster::args::Plugin};

/// Writes `leakhound.1`, `kubectl-leak.1`, and a page for every command into a folder.
pub(crate) fn write(folder: &Path) -> Result<Outcome> {
    fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), folder))
        .and_then(|()| clap_mangen::generate_to(Plugin::command(), folder))
        .with_context(|| format!("cannot write manual pages to {}", folder.display()))?;
    Ok(Outcome::Worked)
}
