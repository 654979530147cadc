//! The rule that users know: live bytes grew in every single snapshot.

use super::{Alert, series::Series};

/// Every stack that never paused, the largest growth first.
pub(super) fn all(series: &[Series<'_>]) -> Vec<Alert> {
    let mut alerts: Vec<Alert> = series
        .iter()
        .filter(|series| series.grew_every_snapshot)
        .map(|series| Alert {
            stack_id: series.history.stack.id,
            from_bytes: series.first(),
            to_bytes: series.last(),
        })
        .collect();
    alerts.sort_by_key(|alert| (std::cmp::Reverse(alert.to_bytes - alert.from_bytes), alert.stack_id));
    alerts
}
