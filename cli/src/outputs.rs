//! An analysis in all the forms that were asked for.

use std::path::Path;

use anyhow::{Context, Result};
use leakhound_report::{Options, analysis::Analysis, analyze, folded, pprof, recording::Recording};

use crate::{
    Outcome,
    args::{FailOn, Outputs},
    destination::{Destination, require_one_stdout},
    table,
};

/// The forms asked for, each with its destination open.
#[derive(Debug)]
pub(crate) struct Opened {
    forms: Vec<(Form, Destination)>,
}

#[derive(Debug, Clone, Copy)]
enum Form {
    Json,
    Html,
    Folded,
    Pprof,
}

impl Opened {
    /// Opens every destination, before any work is done.
    pub(crate) fn open(outputs: &Outputs) -> Result<Self> {
        let asked = [
            (Form::Json, &outputs.json),
            (Form::Html, &outputs.html),
            (Form::Folded, &outputs.folded),
            (Form::Pprof, &outputs.pprof),
        ];
        let mut forms = Vec::new();
        for (form, path) in asked {
            if let Some(path) = path {
                forms.push((form, Destination::open(path)?));
            }
        }
        require_one_stdout(forms.iter().map(|(_, destination)| destination));
        Ok(Self { forms })
    }

    /// Whether one of them takes standard output.
    pub(crate) fn use_stdout(&self) -> bool {
        self.forms.iter().any(|(_, destination)| destination.is_stdout())
    }

    /// Takes back what was opened for nothing.
    pub(crate) fn abandon(self) {
        for (_, destination) in self.forms {
            destination.abandon();
        }
    }

    /// Analyzes a recording, kept in a file or not, and writes every form, and the table unless it is to be quiet.
    pub(crate) fn write(
        self,
        recording: &Recording,
        kept_as: Option<&Path>,
        outputs: &Outputs,
        quiet: bool,
    ) -> Result<Outcome> {
        let options = Options { all_frames: outputs.all_frames, top: None };
        let analysis = analyze(recording, &options);
        let kept_as = kept_as.and_then(Path::to_str).filter(|path| *path != "-");
        let table_here = !quiet && !self.use_stdout();
        for (form, destination) in self.forms {
            let bytes = match form {
                Form::Json => json(&analysis)?,
                Form::Folded => folded(recording, outputs.all_frames)?,
                Form::Pprof => pprof(recording)?,
                Form::Html => {
                    leakhound_report::html::render_kept(recording, &analysis, kept_as)?.into_bytes()
                }
            };
            destination.write(&bytes)?;
        }
        if table_here {
            let text = table::answer(&analysis, outputs.top, terminal_width());
            Destination::Stdout.write(text.as_bytes())?;
        }
        Ok(judge(&analysis, outputs.fail_on))
    }
}

fn json(analysis: &Analysis) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(analysis).context("cannot write the analysis as JSON")?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn folded(recording: &Recording, all_frames: bool) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let options = folded::Options { all_frames, ..folded::Options::default() };
    folded::write(recording, options, &mut bytes).context("cannot write folded stacks")?;
    Ok(bytes)
}

fn pprof(recording: &Recording) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    pprof::write(recording, &mut bytes).context("cannot write a profile")?;
    Ok(bytes)
}

fn judge(analysis: &Analysis, fail_on: Option<FailOn>) -> Outcome {
    let has = |class| analysis.findings.iter().any(|finding| finding.class == class);
    match fail_on.is_some_and(|bad| bad.is_met(Some(analysis.verdict.name.into()), has)) {
        true => Outcome::Found,
        false => Outcome::Worked,
    }
}

/// The terminal's width; wide enough for source lines when output goes elsewhere.
pub(crate) fn terminal_width() -> u16 {
    const ELSEWHERE: u16 = 120;
    rustix::termios::tcgetwinsize(std::io::stdout()).map_or(ELSEWHERE, |size| size.ws_col.max(60))
}
