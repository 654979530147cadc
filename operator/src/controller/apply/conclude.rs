//! Analyzing the recordings of an investigation and storing what comes out: files first, the conclusion that names them last.

use hyper::body::Bytes;
use kube::ResourceExt;
use sha2::{Digest, Sha256};

use super::Next;
use crate::{
    conclusion::{Conclusion, File, Gathering, JudgeError, Origin, StoredFile, judge, spelled},
    context::Context,
    controller::{
        ReconcileError,
        observed::Observed,
        plan::{Conclude, Missing, basis},
    },
    hex::hex,
    status::thresholds,
    storage::{ReportId, StoredRecording},
};

pub(super) async fn conclude(
    context: &Context,
    observed: &Observed,
    order: &Conclude,
) -> Result<Next, ReconcileError> {
    let Ok(_one_at_a_time) = context.analysis.try_acquire() else { return Ok(Next::Soon) };
    let investigation = &observed.investigation;
    let uid = investigation.uid().unwrap_or_default();
    let id = context.storage.report_id(&uid).await?;
    let mut gathering = Gathering::new(
        &investigation.namespace().unwrap_or_default(),
        &investigation.name_any(),
        &investigation.spec.report.formats,
        thresholds(investigation),
        order.recordings.len(),
    );
    let mut problems: Vec<String> = order.missing.iter().map(Missing::explain).collect();
    let mut reports = Vec::new();
    for recording in &order.recordings {
        let origin = origin(observed, recording);
        let pod = origin.pod.clone();
        let Some(bytes) = context.storage.recording(&uid, recording).await? else { continue };
        // Analyzing takes seconds of computing: not on a thread that others wait for.
        let judged = tokio::task::spawn_blocking(move || {
            let files = judge(origin, &bytes).and_then(|part| gathering.add(part));
            (gathering, files)
        });
        let (returned, files) = judged.await.map_err(ReconcileError::Analysis)?;
        gathering = returned;
        match files {
            Ok(files) => store(context, &id, files, &mut reports).await?,
            Err(error) => problems.push(explain(&pod, &error)),
        }
    }
    let gathered = tokio::task::spawn_blocking(move || gathering.finish());
    let answers = match gathered.await.map_err(ReconcileError::Analysis)? {
        Ok(gathered) => {
            store(context, &id, gathered.files, &mut reports).await?;
            gathered.recorded
        }
        Err(error) => {
            problems.push(format!("the page about all containers cannot be made: {error}"));
            Vec::new()
        }
    };
    let conclusion =
        Conclusion { basis: basis(&order.recordings), report_id: id.to_string(), answers, reports, problems };
    let json = serde_json::to_vec(&conclusion).map_err(ReconcileError::Json)?;
    context.storage.put_conclusion(&uid, Bytes::from(json)).await?;
    Ok(Next::Again)
}

fn explain(pod: &str, error: &JudgeError) -> String {
    tracing::warn!(pod, %error, "a recording cannot be analyzed");
    format!("the recording of pod {pod} cannot be analyzed: {error}")
}

fn origin(observed: &Observed, recording: &StoredRecording) -> Origin {
    let probe = observed.probes.iter().find(|probe| probe.uid().as_deref() == Some(&recording.probe));
    let pod_uid = probe.map(|probe| probe.spec.pod_uid.as_str());
    let pod = observed.chosen().iter().find(|target| Some(target.pod_uid.as_str()) == pod_uid);
    Origin {
        probe: recording.probe.clone(),
        namespace: observed.investigation.namespace().unwrap_or_default(),
        pod: pod.map(|pod| pod.pod_name.clone()).unwrap_or_default(),
        container: probe.map(|probe| probe.spec.container_name.clone()).unwrap_or_default(),
        oom_killed: probe.map(|probe| observed.oom_killed(probe)).unwrap_or_default(),
    }
}

async fn store(
    context: &Context,
    id: &ReportId,
    files: Vec<File>,
    reports: &mut Vec<StoredFile>,
) -> Result<(), ReconcileError> {
    for file in files {
        if let Some(format) = file.format {
            reports.push(StoredFile {
                format: spelled(format).to_owned(),
                name: file.name.clone(),
                bytes: i64::try_from(file.content.len()).unwrap_or(i64::MAX),
                sha256: hex(Sha256::digest(&file.content)),
            });
        }
        context.storage.put_report(id, &file.name, Bytes::from(file.content)).await?;
    }
    Ok(())
}
