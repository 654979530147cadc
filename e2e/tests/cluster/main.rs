//! Leakhound on a real cluster: the chart installed by Helm, pods that leak, and everything that may go wrong meanwhile.
//!
//! One cluster serves all tests. Those that disturb nobody run at once; those that kill an agent, the operator or the release run
//! after them, one by one. `LEAKHOUND_E2E_KEEP=1` leaves the cluster up for a look.
#![allow(clippy::print_stderr, reason = "a test tells what it cannot do")]

mod disturbances;
mod life;
mod rights;
mod stage;
mod upkeep;
mod verdicts;

use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use leakhound_e2e::leaky;
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

use stage::Stage;

type Scenario = Box<dyn for<'a> FnOnce(&'a Stage) -> Pin<Box<dyn Future<Output = Result<()>> + 'a>> + Send>;

/// The cluster, brought up by the first test that needs it; when that fails, once for all.
type Shared = Arc<(Runtime, OnceCell<Result<Stage, String>>)>;

macro_rules! scenario {
    ($function:path) => {{
        let scenario: Scenario = Box::new(|stage| Box::pin($function(stage)));
        (stringify!($function).replace(' ', ""), scenario)
    }};
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    if let Some(obstacle) = stage::obstacle() {
        eprintln!("SKIPPED: the tests on a cluster cannot run here: {obstacle}");
        return if std::env::var_os("CI").is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    let Ok(runtime) = Runtime::new() else { return ExitCode::FAILURE };
    std::thread::spawn(clean_up_when_interrupted);
    let shared: Shared = Arc::new((runtime, OnceCell::new()));

    let mut peaceful = vec![
        scenario!(life::queued_behind_another_on_the_same_container),
        scenario!(life::suspended_and_resumed),
        scenario!(life::stopped_early_with_a_report),
        scenario!(life::deleted_with_its_report_when_its_time_is_over),
        scenario!(life::target_deleted_meanwhile),
        scenario!(life::a_pod_with_two_containers_needs_a_name),
        scenario!(rights::a_namespace_is_a_border),
        scenario!(rights::kernel_mode_needs_a_right),
        scenario!(rights::the_agent_holds_five_capabilities),
        scenario!(upkeep::every_metric_that_is_watched_exists),
        scenario!(upkeep::the_plugin_reads_a_report),
        scenario!(upkeep::the_api_server_takes_all_that_the_chart_can_render),
    ];
    for leaky in leaky::ALL.iter().filter(|leaky| !verdicts::SPECIAL.contains(&leaky.name)) {
        let scenario: Scenario = Box::new(move |stage| Box::pin(verdicts::right(stage, leaky)));
        peaceful.push((format!("verdicts::{}", leaky.name.replace('-', "_")), scenario));
    }
    // one by one, also what must not wait long for its turn
    let disturbing = vec![
        scenario!(life::killed_for_want_of_memory),
        scenario!(upkeep::helm_test_passes),
        scenario!(disturbances::agent_killed_while_probing),
        scenario!(disturbances::operator_killed_while_probing),
        scenario!(upkeep::upgraded_from_definitions_that_lack_a_field),
        scenario!(upkeep::uninstalled_while_probing),
    ];

    let at_once = peaceful.len();
    arguments.test_threads.get_or_insert(at_once);
    let show = |failed: bool| {
        if let Some(Ok(stage)) = shared.1.get().filter(|_| failed) {
            eprintln!("What the cluster shows now:\n{}", stage.evidence());
        }
    };
    let peace = libtest_mimic::run(&arguments, trials(peaceful, &shared));
    show(peace.has_failed());
    arguments.test_threads = Some(1);
    let war = libtest_mimic::run(&arguments, trials(disturbing, &shared));
    show(war.has_failed());
    let ended = if stage::is_kept() { Ok(()) } else { shared.0.block_on(Stage::close()) };
    if let Err(error) = &ended {
        eprintln!("the cluster did not end: {error:?}");
    }
    if peace.has_failed() || war.has_failed() || ended.is_err() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// Ctrl-C, or a pipeline that runs out of time, must not leave a cluster behind.
fn clean_up_when_interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    runtime.block_on(async {
        let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
        let (Ok(mut interrupt), Ok(mut terminate)) = signals else { return };
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        eprintln!("interrupted: ending the cluster");
        if let Err(error) = Stage::close().await {
            eprintln!("the cluster did not end: {error:?}");
        }
        std::process::exit(130);
    });
}

fn trials(scenarios: Vec<(String, Scenario)>, shared: &Shared) -> Vec<Trial> {
    let trial = |(name, scenario): (String, Scenario)| {
        let shared = Arc::clone(shared);
        Trial::test(name, move || {
            let (runtime, stage) = &*shared;
            runtime.block_on(async {
                let opened =
                    stage.get_or_init(async || Stage::open().await.map_err(|error| format!("{error:?}")));
                let stage = opened.await.as_ref().map_err(Failed::from)?;
                scenario(stage).await.map_err(|error| Failed::from(format!("{error:?}")))
            })
        })
    };
    scenarios.into_iter().map(trial).collect()
}
