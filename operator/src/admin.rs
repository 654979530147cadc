//! /healthz, /readyz and /metrics.

use std::convert::Infallible;

use warp::{Filter, Reply, http::StatusCode, reply};

use crate::{health::Health, metrics::Metrics};

/// The routes. Alive means that requests are answered; nothing else may make a kubelet restart us.
pub(crate) fn routes(
    health: Health,
    metrics: Metrics,
) -> impl Filter<Extract = impl Reply, Error = Infallible> + Clone + Send + Sync + 'static {
    let alive = warp::path!("healthz").map(|| "ok\n");
    let ready = warp::path!("readyz").map(move || match health.problems() {
        problems if problems.is_empty() => reply::with_status("ok\n".to_owned(), StatusCode::OK),
        problems => reply::with_status(problems, StatusCode::SERVICE_UNAVAILABLE),
    });
    let metrics = warp::path!("metrics").map(move || {
        reply::with_header(
            metrics.text(),
            "content-type",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        )
    });
    warp::get().and(alive.or(ready).or(metrics)).recover(async |_| Ok::<_, Infallible>(StatusCode::NOT_FOUND))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Part;

    #[tokio::test]
    async fn readiness_names_what_is_missing() {
        let health = Health::default();
        let routes = routes(health.clone(), Metrics::default());
        let get = async |path: &str| warp::test::request().path(path).reply(&routes).await;
        let answer = get("/readyz").await;
        assert_eq!(answer.status(), 503);
        assert!(String::from_utf8_lossy(answer.body()).contains("Store: not checked yet"));
        assert_eq!(get("/healthz").await.status(), 200);
        for part in [Part::Definitions, Part::Store, Part::Certificate, Part::Watches] {
            health.well(part);
        }
        assert_eq!(get("/readyz").await.status(), 200);
        assert!(
            String::from_utf8_lossy(get("/metrics").await.body())
                .contains("leakhound_operator_status_writes")
        );
        assert_eq!(get("/").await.status(), 404);
    }
}
