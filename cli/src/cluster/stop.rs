//! `stop`: ends an investigation now, with a report about what was seen.

use anyhow::Result;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::{access::Access, args::Stop, follow::is_over, refusal::Right};
use crate::{Outcome, destination::Destination};

pub(super) async fn stop(access: &Access, asked: &Stop) -> Result<Outcome> {
    let name = &asked.name;
    let patch = Patch::Merge(json!({ "spec": { "stop": true } }));
    let stopped = access.investigations().patch(name, &PatchParams::default(), &patch).await;
    let stopped = stopped
        .map_err(|error| access.refused(&format!("cannot stop investigation {name}"), &error, Right::Edit))?;
    let next = access.command(&format!("show {name}"));
    let text = match is_over(&stopped) {
        true => format!("{name} is over already. What it found: {next}\n"),
        false => {
            format!("{name} is ending: its probes come off, then its report is made. What it found: {next}\n")
        }
    };
    Destination::Stdout.write(text.as_bytes())?;
    Ok(Outcome::Worked)
}
