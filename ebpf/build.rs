//! Compiles every `*.bpf.c` beside this file with clang into `OUT_DIR/*.bpf.o`.

use std::{
    env,
    error::Error,
    path::{Path, PathBuf},
    process::Command,
};

const INSTALL: &str =
    "install clang 14 or newer and libbpf's headers (Debian: apt-get install clang libbpf-dev), or set CLANG";

fn main() -> Result<(), Box<dyn Error>> {
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo::rerun-if-env-changed=CLANG");
    for entry in here.read_dir()? {
        let file = entry?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".h") || name.ends_with(".bpf.c") {
            println!("cargo::rerun-if-changed={name}");
        }
        if let Some(stem) = name.strip_suffix(".c").filter(|stem| stem.ends_with(".bpf"))
            && let Err(why) = compile(&file, &out.join(format!("{stem}.o")), &here)
        {
            for line in why.lines() {
                println!("cargo::error={line}");
            }
        }
    }
    Ok(())
}

fn compile(source: &Path, object: &Path, here: &Path) -> Result<(), String> {
    let clang = env::var_os("CLANG").unwrap_or_else(|| "clang".into());
    let architecture = match env::var("CARGO_CFG_TARGET_ARCH").as_deref() {
        Ok("x86_64") => "x86",
        other => {
            return Err(format!(
                "the eBPF programs know x86_64 only, not {other:?}: stacks and arguments are read from its registers"
            ));
        }
    };
    let output = Command::new(&clang)
        .args(["-target", "bpf", "-mcpu=v3", "-g", "-O2", "-Wall", "-Werror"])
        .arg(format!("-ffile-prefix-map={}=.", here.display()))
        .arg(format!("-D__TARGET_ARCH_{architecture}"))
        .arg("-c")
        .arg(source)
        .arg("-o")
        .arg(object)
        .output()
        .map_err(|error| format!("cannot run {}: {error}: {INSTALL}", clang.display()))?;
    let complaints = String::from_utf8_lossy(&output.stderr);
    match output.status.success() {
        true => Ok(()),
        false if complaints.contains("'bpf/bpf_") => Err(format!("bpf/bpf_helpers.h is missing: {INSTALL}")),
        false if complaints.contains("No available targets") => {
            Err(format!("{} has no BPF target: {INSTALL}", clang.display()))
        }
        false => Err(format!("clang on {}:\n{complaints}", source.display())),
    }
}
