//! The 64 KiB of a status. The schema counts characters per field; etcd counts bytes of the whole.

use leakhound_crds::LeakInvestigationStatus;

/// Largest status as JSON, in bytes.
pub(super) const MOST_BYTES: usize = 64 * 1024;

/// Makes a status fit: frames furthest out go first, then findings, then processes, then long messages, then whatever is
/// left. Frames and findings that went are counted.
pub(super) fn cap(status: &mut LeakInvestigationStatus) {
    for step in STEPS {
        if size(status) <= MOST_BYTES {
            return;
        }
        step(status);
    }
}

type Step = fn(&mut LeakInvestigationStatus);

const STEPS: [Step; 13] = [
    |status| cut_frames(status, 16),
    |status| cut_frames(status, 8),
    |status| cut_frames(status, 4),
    |status| cut_findings(status, 10),
    |status| cut_frames(status, 2),
    |status| cut_findings(status, 5),
    |status| status.targets.iter_mut().for_each(|target| target.processes.truncate(2)),
    |status| status.targets.iter_mut().for_each(|target| target.processes.clear()),
    |status| cut_messages(status, 300),
    |status| cut_findings(status, 1),
    |status| cut_messages(status, 100),
    |status| cut_findings(status, 0),
    |status| status.targets.clear(),
];

fn size(status: &LeakInvestigationStatus) -> usize {
    serde_json::to_vec(status).map_or(usize::MAX, |json| json.len())
}

fn cut_frames(status: &mut LeakInvestigationStatus, most: usize) {
    for finding in &mut status.findings {
        let surplus = finding.frames.len().saturating_sub(most);
        finding.frames.truncate(most);
        finding.frames_omitted =
            finding.frames_omitted.saturating_add(i32::try_from(surplus).unwrap_or(i32::MAX));
    }
}

fn cut_findings(status: &mut LeakInvestigationStatus, most: usize) {
    let surplus = i32::try_from(status.findings.len().saturating_sub(most)).unwrap_or(i32::MAX);
    status.findings.truncate(most);
    if surplus > 0 {
        status.findings_omitted = Some(status.findings_omitted.unwrap_or(0).saturating_add(surplus));
    }
}

fn cut_messages(status: &mut LeakInvestigationStatus, most: usize) {
    for condition in &mut status.conditions {
        condition.message = crate::answer::cut(&condition.message, most);
    }
}
