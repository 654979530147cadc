//! Writes the definitions of both kinds as YAML into folders: `crdgen write FOLDER...`, or says where a folder has others:
//! `crdgen check FOLDER...`. Without arguments it prints them.

use std::{env, error::Error, fs, io::Write, path::Path};

use leakhound_crds::definition::definitions;

const HEADER: &str = "# Written by `make crds` from the types in crds/src.\n";

fn main() -> Result<(), Box<dyn Error>> {
    let files: Vec<(String, String)> = definitions()
        .iter()
        .map(|one| Ok((format!("{}.yaml", one.spec.names.plural), serde_yaml_ng::to_string(one)?)))
        .collect::<Result<_, serde_yaml_ng::Error>>()?;
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.split_first() {
        None => {
            let mut out = std::io::stdout().lock();
            for (_, text) in &files {
                write!(out, "---\n{text}")?;
            }
        }
        Some((verb, folders)) => {
            for path in
                folders.iter().flat_map(|folder| files.iter().map(move |file| (Path::new(folder), file)))
            {
                let (folder, (name, text)) = path;
                let (path, text) = (folder.join(name), format!("{HEADER}{text}"));
                match verb.as_str() {
                    "write" => fs::write(path, text)?,
                    "check" if fs::read_to_string(&path).is_ok_and(|found| found == text) => {}
                    "check" => return Err(format!("{} is out of date: run make crds", path.display()).into()),
                    _ => return Err("say write, check or nothing".into()),
                }
            }
        }
    }
    Ok(())
}
