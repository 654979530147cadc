//! What /metrics shows. Labels have few values by construction: nothing of a pod or of an investigation.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// Every number that this agent counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    /// Containers that are watched now.
    pub(crate) watched: Gauge<i64, AtomicI64>,
    /// Probes that wait for a place.
    pub(crate) waiting: Gauge<i64, AtomicI64>,
    /// Probes that came to an end, by reason.
    pub(crate) ended: Family<Reason, Counter<u64, AtomicU64>>,
    /// Tries to upload, by result.
    pub(crate) uploads: Family<Outcome, Counter<u64, AtomicU64>>,
    /// Writes of a probe's status, by result.
    pub(crate) status_writes: Family<Outcome, Counter<u64, AtomicU64>>,
    /// Renewals of the Lease, by result.
    pub(crate) renewals: Family<Outcome, Counter<u64, AtomicU64>>,
    /// Bytes in the spool.
    pub(crate) spool_bytes: Gauge<i64, AtomicI64>,
}

/// Why a probe ended: a reason of its condition.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Reason {
    /// Such as `Completed`.
    pub(crate) reason: String,
}

/// How something went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Outcome {
    /// `ok`, `refused` or `failed`.
    pub(crate) result: &'static str,
}

impl Outcome {
    /// It worked.
    pub(crate) const OK: Self = Self { result: "ok" };
    /// The other side said no.
    pub(crate) const REFUSED: Self = Self { result: "refused" };
    /// Nobody answered, or not now.
    pub(crate) const FAILED: Self = Self { result: "failed" };
}

impl Metrics {
    /// Puts every number under its name.
    pub(crate) fn register(&self) -> Arc<Registry> {
        let mut registry = Registry::with_prefix("leakhound_agent");
        registry.register("probes_watched", "Containers that are watched now", self.watched.clone());
        registry.register(
            "probes_waiting",
            "Probes that wait for a place on this node",
            self.waiting.clone(),
        );
        registry.register("probes_ended", "Probes that came to an end, by reason", self.ended.clone());
        registry.register("uploads", "Tries to upload a recording, by result", self.uploads.clone());
        registry.register(
            "status_writes",
            "Writes of a probe's status, by result",
            self.status_writes.clone(),
        );
        registry.register("lease_renewals", "Renewals of the Lease, by result", self.renewals.clone());
        registry.register("spool_bytes", "Bytes of recordings kept on this node", self.spool_bytes.clone());
        Arc::new(registry)
    }
}

/// All numbers as text.
pub(crate) fn render(registry: &Registry) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    text::encode(&mut text, registry)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_a_name() {
        let metrics = Metrics::default();
        metrics.watched.set(2);
        metrics.ended.get_or_create(&Reason { reason: "Completed".into() }).inc();
        metrics.uploads.get_or_create(&Outcome::REFUSED).inc();
        let text = render(&metrics.register()).unwrap();
        for line in [
            "leakhound_agent_probes_watched 2",
            "leakhound_agent_probes_ended_total{reason=\"Completed\"} 1",
            "leakhound_agent_uploads_total{result=\"refused\"} 1",
        ] {
            assert!(text.lines().any(|have| have == line), "{line} is not in\n{text}");
        }
    }
}
