//! Errors with their causes, for one line of text. An error's own message leaves its cause out: who prints chains would
//! print it twice.

use std::error::Error;

/// The error's message and those of its causes, as in `cannot probe process 7: cannot attach 3 probes: permission denied`.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::{investigation::InvestigationError, rung::RungError};

    #[test]
    fn every_cause_is_told_once() {
        let source = RungError::Link(crate::bpf::LinkError::Create {
            count: 3,
            path: "/x".into(),
            source: io::Error::from_raw_os_error(libc::EPERM),
        });
        let error = InvestigationError::Attach { pid: 7, source };
        let text = with_causes(&error);
        assert_eq!(
            text,
            "cannot probe process 7: cannot attach 3 probes to /x: Operation not permitted (os error 1)"
        );
    }
}
