//! What the kernel says of this process: `proc(5)`.

/// Ticks of a second in `/proc`; the same for every program on Linux (`USER_HZ`).
const TICKS_A_SECOND: u64 = 100;
/// Bytes of a line `VmRSS` unit.
const KIB: u64 = 1_024;

/// Processor time, memory and files of the process, each where the system tells.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ProcessStatus {
    /// User and system time.
    pub cpu_seconds: Option<f64>,
    /// Resident memory.
    pub memory_bytes: Option<u64>,
    /// Open file descriptors.
    pub files: Option<u64>,
}

impl ProcessStatus {
    /// Reads them of the running process; outside of Linux they are absent.
    #[must_use]
    pub fn read() -> Self {
        let text = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}")).ok();
        Self {
            cpu_seconds: text("stat").as_deref().and_then(cpu_seconds),
            memory_bytes: text("status").as_deref().and_then(memory_bytes),
            // One of them is the folder that is being read.
            files: std::fs::read_dir("/proc/self/fd")
                .ok()
                .map(|files| (files.count() as u64).saturating_sub(1)),
        }
    }
}

/// Reads `utime` and `stime`, fields 14 and 15. The name of the program before them may hold spaces and brackets.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()?.checked_add(fields.next()?.parse().ok()?)?;
    let (whole, part) = (ticks / TICKS_A_SECOND, ticks % TICKS_A_SECOND);
    Some(std::time::Duration::new(whole, u32::try_from(part * 10_000_000).ok()?).as_secs_f64())
}

fn memory_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok()?.checked_mul(KIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_with_brackets_in_its_name_is_read() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 51 0 0 20 0 4 0 100 0 0";
        assert_eq!(cpu_seconds(stat), Some(3.01));
    }

    #[test]
    fn what_the_kernel_never_writes_is_absent() {
        for text in [
            "",
            ")",
            "1 (x) S 1",
            "1 (x) S 1 7 7 0 -1 4 1 0 0 0 x 51",
            "1 (x) S 1 7 7 0 -1 4 1 0 0 0 18446744073709551615 1",
        ] {
            assert_eq!(cpu_seconds(text), None, "{text}");
        }
        assert_eq!(memory_bytes("VmRSS:\t12 kB\n"), Some(12_288));
        for text in ["", "VmRSS:", "VmRSS: x kB", "VmRSS: 18446744073709551615 kB"] {
            assert_eq!(memory_bytes(text), None, "{text}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory_and_files() {
        let status = ProcessStatus::read();
        assert!(status.cpu_seconds.is_some());
        assert!(status.memory_bytes.is_some_and(|bytes| bytes > 100_000));
        assert!(status.files.is_some_and(|files| files >= 3));
    }
}
