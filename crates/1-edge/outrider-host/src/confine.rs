//! The sandbox of a program that reads hostile input: another user, no way to more rights, a short list of system calls,
//! a file system that is read only.
//!
//! Call [`confine`] when everything is open and before threads are started. What the kernel does not have is said in the
//! [`Confinement`], never passed over in silence.

use std::io;
use std::path::Path;

use crate::sys::confine::{self, Instruction};
pub use crate::sys::confine::{Capability, User, user};

/// What to give up.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// User to become; `None` stays, and then rights that root has are given up all the same.
    pub user: Option<User>,
    /// Rights that are still needed.
    pub keep: &'a [Capability],
    /// Folders that may be written to; all else is read only. They must exist.
    pub writable: &'a [&'a Path],
}

/// What was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confinement {
    /// Effective user.
    pub user: u32,
    /// Rights kept, by number.
    pub capabilities: Vec<u8>,
    /// Whether executions can never give more rights.
    pub no_new_privileges: bool,
    /// System calls that are allowed, without or with conditions.
    pub system_calls: usize,
    /// What holds the file system read only.
    pub file_system: FileSystem,
}

/// What holds the file system read only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSystem {
    /// Landlock of this version.
    Landlock(u32),
    /// A view of its own with read-only mounts. Landlock would also forbid looking into other processes, which sensors
    /// with the right to do so need.
    Mounts,
    /// Nothing: the kernel has neither, or the rights are missing.
    Open,
}

impl std::fmt::Display for FileSystem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Landlock(version) => write!(f, "landlock {version}"),
            Self::Mounts => f.write_str("read-only mounts"),
            Self::Open => f.write_str("open"),
        }
    }
}

/// Gives up everything that the plan does not keep. Cannot be undone.
///
/// # Errors
/// A step is refused; the program is then in between and must end.
pub fn confine(plan: &Plan<'_>) -> io::Result<Confinement> {
    let step = |what: &'static str| {
        move |error: io::Error| io::Error::new(error.kind(), format!("sandbox: {what}: {error}"))
    };
    let looks_into_others = plan.keep.contains(&Capability::SYS_PTRACE) && crate::sys::effective_user() == 0;
    let mut file_system = FileSystem::Open;
    // Without the right to mounts, as in a container, the view stays open and the status says so.
    if looks_into_others && confine::read_only_mounts(plan.writable).is_ok() {
        file_system = FileSystem::Mounts;
    }
    let kept: Vec<Capability> = match plan.user {
        Some(user) => {
            confine::become_user(user, plan.keep).map_err(step("change of user"))?;
            plan.keep.to_vec()
        }
        None if crate::sys::effective_user() == 0 => {
            confine::keep_capabilities(plan.keep).map_err(step("capabilities"))?;
            plan.keep.to_vec()
        }
        // Somebody else's service manager has decided what there is.
        None => Vec::new(),
    };
    confine::no_new_privileges().map_err(step("no_new_privs"))?;
    if let Some(version) = confine::landlock_version().filter(|_| !looks_into_others) {
        confine::read_only(version, plan.writable).map_err(step("landlock"))?;
        file_system = FileSystem::Landlock(version);
    }
    confine::install_filter(&filter()).map_err(step("seccomp"))?;
    Ok(Confinement {
        user: crate::sys::effective_user(),
        capabilities: kept.iter().map(|capability| capability.0).collect(),
        no_new_privileges: true,
        system_calls: ALLOWED.len() + ALLOWED_HERE.len() + 6,
        file_system,
    })
}

