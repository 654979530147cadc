//! `report`: fetches the report of an investigation, and opens it.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, anyhow, bail};
use hyper::Uri;
use leakhound_crds::{
    LeakInvestigation,
    condition::{self, REPORT_READY},
    investigation::status::StoredReport,
};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::{
    access::Access,
    args::{Format, Report},
    follow::is_over,
    forward::fetch,
};
use crate::{Outcome, destination::Destination, human, table::visible};

pub(super) async fn report(access: &Access, asked: &Report) -> Result<Outcome> {
    let investigation = access.investigation(&asked.name).await?;
    let stored = stored(&investigation, asked.format)?;
    let url =
        stored.url.as_deref().context("the status says of this report no address: see the operator's log")?;
    let path = path_of(url)?;
    // of this user alone, and gone again when nothing comes: who may read the report is what the API server guards
    let private = asked.open && asked.output.is_none();
    let folder = private.then(|| tempfile::Builder::new().prefix("leakhound-").tempdir()).transpose();
    let folder = folder.context("cannot make a folder for the report: give a path by -o")?;
    let place = place(asked, &path, folder.as_ref().map(TempDir::path));
    // before the fetch, so that a wrong path is found out first
    let destination = Destination::open(&place)?;
    let bytes = match fetch(access, &path).await {
        Ok(bytes) => bytes,
        Err(error) => {
            destination.abandon();
            bail!("{error:#}; where that can be reached from here, the report is at {url}");
        }
    };
    if let Err(error) = require_whole(stored, &bytes) {
        destination.abandon();
        return Err(error);
    }
    let to_stdout = destination.is_stdout();
    let size = human::bytes(bytes.len() as u64);
    destination.write(&bytes)?;
    if !to_stdout {
        Destination::Stdout.write(format!("{} ({size})\n", place.display()).as_bytes())?;
    }
    if asked.open {
        let _kept = folder.map(TempDir::keep);
        open(&place)?;
    }
    Ok(Outcome::Worked)
}

/// The report of this format, or why there is none.
fn stored(investigation: &LeakInvestigation, format: Format) -> Result<&StoredReport> {
    let reports = investigation.status.as_ref().map(|status| &*status.reports).unwrap_or_default();
    let wanted = format!("{format:?}");
    if let Some(found) = reports.iter().find(|report| report.format.eq_ignore_ascii_case(&wanted)) {
        return Ok(found);
    }
    if !reports.is_empty() {
        let formats: Vec<String> =
            reports.iter().map(|report| visible(&report.format).to_lowercase()).collect();
        bail!(
            "there is no {} report: spec.report.formats asked for {}; choose by --format",
            wanted.to_lowercase(),
            formats.join(", ")
        );
    }
    let conditions = investigation.status.as_ref().map(|status| &*status.conditions).unwrap_or_default();
    match condition::find(conditions, REPORT_READY).filter(|_| is_over(investigation)) {
        Some(condition) => bail!("there is no report: {}", visible(&condition.message)),
        None => bail!("there is no report yet: it is made when the investigation ends"),
    }
}

/// The path of a report's address: what comes before it is for those who reach the operator directly.
fn path_of(url: &str) -> Result<String> {
    let address: Uri = url.parse().map_err(|error| anyhow!("{url:?} is no address: {error}"))?;
    // a proxy in front of the operator may have put a folder of its own before
    let path = address.path();
    let start = path.find("/r/").with_context(|| format!("{url:?} is no address of a report"))?;
    Ok(path[start..].to_owned())
}

/// Where the report goes: what was asked for, else a file with the operator's own name for it.
fn place(asked: &Report, path: &str, folder: Option<&Path>) -> PathBuf {
    if let Some(output) = &asked.output {
        return output.clone();
    }
    let is_plain = |name: &&str| {
        !name.starts_with('.') && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
    };
    let name = path.rsplit('/').next().filter(|name| !name.is_empty()).filter(is_plain);
    let name =
        name.map_or_else(|| format!("{}.{:?}", asked.name, asked.format).to_lowercase(), str::to_owned);
    folder.map_or_else(|| PathBuf::from(&name), |folder| folder.join(&name))
}

