//! What the HTTP surface counts, in the text format of Prometheus (0.0.4).
//!
//! Invariant: the memory is fixed, since every label is a status or one of our codes. Deliberately
//! absent: labels that come from a request.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use fedsx_core::refusal::Code;
use http::StatusCode;

/// Upper bounds of the buckets of answers' durations, microseconds, and how they are printed, seconds.
const BUCKETS: [(u128, &str); 9] = [
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (50_000, "0.05"),
    (250_000, "0.25"),
    (1_000_000, "1"),
    (10_000_000, "10"),
];

/// The counters of one process's public listener.
#[derive(Debug)]
pub struct Metrics {
    /// By status, from 100.
    answers: Box<[AtomicU64; 500]>,
    refusals: [AtomicU64; Code::ALL.len()],
    /// By bucket; the last one is of what took longer.
    durations: [AtomicU64; BUCKETS.len() + 1],
    duration_us: AtomicU64,
    connections: AtomicU64,
    open: AtomicI64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            answers: Box::new([const { AtomicU64::new(0) }; 500]),
            refusals: [const { AtomicU64::new(0) }; Code::ALL.len()],
            durations: [const { AtomicU64::new(0) }; BUCKETS.len() + 1],
            duration_us: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            open: AtomicI64::new(0),
        }
    }
}

impl Metrics {
    pub(crate) fn answered(&self, status: StatusCode, took: Duration) {
        if let Some(count) = self.answers.get(usize::from(status.as_u16()) - 100) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let us = took.as_micros();
        let bucket = BUCKETS.partition_point(|(bound, _)| *bound < us);
        self.durations[bucket].fetch_add(1, Ordering::Relaxed);
        let us = u64::try_from(us).unwrap_or(u64::MAX);
        self.duration_us.fetch_add(us, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self, code: Code) {
        if let Some(at) = Code::ALL.iter().position(|have| *have == code) {
            self.refusals[at].fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn opened(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Appends the counters.
    pub fn write(&self, out: &mut String) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        head(
            out,
            "fedsx_http_answers_total",
            "counter",
            "Answers by HTTP status.",
        );
        for (at, count) in self.answers.iter().enumerate() {
            let (status, count) = (at + 100, read(count));
            if count > 0 {
                line(
                    out,
                    &format!("fedsx_http_answers_total{{status=\"{status}\"}}"),
                    count,
                );
            }
        }
        head(
            out,
            "fedsx_http_refusals_total",
            "counter",
            "Refusals by code.",
        );
        for (code, count) in Code::ALL.iter().zip(&self.refusals) {
            let count = read(count);
            if count > 0 {
                line(
                    out,
                    &format!("fedsx_http_refusals_total{{code=\"{code}\"}}"),
                    count,
                );
            }
        }
        let name = "fedsx_http_duration_seconds";
        head(
            out,
            name,
            "histogram",
            "From the head of a request to the head of its answer.",
        );
        let mut sum = 0;
        let bounds = BUCKETS.iter().map(|(_, text)| *text).chain(["+Inf"]);
        for (bound, count) in bounds.zip(&self.durations) {
            sum += read(count);
            line(out, &format!("{name}_bucket{{le=\"{bound}\"}}"), sum);
        }
        let us = read(&self.duration_us);
        line(
            out,
            &format!("{name}_sum"),
            format_args!("{}.{:06}", us / 1_000_000, us % 1_000_000),
        );
        line(out, &format!("{name}_count"), sum);
        counter(
            out,
            "fedsx_http_connections_total",
            "Connections accepted.",
            read(&self.connections),
        );
        gauge(
            out,
            "fedsx_http_connections",
            "Connections open.",
            self.open.load(Ordering::Relaxed),
        );
    }
}

/// Appends one gauge with its help text.
pub fn gauge(out: &mut String, name: &str, help: &str, value: impl std::fmt::Display) {
    head(out, name, "gauge", help);
    line(out, name, value);
}

/// Appends one counter with its help text.
pub fn counter(out: &mut String, name: &str, help: &str, value: impl std::fmt::Display) {
    head(out, name, "counter", help);
    line(out, name, value);
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")
        .expect("writing to a string can't fail");
}

fn line(out: &mut String, name: &str, value: impl std::fmt::Display) {
    writeln!(out, "{name} {value}").expect("writing to a string can't fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_printed() {
        let metrics = Metrics::default();
        metrics.opened();
        metrics.opened();
        metrics.closed();
        metrics.answered(StatusCode::ACCEPTED, Duration::from_micros(700));
        metrics.answered(StatusCode::ACCEPTED, Duration::from_micros(500));
        metrics.answered(StatusCode::NOT_FOUND, Duration::from_secs(11));
        metrics.refused(Code::NotFound);
        let mut page = String::new();
        metrics.write(&mut page);
        gauge(&mut page, "fedsx_more", "Another.", 3);
        insta::assert_snapshot!(page);
    }
}
