//! The time of day as the API keeps it.

use k8s_openapi::jiff::{Timestamp, Unit};

/// Now, in whole seconds: what is written reads back the same, so that nothing is written twice.
pub(crate) fn now() -> Timestamp {
    let now = Timestamp::now();
    now.round(Unit::Second).unwrap_or(now)
}
