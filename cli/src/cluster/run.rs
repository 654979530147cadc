//! `run`: creates an investigation, follows it, and says what it found.

use std::io::{self, Write};

use anyhow::{Context as _, Result};
use kube::{ResourceExt, api::PostParams};
use leakhound_crds::{
    LeakInvestigation, LeakInvestigationSpec, duration,
    investigation::target::{Target, WorkloadApiVersion, WorkloadRef},
};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    access::Access,
    args::{Named, Run},
    follow::{Followed, follow, require_result},
    refusal::Right,
    show::answer,
};
use crate::{Outcome, args::FailOn, destination::Destination, outputs::terminal_width};

pub(super) async fn run(access: &Access, asked: &Run) -> Result<Outcome> {
    let wanted = investigation(asked);
    // listened for before there is anything to leave behind without a word
    let interrupt = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
    let created = access.investigations().create(&PostParams::default(), &wanted).await;
    let created =
        created.map_err(|error| access.refused("cannot create the investigation", &error, Right::Edit))?;
    let name = created.name_any();
    if asked.no_wait {
        Destination::Stdout.write(format!("{name}\n").as_bytes())?;
        return Ok(Outcome::Worked);
    }
    if !asked.quiet {
        tell(&format!("leakinvestigation.leakhound.dev/{name} created in namespace {}", access.namespace));
    }
    // what was not understood here was not understood by the API server either
    let length = duration::parse(&asked.duration)?;
    match follow(access, &name, length, asked.quiet, interrupt).await? {
        Followed::ToItsEnd(ended) => {
            let text = answer(&ended, asked.top, terminal_width(), &|words| access.command(words));
            Destination::Stdout.write(text.as_bytes())?;
            require_result(&ended)?;
            Ok(judge(&ended, asked.fail_on))
        }
        Followed::Left => {
            tell(&format!(
                "It goes on without you. To look at it: {}. To end it: {}.",
                access.command(&format!("show {name}")),
                access.command(&format!("stop {name}"))
            ));
            Ok(Outcome::Worked)
        }
    }
}

fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// The wish as an object.
fn investigation(asked: &Run) -> LeakInvestigation {
    let target = match &asked.target {
        Named::Pod(name) => Target::pod(name),
        Named::Workload(kind, name) => {
            let workload =
                WorkloadRef { api_version: WorkloadApiVersion::default(), kind: *kind, name: name.clone() };
            Target { workload_ref: Some(workload), ..Target::default() }
        }
    };
    let target = Target { container: asked.container.clone(), max_targets: asked.pods, ..target };
    let mut spec = LeakInvestigationSpec::of(target);
    spec.mode = asked.mode.into();
    spec.duration.clone_from(&asked.duration);
    spec.snapshot_interval.clone_from(&asked.interval);
    let mut wanted = LeakInvestigation::new("", spec);
    wanted.metadata.name.clone_from(&asked.name);
    if asked.name.is_none() {
        wanted.metadata.generate_name = Some(name_prefix(asked.target.name()));
    }
    wanted
}

/// What the API server adds five characters to; a name may have 63, and must begin and end with a letter or a digit.
fn name_prefix(target: &str) -> String {
    const LONGEST: usize = 57;
    let cut: String = target.chars().take(LONGEST).collect();
    format!("{}-", cut.trim_end_matches(['-', '.']))
}

fn judge(ended: &LeakInvestigation, fail_on: Option<FailOn>) -> Outcome {
    let Some(status) = &ended.status else { return Outcome::Worked };
    let verdict = status.summary.as_ref().and_then(|summary| summary.verdict);
    let has = |class| status.findings.iter().any(|finding| finding.class == format!("{class:?}"));
    match fail_on.is_some_and(|bad| bad.is_met(verdict, has)) {
        true => Outcome::Found,
        false => Outcome::Worked,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;
    use crate::cluster::args::{Command, Plugin};

    fn wanted(words: &[&str]) -> serde_json::Value {
        let asked = Plugin::try_parse_from([&["kubectl-leak", "run"], words].concat()).unwrap();
        let Command::Run(run) = asked.cluster.command else { panic!("another command") };
        serde_json::to_value(investigation(&run)).unwrap()
    }

    #[test]
    fn words_become_a_wish() {
        let made =
            wanted(&["cart-0", "-c", "app", "--duration", "90s", "--interval", "5s", "--mode", "growth"]);
        assert_eq!(made["metadata"], json!({ "generateName": "cart-0-" }));
        let spec = &made["spec"];
        assert_eq!(spec["target"]["podName"], "cart-0");
        assert_eq!(spec["target"]["container"], "app");
        assert_eq!((&spec["mode"], &spec["duration"]), (&json!("Growth"), &json!("90s")));
        assert_eq!(spec["snapshotInterval"], "5s");

        let made = wanted(&["deploy/cart", "--pods", "3", "--name", "night"]);
        assert_eq!(made["metadata"], json!({ "name": "night" }));
        let workload = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "cart" });
        assert_eq!(made["spec"]["target"]["workloadRef"], workload);
        assert_eq!(made["spec"]["target"]["maxTargets"], 3);
        assert_eq!(made["spec"]["target"].get("podName"), None);
    }

    #[test]
    fn long_names_leave_room_for_what_makes_them_unique() {
        let prefix = name_prefix(&format!("{}-x", "a".repeat(56)));
        assert_eq!(prefix, format!("{}-", "a".repeat(56)));
        assert!(name_prefix(&"b".repeat(200)).len() + 5 <= 63);
    }
}
