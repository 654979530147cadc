//! Prints the definitions of both kinds as YAML, or one of them: `crdgen [leakinvestigations|leakprobes]`.

use std::{env, error::Error, io::Write};

use leakhound_crds::definition::definitions;

fn main() -> Result<(), Box<dyn Error>> {
    let wanted = env::args().nth(1);
    let all = definitions();
    let chosen: Vec<_> =
        all.iter().filter(|one| wanted.as_ref().is_none_or(|name| *name == one.spec.names.plural)).collect();
    if chosen.is_empty() {
        return Err("no such kind: say leakinvestigations, leakprobes or nothing".into());
    }
    let mut out = std::io::stdout().lock();
    for definition in chosen {
        write!(out, "---\n{}", serde_yaml_ng::to_string(definition)?)?;
    }
    Ok(())
}
