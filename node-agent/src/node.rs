//! The probes of this node: each that is not over has somebody at work on it.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures::StreamExt;
use kube::{
    ResourceExt,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event},
    },
};
use leakhound_crds::{LeakProbe, probe::ProbeReason};
use tokio::{
    sync::watch,
    task::{Id, JoinSet},
};

use crate::{admin::Health, clock, context::Context, decision, outcome::Outcome, status::is_older, work};

/// Time between two looks at what is left to do.
const LOOK: Duration = Duration::from_secs(1);
/// Time that the work has to end in when the agent does.
const DRAIN: Duration = Duration::from_secs(30);

/// The probes of this node, and who works on them.
struct Node {
    context: Context,
    health: Health,
    probes: BTreeMap<String, Arc<LeakProbe>>,
    orders: BTreeMap<String, watch::Sender<Arc<LeakProbe>>>,
    workers: JoinSet<LeakProbe>,
    /// Uid of the probe that a worker works on.
    at_work: BTreeMap<Id, String>,
    /// Uids seen since a listing began; `None` while none is under way.
    listing: Option<BTreeSet<String>>,
}

/// Watches the probes of a node until the agent is to end, and then sees to it that everything is off.
pub(crate) async fn watch(context: Context, health: Health, node_name: &str) {
    let selector = watcher::Config::default().fields(&format!("spec.nodeName={node_name}"));
    let events = watcher::watcher(context.api.clone(), selector).default_backoff();
    let mut events = pin!(events);
    let mut node = Node {
        context,
        health,
        probes: BTreeMap::new(),
        orders: BTreeMap::new(),
        workers: JoinSet::new(),
        at_work: BTreeMap::new(),
        listing: None,
    };
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(event)) => node.take(event),
                // what is being watched goes on without the API server
                Some(Err(error)) => tracing::warn!(%error, "the probes of this node cannot be watched now"),
                None => break,
            },
            Some(ended) = node.workers.join_next_with_id() => node.worker_ended(ended),
            _ = looks.tick() => node.look(),
            () = node.context.drain.cancelled() => break,
        }
    }
    node.drain().await;
}

impl Node {
    fn take(&mut self, event: Event<LeakProbe>) {
        match event {
            Event::Init => self.listing = Some(BTreeSet::new()),
            Event::InitApply(probe) => {
                if let (Some(listing), Some(uid)) = (&mut self.listing, probe.uid()) {
                    listing.insert(uid);
                }
                self.apply(probe);
            }
            Event::InitDone => self.listed(),
            Event::Apply(probe) => self.apply(probe),
            Event::Delete(probe) => self.forget(&probe.uid().unwrap_or_default()),
        }
    }

    fn apply(&mut self, probe: LeakProbe) {
        let Some(uid) = probe.uid() else { return };
        let probe = Arc::new(probe);
        // one of the same name that was created later is another one
        let replaced =
            self.probes.iter().find(|(known, old)| **known != uid && old.name_any() == probe.name_any());
        if let Some((old, _)) = replaced {
            let old = old.clone();
            self.forget(&old);
        }
        if self.probes.get(&uid).is_some_and(|known| is_older(&probe, known)) {
            return;
        }
        self.probes.insert(uid.clone(), Arc::clone(&probe));
        match self.orders.get(&uid) {
            Some(orders) => drop(orders.send_replace(probe)),
            None => self.consider(&uid),
        }
    }

    /// Whatever was not listed was deleted while nobody watched.
    fn listed(&mut self) {
        let Some(existing) = self.listing.take() else { return };
        let gone: Vec<String> = self.probes.keys().filter(|uid| !existing.contains(*uid)).cloned().collect();
        gone.iter().for_each(|uid| self.forget(uid));
        match self.context.spool.sweep(&existing) {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "recordings of probes that are gone were removed"),
            Err(error) => tracing::warn!(%error, "recordings of probes that are gone were not removed"),
        }
        self.health.listed();
    }

    /// Closes the orders: the worker takes everything off.
    fn forget(&mut self, uid: &str) {
        self.probes.remove(uid);
        self.orders.remove(uid);
    }

    /// Puts somebody to work on a probe that needs it and has nobody.
    fn consider(&mut self, uid: &str) {
        let Some(probe) = self.probes.get(uid).filter(|_| !self.at_work.values().any(|busy| busy == uid))
        else {
            return;
        };
        let ticket = self.context.spool.entry(uid).ticket();
        let now = clock::now();
        if decision::begin(probe, ticket.as_ref(), &self.context.speaker.run, now) == decision::Begin::Nothing
        {
            return;
        }
        let (sender, orders) = watch::channel(Arc::clone(probe));
        self.orders.insert(uid.to_owned(), sender);
        let id = self.workers.spawn(work::work(self.context.clone(), orders)).id();
        self.at_work.insert(id, uid.to_owned());
    }

    fn worker_ended(&mut self, ended: Result<(Id, LeakProbe), tokio::task::JoinError>) {
        let (id, last) = match ended {
            Ok((id, last)) => (id, Some(last)),
            Err(error) => {
                self.broke_down(&error);
                (error.id(), None)
            }
        };
        let Some(uid) = self.at_work.remove(&id) else { return };
        self.orders.remove(&uid);
        // a watch that lags behind still tells of a probe that is on, and nothing in the spool says otherwise any more
        if let (Some(last), Some(known)) = (last, self.probes.get_mut(&uid))
            && is_older(known, &last)
        {
            *known = Arc::new(last);
        }
    }

    /// A probe that broke its worker would break the next one as well.
    fn broke_down(&self, error: &tokio::task::JoinError) {
        let Some(uid) = self.at_work.get(&error.id()) else { return };
        tracing::error!(probe = uid, %error, "the work on a probe broke down");
        let entry = self.context.spool.entry(uid);
        let mut ticket = entry.ticket().unwrap_or_default();
        let message = format!("the agent broke down over this probe, please report it: {error}");
        ticket.outcome.get_or_insert_with(|| Outcome::now(ProbeReason::AgentError, message));
        if let Err(error) = entry.save(&ticket) {
            tracing::error!(%error, "and cannot be given up: it is taken up again");
        }
    }

    fn look(&mut self) {
        self.health.turn();
        let used = i64::try_from(self.context.spool.used()).unwrap_or(i64::MAX);
        self.context.metrics.spool_bytes.set(used);
        let mut idle: Vec<(_, String)> = self
            .probes
            .iter()
            .filter(|(uid, _)| !self.orders.contains_key(*uid))
            .map(|(uid, probe)| (probe.metadata.creation_timestamp.clone(), uid.clone()))
            .collect();
        idle.sort();
        idle.iter().for_each(|(_, uid)| self.consider(uid));
    }

    /// Everybody was told by the same token; whoever is not done in time is cut off, and the kernel takes the probes off.
    async fn drain(mut self) {
        self.health.draining();
        let all = async { while self.workers.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, all).await.is_err() {
            tracing::warn!("some work did not end in {DRAIN:?} and is cut off");
        }
    }
}
