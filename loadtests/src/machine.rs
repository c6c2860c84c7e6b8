//! The machine that was measured on: figures of another one do not compare.

use std::fs;

/// Processor and kernel, in one line.
pub(crate) fn describe() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |key: &str| {
        let line = cpuinfo.lines().find(|line| line.starts_with(key));
        let value = line.and_then(|line| line.split_once(": "));
        value
            .map_or("unknown", |(_, value)| value.trim())
            .to_owned()
    };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{} ({}, family {}, model {}), Linux {}",
        value("model name"),
        value("vendor_id"),
        value("cpu family"),
        value("model\t\t"),
        kernel.trim()
    )
}
