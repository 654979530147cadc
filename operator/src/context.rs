//! What every part of the operator works with: the connection, the watched objects, the store.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::FutureExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, Resource, ResourceExt,
    core::{NamespaceResourceScope, PartialObjectMeta},
    runtime::{
        events::Recorder,
        reflector::{ObjectRef, Store},
    },
};
use leakhound_crds::{LeakInvestigation, LeakProbe};
use tokio::sync::{Semaphore, mpsc};

use crate::{
    controller::ReconcileError,
    metrics::Metrics,
    order::sequence,
    queue::{Entry, Place, Turn, turns},
    settings::Settings,
    storage::Storage,
    waiting,
};

/// How long a probe that we ordered may take to come back through the watch.
const ECHO: Duration = Duration::from_secs(30);

/// What a reconcile works with. Holds nothing that could not be read again.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) settings: Arc<Settings>,
    pub(crate) storage: Storage,
    pub(crate) metrics: Metrics,
    pub(crate) recorder: Recorder,
    pub(crate) investigations: Store<LeakInvestigation>,
    pub(crate) probes: Store<LeakProbe>,
    /// One recording is analyzed at a time: each may need much memory.
    pub(crate) analysis: Semaphore,
    /// Has an investigation reconciled.
    pub(crate) wake: mpsc::UnboundedSender<ObjectRef<LeakInvestigation>>,
    /// Probes that were ordered and have not come back through the watch yet: their places are taken all the same.
    pub(crate) ordered: Ordered,
}

impl Context {
    /// Objects of the operator's own namespace.
    pub(crate) fn own<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        self.namespaced(&self.settings.namespace)
    }

    /// Objects of a namespace.
    pub(crate) fn namespaced<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Name, labels and the like of a namespace.
    pub(crate) async fn namespace(
        &self,
        name: &str,
    ) -> Result<Option<PartialObjectMeta<Namespace>>, ReconcileError> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        api.get_metadata_opt(name).await.map_err(|source| ReconcileError::api("get a namespace", source))
    }

    /// Whether probes have been listed once. Until then one that is on looks as if it had never been ordered, and what runs as
    /// if it had waited for too long.
    pub(crate) fn knows_probes(&self) -> bool {
        self.probes.wait_until_ready().now_or_never().is_some_and(|listed| listed.is_ok())
    }

    /// The probes of an investigation; those of one target in the order in which they were ordered.
    pub(crate) fn probes_of(&self, investigation: &LeakInvestigation) -> Vec<Arc<LeakProbe>> {
        let uid = investigation.uid().unwrap_or_default();
        let mut probes = self.probes.state_filter(|probe| probe.spec.investigation.uid == uid);
        probes.sort_by_key(|probe| sequence(probe));
        probes
    }

    /// The turns of `wanted` among all that wait, by pod uid and container.
    pub(crate) fn turns(&self, wanted: &BTreeSet<Entry>) -> BTreeMap<(String, String), Turn> {
        let (mut waiting, mut taken) =
            waiting::survey(&self.investigations.state(), &self.probes.state(), Timestamp::now());
        taken.extend(self.ordered.places(&self.probes));
        waiting.extend(wanted.iter().cloned());
        let turns = turns(self.settings.slots(), &taken, &waiting);
        let key = |entry: &Entry| (entry.place.pod.clone(), entry.place.container.clone());
        turns
            .iter()
            .filter(|(entry, _)| wanted.contains(**entry))
            .map(|(entry, turn)| (key(entry), *turn))
            .collect()
    }

    /// Investigations of which a target may start now.
    pub(crate) fn next_in_queue(&self) -> Vec<ObjectRef<LeakInvestigation>> {
        let investigations = self.investigations.state();
        let (waiting, mut taken) = waiting::survey(&investigations, &self.probes.state(), Timestamp::now());
        self.metrics.queue(waiting.len(), taken.len());
        taken.extend(self.ordered.places(&self.probes));
        let turns = turns(self.settings.slots(), &taken, &waiting);
        let due: BTreeSet<&str> = turns
            .iter()
            .filter(|(_, turn)| **turn == Turn::Now)
            .map(|(entry, _)| entry.investigation.as_str())
            .collect();
        let is_due = |investigation: &&Arc<LeakInvestigation>| {
            investigation.metadata.uid.as_deref().is_some_and(|uid| due.contains(uid))
        };
        investigations
            .iter()
            .filter(is_due)
            .map(|investigation| ObjectRef::from_obj(&**investigation))
            .collect()
    }
}

/// Places of probes between the order and its echo. Losing this with the process is harmless: the next one lists first.
#[derive(Debug, Default)]
pub(crate) struct Ordered(Mutex<HashMap<String, (Place, Instant)>>);

impl Ordered {
    /// Takes the place of a probe, if there is still one: between planning and ordering others may have been faster.
    pub(crate) fn take(&self, context: &Context, probe: &LeakProbe) -> bool {
        let mut ordered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, mut taken) =
            waiting::survey(&context.investigations.state(), &context.probes.state(), Timestamp::now());
        forget_known(&mut ordered, &context.probes);
        taken.extend(ordered.values().map(|(place, _)| place.clone()));
        let place = waiting::place(probe);
        let entry = Entry { since: Timestamp::MIN, investigation: String::new(), place: place.clone() };
        let alone = BTreeSet::from([entry]);
        let fits = turns(context.settings.slots(), &taken, &alone).values().all(|turn| *turn == Turn::Now);
        if fits {
            ordered.insert(probe.name_any(), (place, Instant::now()));
        }
        fits
    }

    /// Gives back the place of a probe that could not be ordered.
    pub(crate) fn give_back(&self, probe: &LeakProbe) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&probe.name_any());
    }

    fn places(&self, probes: &Store<LeakProbe>) -> Vec<Place> {
        let mut ordered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        forget_known(&mut ordered, probes);
        ordered.values().map(|(place, _)| place.clone()).collect()
    }
}

fn forget_known(ordered: &mut HashMap<String, (Place, Instant)>, probes: &Store<LeakProbe>) {
    let known: BTreeSet<String> = probes.state().iter().map(|probe| probe.name_any()).collect();
    ordered.retain(|name, (_, since)| !known.contains(name) && since.elapsed() < ECHO);
}