/// Calls without conditions on every architecture. Absent, hence refused: executing, making processes, tracing, mounting,
/// loading modules or BPF, changing users, sending signals to others.
const ALLOWED: [libc::c_long; 95] = [
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_lseek,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_pipe2,
    libc::SYS_pselect6,
    libc::SYS_ppoll,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_gettimeofday,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getppid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getgroups,
    libc::SYS_capget,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_connect,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvmmsg,
    libc::SYS_shutdown,
    libc::SYS_bind,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_setsockopt,
    libc::SYS_getsockopt,
    libc::SYS_fcntl,
    libc::SYS_flock,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_ftruncate,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_readlinkat,
    libc::SYS_umask,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_getrandom,
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_rseq,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_tgkill,
    libc::SYS_restart_syscall,
    libc::SYS_openat,
    libc::SYS_fadvise64,
    libc::SYS_fallocate,
    libc::SYS_prlimit64,
    libc::SYS_getrusage,
    libc::SYS_fanotify_mark,
    libc::SYS_name_to_handle_at,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_membarrier,
    libc::SYS_set_tid_address,
    libc::SYS_copy_file_range,
];

/// Old calls that the C library of this architecture may still use.
#[cfg(target_arch = "x86_64")]
const ALLOWED_HERE: [libc::c_long; 13] = [
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_epoll_wait,
    libc::SYS_rename,
    libc::SYS_mkdir,
    libc::SYS_unlink,
    libc::SYS_rmdir,
    libc::SYS_readlink,
    libc::SYS_arch_prctl,
];
#[cfg(not(target_arch = "x86_64"))]
const ALLOWED_HERE: [libc::c_long; 0] = [];

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xC000_00B7;

// Operations of the filter language (linux/filter.h) and the filter's input (linux/seccomp.h).
const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const EQUAL: u16 = 0x15;
const AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
const ARGUMENTS_AT: u32 = 16;

const ALLOW: u32 = 0x7FFF_0000;
const KILL: u32 = 0x8000_0000;
const ERRNO: u32 = 0x0005_0000;
const REFUSE: u32 = ERRNO | libc::EPERM.cast_unsigned();
/// The C library then tries `clone`, whose flags can be looked at.
const UNKNOWN: u32 = ERRNO | libc::ENOSYS.cast_unsigned();

/// Returns the half of a control number that the filter looks at; none has more.
fn low(control: libc::Ioctl) -> u32 {
    u32::try_from(control).unwrap_or(u32::MAX)
}

fn number(call: libc::c_long) -> u32 {
    u32::try_from(call).unwrap_or(u32::MAX)
}

/// Returns the instructions that judge a call by the value of one argument under a mask; the number stays loaded for
/// every other call.
fn conditional(
    call: libc::c_long,
    argument: u32,
    mask: u32,
    values: &[u32],
    then: u32,
    other: u32,
) -> Vec<Instruction> {
    let mut body = vec![(LOAD, 0, 0, ARGUMENTS_AT + 8 * argument), (AND, 0, 0, mask)];
    for value in values {
        body.push((EQUAL, 0, 1, *value));
        body.push((RETURN, 0, 0, then));
    }
    body.push((RETURN, 0, 0, other));
    let length = u8::try_from(body.len()).unwrap_or(u8::MAX);
    let mut out = vec![(EQUAL, 0, length, number(call))];
    out.extend(body);
    out
}

