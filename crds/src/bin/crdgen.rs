//! Writes what is made from the types into the repository, or says what is out of date there: `crdgen write|check`. Without an
//! argument it prints the definitions.

use std::{env, error::Error, fs, io::Write, path::Path};

use leakhound_crds::{
    definition::{definitions, yaml},
    reference::reference,
};

const HEADER: &str = "# Written by `make crds` from the types in crds/src.\n";
/// Once for `kubectl apply`, once for the chart, which cannot reach outside of its folder.
const FOLDERS: [&str; 2] = ["crds/yaml", "charts/leakhound/files/crds"];

fn main() -> Result<(), Box<dyn Error>> {
    let mut files = vec![("docs/api.md".to_owned(), reference())];
    for definition in definitions() {
        let text = yaml(&definition)?;
        for folder in FOLDERS {
            files
                .push((format!("{folder}/{}.yaml", definition.spec.names.plural), format!("{HEADER}{text}")));
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    match env::args().nth(1).as_deref() {
        Some("write") => {
            for (path, text) in files {
                fs::write(root.join(path), text)?;
            }
        }
        Some("check") => {
            for (path, text) in files {
                if fs::read_to_string(root.join(&path))? != text {
                    return Err(format!("{path} is out of date: run make crds").into());
                }
            }
        }
        None => {
            let mut out = std::io::stdout().lock();
            for definition in definitions() {
                write!(out, "---\n{}", yaml(&definition)?)?;
            }
        }
        Some(_) => return Err("say write, check or nothing".into()),
    }
    Ok(())
}
