//! What the child `ffmpeg` may do: next to nothing. On Linux it runs with limits, at the lowest priority, without a
//! network, and sees no file but programs, libraries and its one input.
//! In: a command that has not begun. Out: the same, fenced.
//!
//! Limits and priority always hold. The fences around network and files need a kernel that offers them to unprivileged
//! programs ([`fences`] says whether this one does); without them there is still that ffmpeg is told which demuxer to
//! use and which protocols it has.

use std::path::Path;
use std::process::Command;

/// Which fences this machine's kernel offers around the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fences {
    /// A name space of its own without a network.
    pub network: bool,
    /// Landlock: no file but its input, programs and libraries.
    pub files: bool,
}

/// Nothing of the environment reaches the child but what finds the program and its libraries.
const ENVIRONMENT: [&str; 2] = ["PATH", "LD_LIBRARY_PATH"];

/// Fences `command`, which reads `input` and may compute for `work_secs` on each of `threads` threads.
pub(crate) fn fence(command: &mut Command, input: &Path, work_secs: f64, threads: u64) {
    command.env_clear();
    for name in ENVIRONMENT {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    #[cfg(target_os = "linux")]
    linux::fence(command, input, work_secs, threads);
    #[cfg(not(target_os = "linux"))]
    let _ = (input, work_secs, threads);
}

/// Which fences the kernel offers; starts nothing but asks it.
pub fn fences() -> Fences {
    #[cfg(target_os = "linux")]
    return linux::fences();
    #[cfg(not(target_os = "linux"))]
    Fences {
        network: false,
        files: false,
    }
}

#[cfg(target_os = "linux")]
mod linux {
    #![allow(unsafe_code)]

    use std::io;
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::os::unix::process::CommandExt;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use landlock::{
        ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
        path_beneath_rules,
    };

    use super::Fences;

    /// Address space: libraries, a decoder's frames, filters. Frames of 40 million pixels fit many times.
    const MAX_MEMORY_BYTES: u64 = 3 << 30;

    /// Threads and processes, in a user name space of its own.
    const MAX_THREADS: u64 = 256;

    /// Open files: three pipes, the input, and a library at a time.
    const MAX_FILES: u64 = 16;

    /// Where programs and libraries live. What is not there is left out.
    const PROGRAMS: [&str; 12] = [
        "/usr",
        "/lib",
        "/lib32",
        "/lib64",
        "/bin",
        "/opt",
        "/nix/store",
        "/gnu/store",
        "/snap",
        "/etc/ld.so.cache",
        "/etc/alternatives",
        "/dev/null",
    ];

    pub(super) fn fence(command: &mut Command, input: &Path, work_secs: f64, threads: u64) {
        let cpu_secs = (work_secs.clamp(1.0, 86_400.0).ceil() as u64).saturating_mul(threads) + 1;
        let limits = [
            (libc::RLIMIT_CORE, 0),
            // Pipes are not counted: no file can be written at all.
            (libc::RLIMIT_FSIZE, 0),
            (libc::RLIMIT_CPU, cpu_secs),
            (libc::RLIMIT_AS, MAX_MEMORY_BYTES),
            (libc::RLIMIT_NOFILE, MAX_FILES),
        ];
        // Everything that allocates happens here, before the fork.
        let files = rules(input).ok().flatten();
        // SAFETY: between fork and exec the closure makes system calls alone; it neither allocates nor takes a lock.
        unsafe {
            command.pre_exec(move || {
                for (what, most) in limits {
                    set_limit(what, most)?;
                }
                // The rest is as good as the kernel allows; none of these can make things worse by failing.
                libc::setpriority(libc::PRIO_PROCESS, 0, 19);
                // The child of a server that is killed is killed too.
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                if libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET | libc::CLONE_NEWIPC) == 0
                {
                    // Outside of such a space everything that the server's user runs would count.
                    set_limit(libc::RLIMIT_NPROC, MAX_THREADS)?;
                } else {
                    libc::unshare(libc::CLONE_NEWNET | libc::CLONE_NEWIPC);
                }
                if let Some(files) = &files {
                    libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
                    libc::syscall(libc::SYS_landlock_restrict_self, files.as_raw_fd(), 0);
                }
                Ok(())
            });
        }
    }

    /// Lowers a limit; one that is lower already stays.
    fn set_limit(what: libc::__rlimit_resource_t, most: u64) -> io::Result<()> {
        let mut limit = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: both calls are given a valid `rlimit` that lives on this stack.
        unsafe {
            if libc::getrlimit(what, &raw mut limit) != 0 {
                return Err(io::Error::last_os_error());
            }
            limit.rlim_max = limit.rlim_max.min(most);
            limit.rlim_cur = limit.rlim_max;
            if libc::setrlimit(what, &raw const limit) != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    }

    /// A set of rules for the kernel: programs are read and run, the input is read, and nothing else is opened.
    fn rules(input: &Path) -> Result<Option<OwnedFd>, RulesetError> {
        // The newest access rights that the library knows; older kernels take what they know of them.
        let abi = ABI::V5;
        let mut programs: Vec<PathBuf> = PROGRAMS.iter().map(PathBuf::from).collect();
        // A program that somebody put elsewhere.
        programs.extend(program_dir("ffmpeg"));
        let created = Ruleset::default()
            .handle_access(AccessFs::from_all(abi))?
            .handle_access(AccessNet::from_all(abi))?
            .create()?
            .add_rules(path_beneath_rules(programs, AccessFs::from_read(abi)))?
            .add_rules(path_beneath_rules([input], AccessFs::ReadFile))?;
        Ok(created.into())
    }

    /// The directory, links followed, in which a program of the PATH lies.
    fn program_dir(name: &str) -> Option<PathBuf> {
        let path = std::env::var_os("PATH")?;
        let found = std::env::split_paths(&path)
            .map(|dir| dir.join(name))
            .find(|program| program.is_file())?;
        let real = std::fs::canonicalize(found).ok()?;
        real.parent().map(Path::to_path_buf)
    }

    pub(super) fn fences() -> Fences {
        // A child of ours that does nothing tells whether it could leave the network.
        let mut command = Command::new("true");
        // SAFETY: a single system call between fork and exec.
        unsafe {
            command.pre_exec(|| {
                if libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET) == 0
                    || libc::unshare(libc::CLONE_NEWNET) == 0
                {
                    return Ok(());
                }
                Err(io::Error::last_os_error())
            });
        }
        let network = command.status().is_ok_and(|status| status.success());
        let files = rules(Path::new("/dev/null")).is_ok_and(|rules| rules.is_some());
        Fences { network, files }
    }
}
