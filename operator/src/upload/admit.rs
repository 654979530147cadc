//! Whether a recording may be written. Pure.

use kube::ResourceExt;
use leakhound_crds::LeakProbe;

use super::uploader::Uploader;
use crate::{stage::end_of, storage::StoredRecording};

/// Whether a recording may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// Yes; the same one again too.
    Welcome,
    /// The sender is not on the probe's node.
    Foreign(&'static str),
    /// The probe has finished with another one.
    Replaced,
}

/// Whether `uploader` may write the recording `sha256` of `probe`, of which `stored` are there. While the probe is on, a
/// later recording replaces an earlier one: it holds more.
pub(super) fn admit(
    uploader: &Uploader,
    probe: &LeakProbe,
    stored: &[StoredRecording],
    sha256: &str,
) -> Admission {
    if uploader.node != probe.spec.node_name {
        return Admission::Foreign("an agent may send recordings of its own node's probes only");
    }
    let uid = probe.uid().unwrap_or_default();
    let mut of_probe = stored.iter().filter(|recording| recording.probe == uid).peekable();
    let has_other = of_probe.peek().is_some() && of_probe.all(|recording| recording.sha256 != sha256);
    if has_other && end_of(probe).is_some() { Admission::Replaced } else { Admission::Welcome }
}