/// Returns the filter: unknown architectures end the program, what is not allowed fails with `EPERM`.
fn filter() -> Vec<Instruction> {
    let mut out = vec![
        (LOAD, 0, 0, ARCHITECTURE_AT),
        (EQUAL, 1, 0, ARCHITECTURE),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER_AT),
        // The x32 calls of x86-64 have numbers of their own.
        (AT_LEAST, 0, 1, 0x4000_0000),
        (RETURN, 0, 0, KILL),
        (EQUAL, 0, 1, number(libc::SYS_clone3)),
        (RETURN, 0, 0, UNKNOWN),
    ];
    let thread = libc::CLONE_THREAD.cast_unsigned();
    out.extend(conditional(libc::SYS_clone, 0, thread, &[thread], ALLOW, REFUSE));
    let families =
        [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK].map(libc::c_int::cast_unsigned);
    out.extend(conditional(libc::SYS_socket, 0, u32::MAX, &families, ALLOW, REFUSE));
    let both = (libc::PROT_WRITE | libc::PROT_EXEC).cast_unsigned();
    out.extend(conditional(libc::SYS_mmap, 2, both, &[both], REFUSE, ALLOW));
    out.extend(conditional(libc::SYS_mprotect, 2, both, &[both], REFUSE, ALLOW));
    let controls = [libc::FIONREAD, libc::FIONBIO, libc::TCGETS].map(low);
    out.extend(conditional(libc::SYS_ioctl, 1, u32::MAX, &controls, ALLOW, REFUSE));
    let name = [libc::PR_SET_NAME.cast_unsigned()];
    out.extend(conditional(libc::SYS_prctl, 0, u32::MAX, &name, ALLOW, REFUSE));
    for call in ALLOWED.iter().chain(&ALLOWED_HERE) {
        out.extend([(EQUAL, 0, 1, number(*call)), (RETURN, 0, 0, ALLOW)]);
    }
    out.push((RETURN, 0, 0, REFUSE));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the filter on a call as the kernel does.
    fn judge(architecture: u32, call: libc::c_long, arguments: [u32; 3]) -> u32 {
        let program = filter();
        let (mut at, mut value) = (0, 0);
        loop {
            let (code, yes, no, operand) = program[at];
            at += 1;
            let jump = |holds: bool| usize::from(if holds { yes } else { no });
            match code {
                LOAD if operand == NUMBER_AT => value = number(call),
                LOAD if operand == ARCHITECTURE_AT => value = architecture,
                LOAD => value = arguments[((operand - ARGUMENTS_AT) / 8) as usize],
                AND => value &= operand,
                EQUAL => at += jump(value == operand),
                AT_LEAST => at += jump(value >= operand),
                RETURN => return operand,
                _ => panic!("instruction {code:#x}"),
            }
        }
    }

    #[test]
    fn the_filter_lets_work_pass_and_refuses_what_an_intruder_wants() {
        let verdict = |call, arguments| judge(ARCHITECTURE, call, arguments);
        assert_eq!(verdict(libc::SYS_read, [0; 3]), ALLOW);
        assert_eq!(verdict(libc::SYS_copy_file_range, [0; 3]), ALLOW);
        for call in [
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_ptrace,
            libc::SYS_mount,
            libc::SYS_bpf,
            libc::SYS_init_module,
            libc::SYS_finit_module,
            libc::SYS_setuid,
            libc::SYS_setresuid,
            libc::SYS_kill,
            libc::SYS_open_by_handle_at,
            libc::SYS_process_vm_writev,
            libc::SYS_memfd_create,
        ] {
            assert_eq!(verdict(call, [0; 3]), REFUSE, "{call}");
        }
        assert_eq!(verdict(libc::SYS_clone, [libc::CLONE_THREAD.cast_unsigned() | 1, 0, 0]), ALLOW);
        assert_eq!(verdict(libc::SYS_clone, [17, 0, 0]), REFUSE, "a process");
        assert_eq!(verdict(libc::SYS_clone3, [0; 3]), UNKNOWN);
        assert_eq!(verdict(libc::SYS_socket, [2, 1, 0]), ALLOW);
        assert_eq!(verdict(libc::SYS_socket, [17, 3, 0]), REFUSE, "a packet socket");
        assert_eq!(verdict(libc::SYS_mprotect, [0, 0, 7]), REFUSE);
        assert_eq!(verdict(libc::SYS_mprotect, [0, 0, 5]), ALLOW);
        assert_eq!(verdict(libc::SYS_mmap, [0, 0, 3]), ALLOW);
        assert_eq!(verdict(libc::SYS_ioctl, [0, low(libc::TIOCSTI), 0]), REFUSE);
        assert_eq!(judge(0x4000_0003, libc::SYS_read, [0; 3]), KILL);
        assert_eq!(verdict(0x4000_0000, [0; 3]), KILL);
    }
}
