//! What the operator says to an upload.

use std::time::Duration;

/// What the operator says to an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It has it.
    Stored,
    /// It will not take it, now or later.
    Refused {
        /// For the condition.
        reason: &'static str,
        /// For people.
        message: String,
    },
    /// Not now.
    Later {
        /// At the earliest after this long.
        after: Option<Duration>,
        /// For people.
        message: String,
    },
}

impl Answer {
    /// Understands a status code; whatever is not known is taken for a refusal when it is the client's fault.
    pub(super) fn of(status: u16, retry_after: Option<Duration>, words: &str) -> Self {
        let said = if words.is_empty() { String::new() } else { format!(": {words}") };
        let refused = |reason, why: &str| Self::Refused {
            reason,
            message: format!("the operator refused the recording ({status}, {why}){said}"),
        };
        match status {
            200 | 201 => Self::Stored,
            403 => refused("Forbidden", "this agent's token is not of the probe's node"),
            404 => refused("UnknownProbe", "it does not know the probe"),
            409 => refused("AlreadyStored", "it has another recording of this probe"),
            411 | 413 => refused("TooLarge", "the recording is too large"),
            422 => refused("NotAccepted", "the recording is damaged"),
            // a token may be on its way to be replaced
            401 | 408 | 425 | 429 | 500.. => Self::Later {
                after: retry_after,
                message: format!("the operator cannot take the recording now ({status}){said}"),
            },
            _ => refused("Refused", "unexpected answer"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_final_and_everything_else_is_tried_again() {
        for status in [200, 201] {
            assert_eq!(Answer::of(status, None, ""), Answer::Stored);
        }
        for (status, wanted) in [
            (403, "Forbidden"),
            (404, "UnknownProbe"),
            (409, "AlreadyStored"),
            (411, "TooLarge"),
            (413, "TooLarge"),
            (422, "NotAccepted"),
            (302, "Refused"),
            (418, "Refused"),
        ] {
            let Answer::Refused { reason, message } = Answer::of(status, None, "no such probe") else {
                panic!("{status} is not final");
            };
            assert_eq!(reason, wanted);
            assert!(
                message.contains(&status.to_string()) && message.ends_with(": no such probe"),
                "{message}"
            );
        }
        for status in [401, 429, 500, 502, 503] {
            let after = Some(Duration::from_secs(7));
            assert!(matches!(Answer::of(status, after, ""), Answer::Later { after: at, .. } if at == after));
        }
    }
}
