//! From a probe's wishes to the tracer's settings. What this version of the tracer cannot do is refused here, with a
//! sentence for the user, and never ignored.

use std::time::Duration;

use leakhound_crds::{
    LeakProbeSpec,
    duration::{self, DurationError},
    investigation::{
        Mode,
        wishes::{Allocator, AllocatorType, OnExceeded, ProcessPolicy, SamplingPolicy},
    },
    quantity::QuantityError,
};
use leakhound_tracer::{
    allocator::{Wanted, Which},
    budget::{Budget, BudgetError},
    locate::{Choice, Group},
    sampling::Period,
    settings::{Capacity, Settings},
};
use thiserror::Error;

use crate::{container::Container, preflight};

/// Bytes of kernel memory for one live block, with its share of the tables: [`Capacity`] says so.
const BYTES_PER_BLOCK: u64 = 110;
/// Fewer live blocks than this make every program look inconclusive.
const FEWEST_BLOCKS: u64 = 10_000;

/// A wish that cannot be granted.
#[derive(Debug, Clone, PartialEq, Error)]
pub(crate) enum Refusal {
    /// Stored before the server's rules.
    #[error("allocator type Custom needs allocator.symbolPrefix, such as my_ for my_malloc and my_free")]
    Prefix,
    /// Finer or coarser than any sample.
    #[error("sampling.bytesPerSample cannot be used: choose 1Ki to 1Gi, of which powers of two are exact")]
    Sampling,
    /// No share of a core.
    #[error("budget.cpuPercent cannot be kept: {0}")]
    Budget(#[from] BudgetError),
    /// Kernel memory for next to nothing.
    #[error("budget.agentMemory is too little to follow a program: give it at least {0}Mi")]
    Memory(u64),
    /// Stored before the server's rules.
    #[error(transparent)]
    Duration(#[from] DurationError),
    /// Stored before the server's rules.
    #[error(transparent)]
    Quantity(#[from] QuantityError),
}

/// How to watch, `left` being the part of the duration that was not watched yet.
pub(crate) fn settings(spec: &LeakProbeSpec, left: Duration) -> Result<Settings, Refusal> {
    let profile = &spec.profile;
    let interval = duration::parse(&profile.snapshot_interval)?.max(Duration::from_secs(1));
    Ok(Settings {
        mode: preflight::of_tracer(spec.mode),
        duration: left,
        interval: interval.min(left),
        allocator: allocator(&profile.allocator)?,
        sample: match profile.sampling.policy {
            SamplingPolicy::All | SamplingPolicy::Adaptive => None,
            SamplingPolicy::ByteInterval => {
                let bytes = profile.sampling.bytes_per_sample.bytes()?;
                Some(Period::at_least(bytes).map_err(|_out_of_range| Refusal::Sampling)?)
            }
        },
        budget: Some(Budget::new(f64::from(profile.budget.cpu_percent) / 100.0)?),
        most_events: profile.budget.events_per_second.and_then(|most| u64::try_from(most).ok()),
        capacity: capacity(profile.budget.agent_memory.bytes()?)?,
        ..Settings::default()
    })
}

/// Which functions are probed.
fn allocator(wish: &Allocator) -> Result<Wanted, Refusal> {
    let which = match wish.type_ {
        AllocatorType::Auto => Which::Every,
        AllocatorType::Glibc => Which::Family("glibc"),
        AllocatorType::Musl => Which::Family("musl"),
        AllocatorType::Jemalloc => Which::Family("jemalloc"),
        AllocatorType::Tcmalloc => Which::Family("tcmalloc"),
        AllocatorType::Mimalloc => Which::Family("mimalloc"),
        AllocatorType::Custom => Which::Prefixed(wish.symbol_prefix.clone().ok_or(Refusal::Prefix)?),
    };
    Ok(Wanted { which, library: wish.library.clone() })
}

/// What to say when watching has ended because it was too dear, with so many events a second at most.
pub(crate) fn too_dear(spec: &LeakProbeSpec, busiest: f64) -> String {
    let (excess, cheaper) = match spec.profile.budget.events_per_second {
        Some(most) if busiest > most as f64 => {
            (format!("there were {busiest:.0} events a second, more than budget.eventsPerSecond"), "")
        }
        _ => {
            let cheaper = ", follow a sample (sampling.policy ByteInterval)";
            ("watching cost more than budget.cpuPercent".to_owned(), cheaper)
        }
    };
    match spec.mode {
        Mode::Heap => format!("{excess}: give it more{cheaper}, or use mode Growth"),
        Mode::Growth | Mode::Kernel => format!("{excess}: give it more"),
    }
}

/// Whether watching is to end, rather than to become coarser, when it costs more than its budget: every allocation is
/// wanted, or the user said so.
pub(crate) fn ends_when_too_dear(spec: &LeakProbeSpec) -> bool {
    let profile = &spec.profile;
    profile.sampling.policy == SamplingPolicy::All || profile.budget.on_exceeded == OnExceeded::Stop
}

/// The whole time that a probe is to watch.
pub(crate) fn duration(spec: &LeakProbeSpec) -> Result<Duration, Refusal> {
    Ok(duration::parse(&spec.profile.duration)?)
}

/// The processes of a container that are wanted.
pub(crate) fn group(spec: &LeakProbeSpec, container: &Container) -> Group {
    let processes = &spec.profile.processes;
    Group {
        folder: container.folder.clone(),
        choice: match processes.policy {
            ProcessPolicy::LargestRss => Choice::Largest,
            ProcessPolicy::All => Choice::All,
            ProcessPolicy::Init => Choice::First,
        },
        most: usize::try_from(processes.max).unwrap_or(1),
    }
}

/// As many live blocks as fit into the memory that the kernel side may take, beside tables of fixed size.
fn capacity(memory: u64) -> Result<Capacity, Refusal> {
    const MIB: u64 = 1 << 20;
    let whole = Capacity::default();
    let tables = u64::from(whole.counters) * 100 + u64::from(whole.stacks) * 840;
    let blocks = memory.saturating_sub(tables) / BYTES_PER_BLOCK;
    if blocks < FEWEST_BLOCKS {
        return Err(Refusal::Memory((tables + FEWEST_BLOCKS * BYTES_PER_BLOCK).div_ceil(MIB)));
    }
    Ok(Capacity { blocks: u32::try_from(blocks).unwrap_or(u32::MAX).min(16_000_000), ..whole })
}

#[cfg(test)]
mod tests {
    use crate::fixture::probe;

    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn wishes_become_settings() {
        let mut probe = probe();
        probe.spec.profile.snapshot_interval = "5s".into();
        let settings = settings(&probe.spec, MINUTE).unwrap();
        assert_eq!((settings.duration, settings.interval), (MINUTE, Duration::from_secs(5)));
        // 256Mi: what the tables leave
        assert!((2_000_000..2_441_000).contains(&settings.capacity.blocks), "{:?}", settings.capacity);
    }

    #[test]
    fn sampling_and_budget_are_the_tracers() {
        let mut probe = probe();
        let of = |probe: &leakhound_crds::LeakProbe| settings(&probe.spec, MINUTE).unwrap();
        assert_eq!((of(&probe).sample, of(&probe).budget.map(Budget::share)), (None, Some(0.05)));
        assert!(!ends_when_too_dear(&probe.spec));
        probe.spec.profile.sampling.policy = SamplingPolicy::ByteInterval;
        assert_eq!(of(&probe).sample, Some(Period::DEFAULT));
        probe.spec.profile.budget.on_exceeded = OnExceeded::Stop;
        assert!(ends_when_too_dear(&probe.spec));
        probe.spec.profile.budget.on_exceeded = OnExceeded::Downsample;
        probe.spec.profile.sampling.policy = SamplingPolicy::All;
        assert!(ends_when_too_dear(&probe.spec), "every one or none");
    }

    #[test]
    fn an_allocator_can_be_named() {
        let mut probe = probe();
        assert!(settings(&probe.spec, MINUTE).unwrap().allocator.is_every());
        let wish = &mut probe.spec.profile.allocator;
        (wish.type_, wish.library) = (AllocatorType::Jemalloc, Some("libjemalloc.so.2".to_owned()));
        let wanted = settings(&probe.spec, MINUTE).unwrap().allocator;
        assert_eq!(wanted.which, Which::Family("jemalloc"));
        assert_eq!(wanted.library.as_deref(), Some("libjemalloc.so.2"));
        let wish = &mut probe.spec.profile.allocator;
        (wish.type_, wish.symbol_prefix) = (AllocatorType::Custom, Some("my_".to_owned()));
        assert_eq!(settings(&probe.spec, MINUTE).unwrap().allocator.prefix(), Some("my_"));
    }

    #[test]
    fn the_budget_that_was_exceeded_is_named() {
        let mut probe = probe();
        assert!(too_dear(&probe.spec, 1e9).contains("budget.cpuPercent"));
        probe.spec.profile.budget.events_per_second = Some(1000);
        assert_eq!(settings(&probe.spec, MINUTE).unwrap().most_events, Some(1000));
        assert!(too_dear(&probe.spec, 999.0).contains("budget.cpuPercent: give it more, follow a sample"));
        assert!(
            too_dear(&probe.spec, 1234.5).contains("1234 events a second, more than budget.eventsPerSecond")
        );
    }

    #[test]
    fn what_is_left_of_the_time_bounds_the_interval() {
        let mut probe = probe();
        probe.spec.profile.snapshot_interval = "30s".into();
        let left = Duration::from_secs(7);
        assert_eq!(settings(&probe.spec, left).unwrap().interval, left);
    }

    #[test]
    fn what_cannot_be_done_is_refused_in_words() {
        let refused = |change: fn(&mut LeakProbeSpec)| {
            let mut probe = probe();
            change(&mut probe.spec);
            settings(&probe.spec, MINUTE).unwrap_err().to_string()
        };
        assert!(
            refused(|spec| spec.profile.allocator.type_ = AllocatorType::Custom).contains("symbolPrefix")
        );
        fn sample(spec: &mut LeakProbeSpec, size: &str) {
            spec.profile.sampling.policy = SamplingPolicy::ByteInterval;
            spec.profile.sampling.bytes_per_sample = size.into();
        }
        assert!(refused(|spec| sample(spec, "2Gi")).contains("1Ki to 1Gi"));
        assert!(refused(|spec| spec.profile.budget.cpu_percent = 0).contains("cpuPercent"));
        assert!(refused(|spec| spec.profile.budget.agent_memory = "1Mi".into()).contains("at least 27Mi"));
        assert!(refused(|spec| spec.profile.snapshot_interval = "often".into()).contains("often"));
    }
}
