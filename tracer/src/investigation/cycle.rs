//! From snapshot to snapshot, until there is a reason to end.

use std::{os::fd::AsFd, time::Instant};

use super::{
    InvestigationError,
    flow::Run,
    wait::{Woken, next_due, wait_until},
};
use crate::launch::Launched;

impl Run<'_> {
    /// From the first snapshot to the end record.
    pub(super) fn watch(mut self, mut launched: Option<&mut Launched>) -> Result<(), InvestigationError> {
        let began = Instant::now();
        let started_by_us = launched.is_some();
        let with_probes = self.read_processors();
        if let Some(launched) = launched.as_mut() {
            launched.go()?;
        }
        let end = began + self.settings.duration;
        let interval = self.settings.interval;
        let mut due = next_due(began, interval, end, Instant::now());
        let reason = loop {
            let woken = self.wait(due, began)?;
            self.progress.elapsed = began.elapsed();
            if woken == Woken::AllEnded {
                // at once: while others are waited for nothing can grow, which is not for want of a leak
                self.snapshot()?;
                if self.goes_on_without_them(end)? {
                    continue;
                }
                self.stand()?;
                break "targetExited";
            }
            if due.elapsed() > interval / 10 && woken == Woken::Due {
                self.own.late_snapshots += 1;
            }
            if woken == Woken::Due && due < end {
                self.refresh()?;
            }
            self.cores.during = with_probes.until(&self.read_processors());
            if woken == Woken::TooDear && self.retreat(end)? {
                return Ok(());
            }
            let reason = match woken {
                Woken::TooDear => Some("budget"),
                Woken::Stopped => Some("stopped"),
                Woken::Due if due >= end => Some("duration"),
                Woken::Due | Woken::News | Woken::AllEnded => None,
            };
            if reason.is_some() {
                self.stand()?;
            }
            self.snapshot()?;
            if let Some(reason) = reason {
                break reason;
            }
            due = next_due(due, interval, end, Instant::now());
        };
        // what we started ends with us, and who asks to stop does not want to wait
        let look_again = !started_by_us && matches!(reason, "duration" | "budget");
        let ended_with = match (reason, launched) {
            ("targetExited", Some(launched)) => launched.ended_with().map_err(InvestigationError::Stop)?,
            _ => None,
        };
        self.finish(reason, ended_with, look_again)
    }

    fn wait(&mut self, due: Instant, began: Instant) -> Result<Woken, InvestigationError> {
        loop {
            let look = due.min(Instant::now() + self.purse.pause());
            let processes = &self.processes;
            let watches = || processes.iter().map(|(_, watch)| watch).collect();
            let mut progress = self.progress;
            let news = self.forks.as_ref().map(AsFd::as_fd);
            let woken = wait_until(look, watches, news, self.observer.stop, || {
                progress.elapsed = began.elapsed();
                (self.observer.progress)(&progress);
            });
            self.look()?;
            match woken {
                _ if self.let_go.is_some() => return Ok(Woken::TooDear),
                Woken::News => self.hear_news()?,
                Woken::Due if look < due => self.drop_ended()?,
                woken => return Ok(woken),
            }
        }
    }
}
