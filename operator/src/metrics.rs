//! Figures about the operator for Prometheus. Labels come from short fixed lists, never from names of objects.

use std::{
    sync::{Arc, Mutex, PoisonError, atomic::AtomicI64},
    time::Instant,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// Everything that is counted.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    registry: Arc<Mutex<Registry>>,
    reconciles: Histogram,
    failures: Family<Failure, Counter>,
    status_writes: Counter,
    uploads: Family<Answered, Counter>,
    waiting: Gauge<i64, AtomicI64>,
    probing: Gauge<i64, AtomicI64>,
    leading: Gauge<i64, AtomicI64>,
    swept: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failure {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    code: u16,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("leakhound_operator");
        let buckets = [0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0];
        let metrics = Self {
            registry: Arc::default(),
            reconciles: Histogram::new(buckets),
            failures: Family::default(),
            status_writes: Counter::default(),
            uploads: Family::default(),
            waiting: Gauge::default(),
            probing: Gauge::default(),
            leading: Gauge::default(),
            swept: Counter::default(),
        };
        registry.register_with_unit(
            "reconcile_duration",
            "Time of a reconcile",
            Unit::Seconds,
            metrics.reconciles.clone(),
        );
        registry.register("reconcile_errors", "Reconciles that failed", metrics.failures.clone());
        registry.register("status_writes", "Statuses written", metrics.status_writes.clone());
        registry.register("uploads", "Uploads of recordings by answer", metrics.uploads.clone());
        registry.register("queue_targets", "Targets that wait for their turn", metrics.waiting.clone());
        registry.register("active_probes", "Probes that take a slot", metrics.probing.clone());
        registry.register("leader", "1 while this replica leads", metrics.leading.clone());
        registry.register(
            "swept",
            "Probes and stored investigations without an owner that were removed",
            metrics.swept.clone(),
        );
        *metrics.registry.lock().unwrap_or_else(PoisonError::into_inner) = registry;
        metrics
    }
}

impl Metrics {
    /// Measures until it is dropped.
    pub(crate) fn reconciling(&self) -> Measured {
        Measured { since: Instant::now(), into: self.reconciles.clone() }
    }

    pub(crate) fn reconcile_failed(&self, kind: &'static str) {
        self.failures.get_or_create(&Failure { kind }).inc();
    }

    pub(crate) fn status_written(&self) {
        self.status_writes.inc();
    }

    pub(crate) fn uploaded(&self, code: u16) {
        self.uploads.get_or_create(&Answered { code }).inc();
    }

    pub(crate) fn queue(&self, waiting: usize, probing: usize) {
        self.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        self.probing.set(i64::try_from(probing).unwrap_or(i64::MAX));
    }

    /// Who does not lead any more knows nothing of the queue: its last numbers would stand beside the next leader's.
    pub(crate) fn leads(&self, leads: bool) {
        self.leading.set(i64::from(leads));
        if !leads {
            self.queue(0, 0);
        }
    }

    pub(crate) fn swept(&self) {
        self.swept.inc();
    }

    /// All of it as OpenMetrics text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        match encode(&mut text, &registry) {
            Ok(()) => text,
            Err(_) => String::new(),
        }
    }
}

/// Measures until it is dropped.
pub(crate) struct Measured {
    since: Instant,
    into: Histogram,
}

impl Drop for Measured {
    fn drop(&mut self) {
        self.into.observe(self.since.elapsed().as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_is_the_leaders_alone() {
        let metrics = Metrics::default();
        metrics.leads(true);
        metrics.queue(7, 3);
        assert!(metrics.text().contains("leakhound_operator_active_probes 3"));
        metrics.leads(false);
        let text = metrics.text();
        for line in ["queue_targets 0", "active_probes 0", "leader 0"] {
            assert!(text.contains(&format!("leakhound_operator_{line}\n")), "{text}");
        }
    }
}
