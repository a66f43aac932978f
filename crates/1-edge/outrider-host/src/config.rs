//! What to watch. Everything is off that is not named.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use crate::parse::LogKind;

/// `[host]`: sensors of this host.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostConfig {
    /// How long baselines are learned when they are not there yet.
    #[serde(default = "learn_seconds")]
    pub learn_seconds: u64,
    /// File integrity.
    pub files: Option<FilesConfig>,
    /// Programs, lineage, changes of user.
    pub processes: Option<ProcessesConfig>,
    /// Kernel modules.
    pub modules: Option<ModulesConfig>,
    /// Listening ports and outgoing connections.
    pub sockets: Option<SocketsConfig>,
    /// Memory that is writable and executable.
    pub memory: Option<MemoryConfig>,
    /// Rates of system calls.
    pub syscalls: Option<SyscallsConfig>,
    /// Boot measurements.
    pub boot: Option<BootConfig>,
    /// Logs to read.
    #[serde(default)]
    pub log: Vec<LogConfig>,
    /// File of patterns to use beside the shipped ones.
    pub patterns: Option<PathBuf>,
}

const fn learn_seconds() -> u64 {
    600
}

/// `[host.files]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilesConfig {
    /// Folders to watch, with everything below.
    pub paths: Vec<PathBuf>,
    /// Folders and files below them to leave out.
    #[serde(default)]
    pub exclude: Vec<PathBuf>,
    /// Most files in the baseline; further ones are watched and have no expected hash.
    #[serde(default = "files_max")]
    pub files_max: usize,
    /// Largest file that is hashed, in bytes.
    #[serde(default = "hash_bytes_max")]
    pub hash_bytes_max: u64,
}

/// 60,000 files are about 8 MiB, a quarter of what the whole agent may use.
const fn files_max() -> usize {
    60_000
}

/// 256 MiB: larger than any program of an ECU (guess).
const fn hash_bytes_max() -> u64 {
    256 << 20
}

/// `[host.processes]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessesConfig {
    /// Programs that may give themselves more rights, by path.
    #[serde(default)]
    pub may_elevate: Vec<String>,
    /// Programs that may trace others, by path.
    #[serde(default)]
    pub may_trace: Vec<String>,
}

/// `[host.modules]`: nothing to say beyond that it is on.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModulesConfig {}

/// `[host.sockets]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SocketsConfig {
    /// Networks that anybody may talk to, `address/length`.
    #[serde(default)]
    pub networks: Vec<String>,
}

/// `[host.memory]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryConfig {
    /// Programs that compile at run time, by process name.
    #[serde(default)]
    pub may_compile: Vec<String>,
}

/// `[host.syscalls]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyscallsConfig {
    /// Rate below which nothing is unusual, in calls a second.
    #[serde(default = "rate_floor_hz")]
    pub rate_floor_hz: u64,
    /// Processes made in a second that are unusual whatever was learned.
    #[serde(default = "fork_limit_hz")]
    pub fork_limit_hz: u64,
}

/// A tenth of what one core can do in empty reads (guess, from 2 µs a call).
const fn rate_floor_hz() -> u64 {
    50_000
}

/// A build of software makes 200 a second; an ECU in use makes hardly any (guess).
const fn fork_limit_hz() -> u64 {
    500
}

impl Default for SyscallsConfig {
    fn default() -> Self {
        Self { rate_floor_hz: rate_floor_hz(), fork_limit_hz: fork_limit_hz() }
    }
}

/// `[host.boot]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootConfig {
    /// Event log of the firmware, usually `/sys/kernel/security/tpm0/binary_bios_measurements`.
    pub event_log: Option<PathBuf>,
    /// Measurement list of the kernel's IMA, usually `/sys/kernel/security/ima/ascii_runtime_measurements`.
    pub measurements: Option<PathBuf>,
}

/// `[[host.log]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// Format.
    pub kind: LogKind,
    /// File or pipe.
    pub path: Option<PathBuf>,
    /// Address of a DLT daemon.
    pub address: Option<SocketAddr>,
    /// Read what is there already, too.
    #[serde(default)]
    pub from_start: bool,
    /// The file is truncated when it is rotated, so that this is no clearing.
    #[serde(default)]
    pub truncates: bool,
}
