//! Whether watching a container costs more than it may.

use leakhound_crds::{Digest, LeakInvestigationSpec, investigation::wishes::SamplingPolicy};

/// How a container's budget was exceeded, for people; `None` while it holds.
pub(super) fn exceeded(spec: &LeakInvestigationSpec, digest: &Digest) -> Option<String> {
    let allowed = spec.budget.cpu_percent.saturating_mul(10);
    let used = digest.overhead.cpu_permille;
    if used > allowed {
        return Some(format!(
            "watching takes {}.{} % of a core, and {} % are allowed",
            used / 10,
            used % 10,
            spec.budget.cpu_percent
        ));
    }
    let asked = match spec.sampling.policy {
        SamplingPolicy::ByteInterval => {
            i64::try_from(spec.sampling.bytes_per_sample.bytes().unwrap_or_default()).unwrap_or(i64::MAX)
        }
        SamplingPolicy::Adaptive | SamplingPolicy::All => 0,
    };
    let sampled = digest.overhead.bytes_per_sample.filter(|bytes| *bytes > asked)?;
    Some(format!(
        "to keep within the budget only one allocation in {} was looked at: small stacks may be missing",
        leakhound_report::amount::bytes(u64::try_from(sampled).unwrap_or_default())
    ))
}
