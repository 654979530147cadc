//! How to watch: everything that a user may wish for and an agent must grant.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use kube::KubeSchema;

use crate::{quantity::ByteQuantity, rules};

/// What is watched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Allocations and frees of the program.
    #[default]
    Heap,
    /// Page faults: where memory grows, cheaply, without a look at the allocator.
    Growth,
    /// Allocations of the kernel on behalf of the container.
    Kernel,
}

/// Which processes of the container to watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Processes {
    /// LargestRSS and All watch up to max processes, those with the most resident memory first; Init watches the first of
    /// the container. Default LargestRSS.
    pub policy: ProcessPolicy,
    /// Most processes to watch, 1 to 64. Default 4.
    #[schemars(range(min = 1, max = 64))]
    pub max: i32,
}

impl Default for Processes {
    fn default() -> Self {
        Self { policy: ProcessPolicy::default(), max: 4 }
    }
}

/// Which processes come first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProcessPolicy {
    /// Those with the most resident memory.
    #[default]
    #[serde(rename = "LargestRSS")]
    LargestRss,
    /// Every one.
    All,
    /// The first process of the container.
    Init,
}

/// Which functions of the program are watched in mode Heap.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.type == 'Custom') == has(self.symbolPrefix)")
    .message("symbolPrefix is required with type Custom and not allowed with any other"))]
pub struct Allocator {
    /// The allocator; Auto finds those that the program uses, and Custom is one with names of its own. Go, Java and .NET do
    /// without: use mode Growth. Default Auto.
    #[serde(default, rename = "type")]
    pub type_: AllocatorType,
    /// With type Custom: what stands before malloc, free and the others, such as my_ for my_malloc and my_free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub symbol_prefix: Option<String>,
    /// Name of the file that holds the allocator, a library such as libjemalloc.so.2 or the program itself. Default: every
    /// mapped file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^[^/]+$"))]
    pub library: Option<String>,
}

/// Allocators that are known by their symbols.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "names of allocators")]
pub enum AllocatorType {
    #[default]
    Auto,
    Glibc,
    Musl,
    Jemalloc,
    Tcmalloc,
    Mimalloc,
    Custom,
}

/// How many allocations are looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Sampling {
    /// All looks at every allocation, ByteInterval at one in bytesPerSample bytes, Adaptive starts with all and samples
    /// when the budget demands it. Default Adaptive.
    pub policy: SamplingPolicy,
    /// Bytes allocated between two samples, 1Ki to 1Gi, such as 524288 or 512Ki. Default 512Ki.
    #[schemars(extend("x-kubernetes-validations" = [rules::sample_size()]))]
    pub bytes_per_sample: ByteQuantity,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { policy: SamplingPolicy::default(), bytes_per_sample: "512Ki".into() }
    }
}

/// Which allocations are looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SamplingPolicy {
    /// All of them until that costs too much.
    #[default]
    Adaptive,
    /// One in so many bytes.
    ByteInterval,
    /// All of them.
    All,
}

/// What is too small or too young to be reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Thresholds {
    /// Age that a leak's oldest block must have for the leak to be reported, such as 60s or 5m; half of the duration is
    /// always enough. Default 60s.
    #[schemars(
        length(max = 24),
        extend("x-kubernetes-validations" = [rules::duration("", "minAge must be a duration, written like 60s or 5m")])
    )]
    pub min_age: String,
    /// Bytes that a stack must hold to be reported, such as 1048576 or 1Mi. Default 1Mi.
    #[schemars(extend("x-kubernetes-validations" = [rules::size("minOutstanding")]))]
    pub min_outstanding: ByteQuantity,
    /// Growth in bytes an hour that a stack must show to be reported, such as 10485760 or 10Mi. Default 10Mi.
    #[schemars(extend("x-kubernetes-validations" = [rules::size("minGrowthPerHour")]))]
    pub min_growth_per_hour: ByteQuantity,
    /// Most findings in the status, 1 to 20; the report has all of them. Default 10.
    #[schemars(range(min = 1, max = 20))]
    pub max_findings: i32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            min_age: "60s".to_owned(),
            min_outstanding: "1Mi".into(),
            min_growth_per_hour: "10Mi".into(),
            max_findings: 10,
        }
    }
}

/// What watching may cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Budget {
    /// Share of one core that watching may take of the program's time, as it is measured, 1 to 100 percent. Default 5.
    #[schemars(range(min = 1, max = 100))]
    pub cpu_percent: i32,
    /// Events a second with which watching goes on, whatever they cost, 100 to 100000000: calls of the allocator in mode Heap,
    /// allocations and frees together; pages in Growth; the kernel's allocations and frees in Kernel. With more the probes
    /// come off, as no sample makes the events fewer. Unset: cpuPercent alone decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 100_000_000))]
    pub events_per_second: Option<i64>,
    /// Memory in bytes that the kernel side may take for its maps, such as 268435456 or 256Mi. It bounds what can be followed
    /// at a time, at about 110 bytes each: live blocks in mode Heap, pages of the program in Growth, objects and pages of the
    /// kernel in Kernel. At least 32Mi. Default 256Mi.
    #[schemars(extend("x-kubernetes-validations" = [rules::map_memory()]))]
    pub agent_memory: ByteQuantity,
    /// When that is not enough: Downsample looks at fewer allocations, and where no sample helps goes on in mode Growth, if
    /// that shows in the first seconds, or ends with what was seen; Stop ends with what was seen. Default Downsample.
    pub on_exceeded: OnExceeded,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            cpu_percent: 5,
            events_per_second: None,
            agent_memory: "256Mi".into(),
            on_exceeded: OnExceeded::default(),
        }
    }
}

/// What to do when watching costs too much.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnExceeded {
    /// Look at fewer allocations.
    #[default]
    Downsample,
    /// End with what was seen.
    Stop,
}

/// What to do when the container restarts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnContainerRestart {
    /// Watch the new one.
    #[default]
    Follow,
    /// End with what was seen.
    Finish,
    /// End without a result.
    Fail,
}

/// What to do when the agent on the node restarts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnAgentRestart {
    /// Watch for the time that is left.
    #[default]
    Resume,
    /// End with what was seen.
    Finish,
    /// End without a result.
    Fail,
}

/// Which reports to make. Where they are kept is the installation's choice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Report {
    /// Formats, each once. Default HTML alone.
    #[schemars(length(min = 1, max = 4), extend("x-kubernetes-list-type" = "set"))]
    pub formats: Vec<ReportFormat>,
}

impl Default for Report {
    fn default() -> Self {
        Self { formats: vec![ReportFormat::Html] }
    }
}

/// A form of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ReportFormat {
    /// One file that opens in any browser.
    #[serde(rename = "HTML")]
    Html,
    /// For `go tool pprof` and everything that reads its files.
    Pprof,
    /// The whole analysis for programs.
    #[serde(rename = "JSON")]
    Json,
    /// One line a stack, for flame graphs.
    Folded,
}