/// It is what the operator stored.
fn require_whole(stored: &StoredReport, bytes: &[u8]) -> Result<()> {
    let Some(wanted) = &stored.sha256 else { return Ok(()) };
    let mut found = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        let _ = write!(found, "{byte:02x}");
    }
    if !found.eq_ignore_ascii_case(wanted) {
        bail!(
            "what arrived is not the report that the status names (SHA-256 {found}, not {wanted}): try again"
        );
    }
    Ok(())
}

/// Gives it to the desktop.
fn open(path: &Path) -> Result<()> {
    let opener = Command::new("xdg-open")
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match opener {
        Ok(status) if status.success() => Ok(()),
        _ => bail!("no browser could be opened (xdg-open): open {} by hand", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn investigation(status: &serde_json::Value) -> LeakInvestigation {
        serde_json::from_value(json!({
            "apiVersion": "leakhound.dev/v1alpha1", "kind": "LeakInvestigation", "metadata": { "name": "x" },
            "spec": { "target": { "podName": "cart-0" } }, "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn the_format_asked_for_is_found_or_its_absence_explained() {
        let two =
            investigation(&json!({ "reports": [{ "format": "HTML", "url": "u" }, { "format": "Pprof" }] }));
        assert_eq!(stored(&two, Format::Html).unwrap().url.as_deref(), Some("u"));
        assert_eq!(stored(&two, Format::Pprof).unwrap().format, "Pprof");
        let why = |status: &serde_json::Value, format| {
            stored(&investigation(status), format).unwrap_err().to_string()
        };
        assert!(stored(&two, Format::Json).unwrap_err().to_string().contains("asked for html, pprof"));
        assert!(why(&json!({}), Format::Html).contains("when the investigation ends"));
        let condition = |type_: &str, status: &str, message: &str| {
            json!({ "type": type_, "status": status, "reason": "R", "message": message,
                "lastTransitionTime": "2026-01-01T00:00:00Z" })
        };
        let conditions =
            [condition("Succeeded", "True", ""), condition("ReportReady", "False", "no recording arrived")];
        assert_eq!(
            why(&json!({ "conditions": conditions }), Format::Html),
            "there is no report: no recording arrived"
        );
    }

    #[test]
    fn only_the_reports_own_path_is_asked_for() {
        let path = |url| path_of(url).ok();
        assert_eq!(
            path("http://leakhound-operator:8080/r/0af/shop-x.html").as_deref(),
            Some("/r/0af/shop-x.html")
        );
        assert_eq!(
            path("https://leaks.example.org/leakhound/r/0af/x.html").as_deref(),
            Some("/r/0af/x.html")
        );
        for wrong in ["", "not a url", "http://host/metrics", "file:///etc/passwd"] {
            assert_eq!(path(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_servers_name_for_a_file_cannot_lead_elsewhere() {
        let mut asked = Report { name: "x".into(), open: false, output: None, format: Format::Html };
        assert_eq!(place(&asked, "/r/0af/shop-x.html", None), Path::new("shop-x.html"));
        for odd in ["/r/0af/..", "/r/0af/", "/r/0af/.bashrc", "/r/0af/a%2fb"] {
            assert_eq!(place(&asked, odd, None), Path::new("x.html"), "{odd}");
        }
        asked.open = true;
        assert_eq!(
            place(&asked, "/r/0af/shop-x.html", Some(Path::new("/tmp/l"))),
            Path::new("/tmp/l/shop-x.html")
        );
        asked.output = Some("mine".into());
        assert_eq!(place(&asked, "/r/0af/shop-x.html", Some(Path::new("/tmp/l"))), Path::new("mine"));
    }

    #[test]
    fn something_else_in_its_place_is_noticed() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let stored = StoredReport { sha256: Some(abc.to_uppercase()), ..StoredReport::default() };
        assert!(require_whole(&stored, b"abc").is_ok());
        assert!(require_whole(&stored, b"abd").unwrap_err().to_string().contains("try again"));
    }
}
