"""The system-call table: which calls a cell may make, and why each refused one is refused.

Four answers. An *allowed* call reaches the kernel; a few of those only with certain arguments
(`syscall_arguments`), and one group only where a control group counts memory. A *denied* call is
known and unwanted: EPERM. An *unsupported* one answers EOPNOTSUPP, as if the file system could not
do it. Every other number, known or yet to be invented, answers ENOSYS, which is what a program sees
on an older kernel and is written to handle; a filter that kills instead has broken numerical
libraries again and again.

Measured (benchmarks/trace_syscalls.py) on numpy, pandas, pyarrow, polars, scikit-learn, numba,
torch, matplotlib, sqlite3, asyncio, subprocess, multiprocessing: 107 calls. The rest of the set is
what tools that a cell starts need (tar, git, a compiler), and gives no power over what is outside.

Guarantees: data only; no name stands in two groups.
Assumes: names are libseccomp's; one that an architecture never had is skipped for it.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ALLOWED", "COUNTED", "DENIED", "NEWER", "UNANSWERED", "UNSUPPORTED", "Group", "names"]


@dataclass(frozen=True, slots=True)
class Group:
    """Calls that are decided together."""

    purpose: str
    reason: str
    """Why it is safe to allow, or what it would give a hostile cell."""

    calls: tuple[str, ...]


def _group(purpose: str, reason: str, calls: str) -> Group:
    return Group(purpose, reason, tuple(calls.split()))


ALLOWED: tuple[Group, ...] = (
    _group(
        "open descriptors",
        "Act on what is open already, and that is the sandbox's own.",
        "read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek close"
        " close_range dup dup2 dup3 fcntl flock fsync fdatasync sync_file_range ftruncate fallocate"
        " fadvise64 readahead copy_file_range sendfile cachestat pipe pipe2 ioctl",
    ),
    _group(
        "files by name",
        "Walk only the mounts of the sandbox's own root, and Landlock asks again.",
        "open openat creat stat lstat fstat newfstatat statx access faccessat faccessat2"
        " readlink readlinkat getdents getdents64 getcwd chdir fchdir truncate rename renameat"
        " renameat2 mkdir mkdirat rmdir unlink unlinkat link linkat symlink symlinkat mknod mknodat"
        " umask utime utimes utimensat futimesat statfs fstatfs inotify_init inotify_init1"
        " inotify_add_watch inotify_rm_watch",
    ),
    _group(
        "modes, owners, attributes",
        "Only ids of the user namespace can be given, and it maps one; archivers call them."
        " Taking an attribute away frees memory, and asks for no more than writing the file.",
        "chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat getxattr lgetxattr fgetxattr"
        " listxattr llistxattr flistxattr removexattr lremovexattr fremovexattr",
    ),
    _group(
        "memory of its own",
        "Bounded by rlimits; mmap gives memory that is shared and has no file only where a control"
        " group counts it.",
        "mmap munmap mremap mprotect madvise msync mincore brk mlock mlock2 munlock mlockall"
        " munlockall membarrier pkey_alloc pkey_free pkey_mprotect get_mempolicy",
    ),
    _group(
        "processes and threads",
        "Stay in the PID namespace, whose end is theirs; clone is asked for namespace flags.",
        "fork vfork clone execve execveat wait4 waitid exit exit_group set_tid_address"
        " set_robust_list get_robust_list rseq arch_prctl prctl personality getpid getppid gettid"
        " getpgid getpgrp setpgid getsid setsid pidfd_open restart_syscall",
    ),
    _group(
        "signals",
        "Reach the PID namespace only; Landlock's scope says the same.",
        "kill tkill tgkill pidfd_send_signal rt_sigaction rt_sigprocmask rt_sigreturn"
        " rt_sigpending rt_sigsuspend rt_sigtimedwait rt_sigqueueinfo rt_tgsigqueueinfo sigaltstack"
        " pause signalfd signalfd4",
    ),
    _group(
        "identity",
        "One id is mapped and every capability is gone, so a change can only be to itself;"
        " programs that give up rights at start treat a refusal as fatal.",
        "getuid geteuid getgid getegid getresuid getresgid getgroups setuid setgid setreuid"
        " setregid setresuid setresgid setfsuid setfsgid capget",
    ),
    _group(
        "limits and accounting",
        "Hard limits can only be lowered; what is read is the sandbox's own, or the machine's"
        " size, which thread pools need.",
        "getrlimit setrlimit prlimit64 getrusage times sysinfo uname getcpu getpriority setpriority"
        " ioprio_get ioprio_set sched_yield sched_getaffinity sched_setaffinity sched_getparam"
        " sched_getscheduler sched_setscheduler sched_getattr sched_get_priority_max"
        " sched_get_priority_min sched_rr_get_interval",
    ),
    _group(
        "time, waiting, wake-ups",
        "Read clocks and wait; nothing here sets a clock.",
        "clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time alarm getitimer"
        " setitimer timer_create timer_settime timer_gettime timer_getoverrun timer_delete"
        " timerfd_create timerfd_settime timerfd_gettime futex futex_waitv futex_wait futex_wake"
        " futex_requeue poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait"
        " epoll_pwait epoll_pwait2 eventfd eventfd2 getrandom",
    ),
    _group(
        "sockets",
        "Families are decided when a socket is made; no host socket is visible or inherited.",
        "socket socketpair bind connect listen accept accept4 getsockname getpeername sendto"
        " sendmsg sendmmsg recvfrom recvmsg recvmmsg shutdown getsockopt setsockopt",
    ),
    _group(
        "further self-confinement",
        "A nested filter or ruleset can only tighten; xz, file and man refuse to start where they"
        " get an answer they do not expect.",
        "seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self",
    ),
)

DENIED: tuple[Group, ...] = (
    _group(
        "namespaces and roots",
        "A new user namespace gives every capability back inside itself, which 51 of 79 recent"
        " kernel exploits needed; chroot walks out of a root, setns into another.",
        "unshare setns chroot pivot_root",
    ),
    _group(
        "mounts, old and new way",
        "Undo read-only binds and masks; denying mount(2) alone left fsopen and friends.",
        "mount umount2 open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr",
    ),
    _group(
        "other processes' memory and descriptors",
        "Read, write or steer another process, or take its descriptors; kcmp leaks kernel pointer"
        " order.",
        "ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp"
        " pidfd_getfd",
    ),
    _group(
        "programmable kernel surface",
        "Kernel code that attackers know best; io_uring and libaio would also make calls that the"
        " filter never sees; userfaultfd holds the kernel still at a chosen page.",
        "bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register io_setup"
        " io_destroy io_submit io_cancel io_getevents io_pgetevents",
    ),
    _group(
        "pipes that borrow pages",
        "Move page-cache pages into pipes without a copy: the shape of Dirty Pipe.",
        "splice vmsplice tee",
    ),
    _group(
        "keys",
        "Keyrings are no namespace: they are shared by user id with the host.",
        "keyctl add_key request_key",
    ),
    _group(
        "files by handle",
        "Open an inode without a path, and so without the root: the Shocker escape.",
        "open_by_handle_at name_to_handle_at",
    ),
    _group(
        "file-system watching with rights",
        "fanotify sees and can hold up the accesses of others.",
        "fanotify_init fanotify_mark",
    ),
    _group(
        "memory placement and secrets",
        "Secret memory is outside what a watching parent counts; the others move other processes'"
        " pages or need CAP_SYS_NICE; OpenBLAS asks for them and goes on when refused.",
        "memfd_secret mbind set_mempolicy set_mempolicy_home_node migrate_pages move_pages",
    ),
    _group(
        "System V IPC and POSIX message queues",
        "Segments and queues outlive their maker and are on nobody's memory bill; Python's own"
        " semaphores and shared memory are files in /dev/shm.",
        "shmget shmat shmdt shmctl semget semop semtimedop semctl msgget msgsnd msgrcv msgctl"
        " mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr",
    ),
    _group(
        "kernel code and boot",
        "Load code into the kernel or replace it.",
        "init_module finit_module delete_module create_module query_module get_kernel_syms"
        " kexec_load kexec_file_load reboot",
    ),
    _group(
        "machine-wide switches",
        "Belong to the administrator: swap, quota, accounting, the kernel log, host names, hang-up"
        " of terminals; sync and syncfs make the host's disks flush for everybody.",
        "swapon swapoff quotactl quotactl_fd acct syslog sethostname setdomainname vhangup sync"
        " syncfs nfsservctl lookup_dcookie",
    ),
    _group(
        "clocks",
        "Set the host's clock, which most machines do not have per namespace.",
        "settimeofday clock_settime adjtimex clock_adjtime",
    ),
    _group(
        "scheduling by structure",
        "Takes real-time and deadline policies from memory, where a filter cannot look.",
        "sched_setattr",
    ),
    _group(
        "identity beyond one's own",
        "No supplementary group and no capability is ever right in here.",
        "setgroups capset",
    ),
    _group(
        "old x86 doors",
        "Segment tables, I/O ports and calls that only old exploits still make.",
        "modify_ldt iopl ioperm uselib ustat sysfs _sysctl",
    ),
)

UNSUPPORTED: tuple[Group, ...] = (
    _group(
        "setting extended attributes",
        "Those of a memfd or a tmpfs file are kernel memory that no limit of ours sees: 256 MiB"
        " on one descriptor. tar, cp and shutil.copystat go on after this errno.",
        "setxattr lsetxattr fsetxattr setxattrat",
    ),
)

# Allowed where a control group counts all memory of the cell, and ENOSYS elsewhere.
COUNTED: tuple[Group, ...] = (
    _group(
        "files without a file system",
        "No tmpfs bounds them, and one that is sent through a socket and closed, or open in a"
        " thread's own table, is on no list that a watching parent can read: a gigabyte under a"
        " limit of 128 MiB (docs/decisions/0011). Libraries fall back to a temporary file; results"
        " go through an arena that the parent makes.",
        "memfd_create",
    ),
)

# Named, because someone will look for them: ENOSYS on purpose.
UNANSWERED: tuple[Group, ...] = (
    _group(
        "clone by structure",
        "Flags lie in memory, where a filter cannot look; glibc falls back to clone on ENOSYS, and"
        " on nothing else.",
        "clone3",
    ),
    _group(
        "open by structure",
        "The mode lies in memory, where a filter cannot look for setuid; neither glibc's open nor"
        " Python calls it, and Linux before 5.6 answers so too, which callers must handle.",
        "openat2",
    ),
)

# Linux versions of calls that a libseccomp still in use does not know (2.5.0 knows Linux 5.9).
# Where the name is unknown the call answers ENOSYS, as it would on a kernel of that age.
NEWER: dict[str, str] = {
    "process_madvise": "5.10",
    "epoll_pwait2": "5.11",
    "mount_setattr": "5.12",
    "landlock_create_ruleset": "5.13",
    "landlock_add_rule": "5.13",
    "landlock_restrict_self": "5.13",
    "quotactl_fd": "5.14",
    "memfd_secret": "5.14",
    "process_mrelease": "5.15",
    "futex_waitv": "5.16",
    "set_mempolicy_home_node": "5.17",
    "cachestat": "6.5",
    "fchmodat2": "6.6",
    "futex_wake": "6.7",
    "futex_wait": "6.7",
    "futex_requeue": "6.7",
    "setxattrat": "6.13",
}


def names(groups: tuple[Group, ...]) -> frozenset[str]:
    """The calls of all `groups`."""
    return frozenset(call for group in groups for call in group.calls)
