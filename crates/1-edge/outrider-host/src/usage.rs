//! What a program itself uses, as the kernel counts it.

use std::path::Path;

use crate::proc_fs::ProcRoot;
use crate::sys;

/// Memory and processor time of this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Resident memory now, in bytes.
    pub resident_bytes: u64,
    /// Most resident memory so far, in bytes.
    pub resident_bytes_max: u64,
    /// Processor time of all threads so far, in microseconds.
    pub processor_us: u64,
    /// Threads.
    pub threads: u64,
}

impl Usage {
    /// Asks the kernel; zeros where it does not say.
    #[must_use]
    pub fn now() -> Self {
        let root = ProcRoot::new(Path::new("/proc"));
        let status = root.read("self/status", 16 << 10).unwrap_or_default();
        let stat = root.read("self/stat", 4096).unwrap_or_default();
        Self::parse(&status, &stat, sys::ticks_per_second())
    }

    fn parse(status: &str, stat: &str, ticks_per_second: u64) -> Self {
        let number = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        // The name in parentheses may hold anything; user and system time are words 12 and 13 behind it.
        let behind = stat.rsplit_once(')').map_or("", |(_, behind)| behind);
        let times = behind.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<u64>().ok());
        Self {
            resident_bytes: number("VmRSS:").unwrap_or(0).saturating_mul(1024),
            resident_bytes_max: number("VmHWM:").unwrap_or(0).saturating_mul(1024),
            processor_us: times.sum::<u64>().saturating_mul(1_000_000) / ticks_per_second.max(1),
            threads: number("Threads:").unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_time_are_read() {
        let status = "Name:\ta\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nThreads:\t3\n";
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0";
        let expected = Usage {
            resident_bytes: 1 << 20,
            resident_bytes_max: 2 << 20,
            processor_us: 2_000_000,
            threads: 3,
        };
        assert_eq!(Usage::parse(status, stat, 100), expected);
        assert!(Usage::now().resident_bytes > 0, "this program uses memory");
    }
}
