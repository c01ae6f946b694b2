//! What the system says of itself and of a process, from `/proc`.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;

/// `USER_HZ`, which Linux has at 100 on every platform this runs on.
const TICKS_PER_SECOND: u64 = 100;

/// The processor's name.
pub(crate) fn cpu_model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find(|line| line.starts_with("model name"));
    model
        .and_then(|line| line.split_once(':'))
        .map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned())
}

/// The kernel's name and version.
pub(crate) fn kernel() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("Linux {}", release.trim())
}

/// Processors that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Processor time that a process has used.
pub(crate) fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("can't read {path}"))?;
    // The name in parentheses may hold anything.
    let (_, rest) = text.rsplit_once(')').context("a stat line has a name")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok());
    let used = ticks(11).zip(ticks(12)).map(|(user, system)| user + system);
    let used = used.context("a stat line has times")?;
    Ok(Duration::from_millis(used * 1_000 / TICKS_PER_SECOND))
}

/// Memory that a process has resident, MB (10^6 bytes).
pub(crate) fn resident_mb(pid: u32) -> anyhow::Result<f64> {
    status_mb(&format!("/proc/{pid}/status"), "VmRSS:")
}

/// The most memory that this process had resident since [`reset_peak`], MB.
pub(crate) fn own_peak_mb() -> anyhow::Result<f64> {
    status_mb("/proc/self/status", "VmHWM:")
}

/// Begins the peak anew.
pub(crate) fn reset_peak() -> anyhow::Result<()> {
    fs::write("/proc/self/clear_refs", "5").context("can't reset the peak of memory")
}

fn status_mb(path: &str, field: &str) -> anyhow::Result<f64> {
    let text = fs::read_to_string(path).with_context(|| format!("can't read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kib.with_context(|| format!("{path} has no {field}"))? * 1_024.0 / 1e6)
}
