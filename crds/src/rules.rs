//! Rules that several fields share, in the server's own language.

use kube::core::{Message, Reason, Rule};

/// What a duration looks like (GEP-2257): up to four numbers of up to five digits, each with h, m, s or ms. A rule, not a
/// `pattern`: beside another rule that would give two messages for one mistake.
const DURATION: &str = "matches('^([0-9]{1,5}(h|m|s|ms)){1,4}$')";

/// The field keeps the value that it was created with.
pub(crate) fn fixed(field: &str) -> Rule {
    Rule::new("self == oldSelf")
        .message(format!("{field} cannot be changed: create another LeakInvestigation").as_str())
}

/// The field of a probe keeps its value; `what` ends the sentence "a probe stays ...".
pub(crate) fn stays(what: &str) -> Rule {
    Rule::new("self == oldSelf").message(format!("a probe stays {what}").as_str())
}

/// A size in bytes, as number or text, that is not negative.
pub(crate) fn size(field: &str) -> Rule {
    Rule::new(
        "type(self) == int ? self >= 0 : isQuantity(self) && quantity(self).compareTo(quantity('0')) >= 0",
    )
    .message(format!("{field} must be a quantity, written like 1048576 or 1Mi").as_str())
}

/// A size in bytes between 1 KiB and 1 GiB.
pub(crate) fn sample_size() -> Rule {
    Rule::new(
        "type(self) == int ? self >= 1024 && self <= 1073741824 : isQuantity(self) && \
         quantity(self).compareTo(quantity('1Ki')) >= 0 && quantity(self).compareTo(quantity('1Gi')) <= 0",
    )
    .message("bytesPerSample must be between 1Ki and 1Gi, written like 524288 or 512Ki")
}

/// A size in bytes of at least 32 MiB: what tables of fixed size take, and room for some ten thousand blocks.
pub(crate) fn map_memory() -> Rule {
    Rule::new(
        "type(self) == int ? self >= 33554432 : isQuantity(self) && quantity(self).compareTo(quantity('32Mi')) >= 0",
    )
    .message("agentMemory must be at least 32Mi, written like 67108864 or 64Mi")
}

/// A duration within the given bounds, which the message names.
pub(crate) fn duration(bounds: &str, message: &str) -> Rule {
    Rule::new(format!("self.{DURATION}{bounds}")).message(message)
}

/// Keys and values of labels as Kubernetes wants them. A selector that it refuses could never find a pod.
pub(crate) fn labels() -> Rule {
    Rule::new(
        "!has(self.matchLabels) || self.matchLabels.all(k, !format.qualifiedName().validate(k).hasValue() && \
         !format.labelValue().validate(self.matchLabels[k]).hasValue())",
    )
    .message(
        "matchLabels needs keys like app or example.com/app, and values of at most 63 letters, digits, dashes, \
         underscores and dots",
    )
    .field_path(".matchLabels")
}

/// The same of one condition on a label.
pub(crate) fn requirement() -> Rule {
    Rule::new(
        "!format.qualifiedName().validate(self.key).hasValue() && \
         (!has(self.values) || self.values.all(v, !format.labelValue().validate(v).hasValue()))",
    )
    .message(
        "a requirement needs a key like app or example.com/app, and values of at most 63 letters, digits, dashes, \
         underscores and dots",
    )
}

/// A verdict needs three snapshots. Holds its tongue where a field is no duration: another rule says so.
pub(crate) fn three_snapshots() -> Rule {
    Rule::new(format!(
        "!has(self.snapshotInterval) || !self.snapshotInterval.{DURATION} || !self.duration.{DURATION} || \
         duration(self.snapshotInterval).getMilliseconds() * 3 <= duration(self.duration).getMilliseconds()"
    ))
    .message(Message::Expression(
        "'snapshotInterval ' + self.snapshotInterval + ' is too long for duration ' + self.duration + \
         ': a verdict needs at least 3 snapshots, so use at most a third of the duration'"
            .to_owned(),
    ))
    .field_path(".snapshotInterval")
    .reason(Reason::FieldValueInvalid)
}

/// Without a default the field can come and go, so that it stays as it is must be a rule of its parent.
pub(crate) fn fixed_interval() -> Rule {
    Rule::new(
        "has(self.snapshotInterval) == has(oldSelf.snapshotInterval) && \
         (!has(self.snapshotInterval) || self.snapshotInterval == oldSelf.snapshotInterval)",
    )
    .message("snapshotInterval cannot be changed: create another LeakInvestigation")
    .field_path(".snapshotInterval")
}

/// A wish about the probes in a program, which only heap mode has; `unset` says that it is not made.
pub(crate) fn heap_alone(field: &str, unset: &str) -> Rule {
    Rule::new(format!("self.mode == 'Heap' || {unset}"))
        .message(format!("{field} is about probes in a program: leave it out, or use mode Heap").as_str())
        .field_path(format!(".{field}"))
}
