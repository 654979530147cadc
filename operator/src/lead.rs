//! What the leader does, from taking over to giving up: watch, reconcile, sweep, take recordings.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use futures::{Stream, StreamExt, TryStreamExt, stream};
use kube::{
    Api, Client, Resource,
    runtime::{
        PredicateConfig, WatchStreamExt,
        events::{Recorder, Reporter},
        reflector::{self, ObjectRef, store::Writer},
        watcher,
    },
};
use leakhound_crds::{LeakInvestigation, LeakProbe, names::OPERATOR_ACCOUNT};
use serde::de::DeserializeOwned;
use tokio::{
    sync::{Semaphore, mpsc, watch},
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::{
    context::{Context, Ordered},
    controller,
    health::{Health, Part},
    metrics::Metrics,
    settings::Settings,
    storage::Storage,
    sweep,
};

/// How often those in the queue are looked through; in memory.
const QUEUE: Duration = Duration::from_secs(1);

/// What every reign starts from.
#[derive(Clone)]
pub(crate) struct Realm {
    pub(crate) client: Client,
    pub(crate) settings: Arc<Settings>,
    pub(crate) storage: Storage,
    pub(crate) metrics: Metrics,
    pub(crate) health: Health,
}

/// Leads until `stop`. `leading` holds the context as long as uploads can be taken. Everything is listed anew at the start, and
/// nothing is left at the end.
pub(crate) async fn lead(
    realm: &Realm,
    leading: &watch::Sender<Option<Arc<Context>>>,
    stop: CancellationToken,
) {
    realm.health.ill(Part::Watches, "listing investigations and probes");
    let (investigations, investigation_writer) = reflector::store();
    let (probes, probe_writer) = reflector::store();
    let (wake, woken) = mpsc::unbounded_channel();
    let reporter =
        Reporter { controller: OPERATOR_ACCOUNT.to_owned(), instance: Some(realm.settings.identity.clone()) };
    let context = Arc::new(Context {
        client: realm.client.clone(),
        settings: Arc::clone(&realm.settings),
        storage: realm.storage.clone(),
        metrics: realm.metrics.clone(),
        recorder: Recorder::new(realm.client.clone(), reporter),
        investigations: investigations.clone(),
        probes: probes.clone(),
        analysis: Semaphore::new(1),
        wake: wake.clone(),
        ordered: Ordered::default(),
    });
    let all: Api<LeakInvestigation> = Api::all(realm.client.clone());
    let of_investigations = watched(all, investigation_writer)
        .predicate_filter(basis, PredicateConfig::default())
        .map_ok(|object| ObjectRef::from_obj(&object));
    let of_probes = watched(context.own::<LeakProbe>(), probe_writer).map_ok(|probe| {
        let owner = &probe.spec.investigation;
        ObjectRef::new(&owner.name).within(&owner.namespace)
    });
    let of_wakes =
        stream::unfold(woken, async |mut woken| woken.recv().await.map(|object| (object, woken))).map(Ok);
    let queue = stream::select_all([of_investigations.boxed(), of_probes.boxed(), of_wakes.boxed()])
        .take_until(stop.clone().cancelled_owned());

    let listed = async {
        let ready = tokio::join!(investigations.wait_until_ready(), probes.wait_until_ready());
        if ready.0.is_err() || ready.1.is_err() {
            return;
        }
        realm.health.well(Part::Watches);
        leading.send_replace(Some(Arc::clone(&context)));
        tokio::join!(sweep::sweep(Arc::clone(&context)), call_up(&context));
    };
    let reconciling = controller::run(Arc::clone(&context), queue);
    tokio::select! {
        () = reconciling => {}
        () = listed => {}
    }
    leading.send_replace(None);
}

/// A watch that is kept in a store, without what nobody reads. The times of our own writes stay.
fn watched<K>(api: Api<K>, writer: Writer<K>) -> impl Stream<Item = Result<K, watcher::Error>> + Send
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Send + Sync + 'static,
{
    watcher(api, watcher::Config::default())
        .default_backoff()
        .modify(|object: &mut K| {
            let metadata = object.meta_mut();
            for entry in metadata.managed_fields.iter_mut().flatten() {
                entry.fields_v1 = None;
            }
            if let Some(annotations) = &mut metadata.annotations {
                annotations.retain(|key, _| key.starts_with("leakhound.dev/"));
            }
        })
        .reflect(writer)
        .touched_objects()
}

/// What of an investigation is worth a reconcile, as a hash: labels, annotations and the like are other people's.
fn basis(investigation: &LeakInvestigation) -> Option<u64> {
    let metadata = &investigation.metadata;
    let status = serde_json::to_string(&investigation.status).ok()?;
    let mut hasher = DefaultHasher::new();
    (&metadata.uid, metadata.generation, metadata.deletion_timestamp.is_some(), status).hash(&mut hasher);
    Some(hasher.finish())
}

/// Wakes those whose turn it is.
async fn call_up(context: &Context) {
    let mut ticks = interval(QUEUE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for due in context.next_in_queue() {
            if context.wake.send(due).is_err() {
                return;
            }
        }
    }
}
