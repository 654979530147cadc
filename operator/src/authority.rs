//! The operator's own certificate authority: what agents trust when they upload.
//!
//! ```text
//! Secret leakhound-ca     ca.crt ca.key   [next.crt next.key]   [previous.crt]
//! Secret leakhound-tls    tls.crt tls.key
//! ConfigMap leakhound-ca  ca.crt = ca + next + previous
//! ```
//!
//! Flow: a new authority is published before it signs anything ([`OVERLAP`]), and the old one stays published until it
//! expires, so no agent ever meets a certificate that it cannot check. Everything is read from the cluster each time;
//! which step is due is [`due`], a pure function of what was read and the clock.
//!
//! Caveats: Secrets without our annotations were put there by somebody else (cert-manager, a person). They are served and
//! published, and never replaced.

mod issue;
mod publish;

use jiff::{SignedDuration, Timestamp};
use thiserror::Error;

pub(crate) use publish::{AuthorityError, load_leaf, publish};

/// An authority lives for a year, a certificate for 90 days; both are replaced when a third is left.
const AUTHORITY_LIFE: SignedDuration = SignedDuration::from_hours(365 * 24);
const LEAF_LIFE: SignedDuration = SignedDuration::from_hours(90 * 24);
/// From the publication of an authority to its first signature: a kubelet brings a ConfigMap to its pods within two minutes.
const OVERLAP: SignedDuration = SignedDuration::from_hours(1);

/// A certificate and its key, both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    /// Certificate chain.
    pub(crate) certificate: String,
    /// Private key.
    pub(crate) key: String,
    /// When it was made and when it ends; absent for one that is not ours.
    pub(crate) valid: Option<Validity>,
}

/// When a certificate was made and when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Validity {
    from: Timestamp,
    until: Timestamp,
}

impl Validity {
    fn is_due(self, now: Timestamp) -> bool {
        self.until.duration_since(now) < self.until.duration_since(self.from) / 3
    }
}

/// What the cluster holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Held {
    authority: Option<Pair>,
    next: Option<Pair>,
    previous: Option<String>,
    leaf: Option<Pair>,
    /// Names that the leaf was made for.
    names: Vec<String>,
    /// When the authority was made that signed the leaf.
    signer: Option<Timestamp>,
}

/// Why a step could not be taken.
#[derive(Debug, Error)]
pub(crate) enum TakeError {
    /// Somebody else's authority: we can neither sign with it nor replace it.
    #[error(
        "the Secret leakhound-ca was not made by this operator and there is no Secret leakhound-tls: put a server certificate of that authority there, or delete leakhound-ca"
    )]
    Foreign,
    /// A key or a certificate could not be made.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
}

/// One step of rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Make the first authority.
    Found,
    /// Publish the next authority beside the present one.
    Announce,
    /// Let the next authority sign from now on.
    Succeed,
    /// Make a server certificate.
    Sign,
}

/// The step that is due, if any; a step can make another one due.
pub(crate) fn due(held: &Held, names: &[String], now: Timestamp) -> Option<Step> {
    let Some(authority) = &held.authority else { return Some(Step::Found) };
    let is_due = |pair: &Pair| pair.valid.is_some_and(|valid| valid.is_due(now));
    match &held.next {
        None if is_due(authority) => return Some(Step::Announce),
        Some(next) if next.valid.is_none_or(|valid| now.duration_since(valid.from) >= OVERLAP) => {
            return Some(Step::Succeed);
        }
        _ => {}
    }
    // Whoever died between two writes, or was given one Secret without the other, left a leaf that nobody trusts.
    let is_foreign = || authority.valid.is_some_and(|valid| held.signer != Some(valid.from));
    match &held.leaf {
        None => Some(Step::Sign),
        Some(leaf) if is_due(leaf) => Some(Step::Sign),
        Some(leaf) if leaf.valid.is_some() && (held.names != names || is_foreign()) => Some(Step::Sign),
        Some(_) => None,
    }
}

/// Takes a step: what the cluster should hold after it.
pub(crate) fn take(step: Step, mut held: Held, names: &[String], now: Timestamp) -> Result<Held, TakeError> {
    match step {
        Step::Found => {
            held.authority = Some(issue::authority(now)?);
            held.leaf = None;
        }
        Step::Announce => held.next = Some(issue::authority(now)?),
        Step::Succeed => {
            if let Some(next) = held.next.take() {
                held.previous = held.authority.replace(next).map(|old| old.certificate);
                held.leaf = None;
            }
        }
        Step::Sign => {
            if let Some(authority) = &held.authority {
                held.leaf = Some(issue::leaf(authority, names, now)?);
                names.clone_into(&mut held.names);
                held.signer = authority.valid.map(|valid| valid.from);
            }
        }
    }
    Ok(held)
}

impl Held {
    /// Every certificate that an agent should trust, as one PEM text.
    pub(crate) fn bundle(&self) -> String {
        [
            self.authority.as_ref().map(|pair| pair.certificate.as_str()),
            self.next.as_ref().map(|pair| pair.certificate.as_str()),
            self.previous.as_deref(),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

#[cfg(test)]
mod tests;
