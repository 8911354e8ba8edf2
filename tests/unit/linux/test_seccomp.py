"""The filter's verdicts, asked of the program itself: no kernel takes part."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Iterator
from itertools import combinations
from typing import IO

import pyseccomp
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kavach_ipy.errors import CannotEnforce
from kavach_ipy.linux import seccomp, syscalls
from kavach_ipy.linux.filter_rules import others
from kavach_ipy.linux.seccomp import Machine, Network
from kavach_ipy.linux.syscall_arguments import argument_rules
from tests.unit.linux import bpf

MACHINES: tuple[Machine, ...] = ("x86_64", "aarch64")
NETWORKS: tuple[Network, ...] = ("none", "loopback", "host")
AUDIT = {"x86_64": bpf.X86_64, "aarch64": bpf.AARCH64}
TOKEN = {"x86_64": pyseccomp.Arch.X86_64, "aarch64": pyseccomp.Arch.AARCH64}
PAIRS = [(machine, network) for machine in MACHINES for network in NETWORKS]

# Looked at by argument, and so proven one by one below.
CONDITIONAL = frozenset({
    "chmod", "clone", "creat", "fchmod", "fchmodat", "fchmodat2", "fcntl", "ioctl", "mknod",
    "mknodat", "mmap", "open", "openat", "personality", "prctl", "prlimit64", "sched_setscheduler",
    "sendmmsg", "sendmsg", "sendto", "setrlimit", "setsockopt", "socket", "socketpair",
})  # fmt: skip

# Calls by which a socket gets an address that others find; refused in the host's network.
LISTENING = frozenset({"bind", "listen"})

# Written down by hand from unistd.h: the table must not agree with a wrong libseccomp.
NUMBERS: dict[Machine, dict[str, int]] = {
    "x86_64": {"read": 0, "mmap": 9, "socket": 41, "clone": 56, "execve": 59, "ptrace": 101,
               "mount": 165, "openat": 257, "unshare": 272, "clone3": 435, "bpf": 321},
    "aarch64": {"read": 63, "mmap": 222, "socket": 198, "clone": 220, "execve": 221, "ptrace": 117,
                "mount": 40, "openat": 56, "unshare": 97, "clone3": 435, "bpf": 280},
}  # fmt: skip

# design.md, section 5: these are refused whatever the table says.
NEVER = (
    "ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd", "unshare", "setns",
    "mount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount", "fsopen", "fsconfig",
    "fsmount", "fspick", "mount_setattr", "bpf", "perf_event_open", "userfaultfd", "io_uring_setup",
    "io_uring_enter", "io_uring_register", "io_setup", "io_submit", "io_destroy", "io_cancel",
    "io_getevents", "io_pgetevents", "keyctl", "add_key", "request_key", "init_module",
    "finit_module", "delete_module", "kexec_load", "kexec_file_load", "swapon", "swapoff",
    "quotactl", "acct", "syslog", "settimeofday", "clock_settime", "adjtimex", "clock_adjtime",
    "open_by_handle_at", "name_to_handle_at", "fanotify_init", "fanotify_mark", "memfd_secret",
    "msgget", "msgsnd", "msgrcv", "msgctl", "shmget", "shmat", "shmctl", "semget", "semop",
    "semctl", "mq_open", "mq_unlink", "splice", "vmsplice", "tee", "modify_ldt", "sched_setattr",
    "reboot", "clone3",
)  # fmt: skip

# What our own child calls after the filter is on, and a Python that goes on working.
ALWAYS = (
    "read", "write", "readv", "writev", "close", "fstat", "lseek", "mmap", "mprotect", "munmap",
    "mremap", "madvise", "brk", "pread64", "pwrite64", "ftruncate", "fcntl", "dup2", "dup3",
    "recvfrom", "recvmsg", "ppoll", "poll", "select", "pselect6", "epoll_create1",
    "epoll_ctl", "epoll_pwait", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
    "sigaltstack", "tgkill", "kill", "fork", "vfork", "execve", "wait4", "waitid", "exit",
    "exit_group", "futex", "set_robust_list", "rseq", "getrandom", "clock_nanosleep", "nanosleep",
    "pipe2", "getpid", "gettid", "sched_yield", "sched_getaffinity", "prlimit64", "getrusage",
    "restart_syscall",
)  # fmt: skip

registers = st.integers(0, 2**64 - 1)


@pytest.fixture
def nothing_built() -> Iterator[None]:
    """Forget the programs built before the test, and those that it builds."""
    seccomp._build.cache_clear()
    yield
    seccomp._build.cache_clear()


def low(value: int) -> int:
    """The 32 bits that the kernel reads of an int."""
    return value & 0xFFFFFFFF


def number_of(machine: Machine, call: str) -> int:
    """The call's number, negative where the architecture has no such call."""
    return int(pyseccomp.resolve_syscall(TOKEN[machine], call))


def verdict(machine: Machine, network: Network, call: str, *arguments: int) -> int:
    """What the filter returns for a call by name."""
    program = seccomp.build(network, machine)
    return bpf.run(program, AUDIT[machine], number_of(machine, call), *arguments).value


DONE = bpf.refusal(0)  # success, and nothing done


def expected_of(error: int) -> int:
    """The return value for an errno, ALLOW for 0."""
    return bpf.refusal(error) if error else bpf.ALLOW


@pytest.mark.parametrize(("machine", "network"), PAIRS)
def test_every_number_has_the_verdict_of_the_table(machine: Machine, network: Network) -> None:
    """Each number from 0 to 600 answers as its group says, and ENOSYS where no group names it."""
    program = seccomp.build(network, machine)
    answers = dict.fromkeys(syscalls.names(syscalls.ALLOWED), 0)
    answers |= dict.fromkeys(syscalls.names(syscalls.DENIED), errno.EPERM)
    answers |= dict.fromkeys(syscalls.names(syscalls.UNSUPPORTED), errno.EOPNOTSUPP)
    wrong = []
    for number in range(601):
        try:
            call = pyseccomp.resolve_syscall(TOKEN[machine], number).decode()
        except ValueError:
            call = f"number {number}"
        if call in CONDITIONAL or (network == "host" and call in LISTENING):
            continue
        error = answers.get(call, errno.ENOSYS)
        for arguments in ((), (2**64 - 1,) * 6, (1, 2, 3, 4, 5, 6)):
            value = bpf.run(program, AUDIT[machine], number, *arguments).value
            if value != expected_of(error):
                wrong.append((call, arguments, hex(value)))
    assert wrong == []


@pytest.mark.parametrize("machine", MACHINES)
def test_numbers_are_those_of_the_architecture(machine: Machine) -> None:
    """The names that matter most resolve to the numbers of that architecture's own header."""
    found = {call: number_of(machine, call) for call in NUMBERS[machine]}
    assert found == NUMBERS[machine]


@pytest.mark.parametrize(("machine", "network"), PAIRS)
def test_what_the_design_forbids_is_never_allowed(machine: Machine, network: Network) -> None:
    """A denied call is EPERM with any arguments, clone3 ENOSYS, whoever edits the table."""
    wrong = [
        call
        for call in NEVER
        if number_of(machine, call) >= 0
        for arguments in ((), (2**64 - 1,) * 6, (0, 1, 0, 1, 0, 1))
        if verdict(machine, network, call, *arguments)
        != bpf.refusal(errno.ENOSYS if call == "clone3" else errno.EPERM)
    ]
    assert wrong == []


@pytest.mark.parametrize("machine", MACHINES)
def test_attributes_are_read_and_removed_but_not_set(machine: Machine) -> None:
    """Setting one answers as a file system without them; asking and taking away pass."""
    for prefix in ("", "l", "f"):
        for verb in ("get", "list", "remove"):
            assert verdict(machine, "none", f"{prefix}{verb}xattr", 3, 4) == bpf.ALLOW
        refused = verdict(machine, "none", f"{prefix}setxattr", 3, 4)
        assert refused == bpf.refusal(errno.EOPNOTSUPP)


@pytest.mark.parametrize(("machine", "network"), PAIRS)
def test_what_the_child_needs_is_always_allowed(machine: Machine, network: Network) -> None:
    """The calls that carry output, results and the end of a cell pass with any arguments."""
    stopped = [
        call
        for call in ALWAYS
        if number_of(machine, call) >= 0
        for arguments in ((), (2**64 - 1,) * 6)
        if verdict(machine, network, call, *arguments) != bpf.ALLOW
    ]
    assert stopped == []


@pytest.mark.parametrize(("machine", "network"), PAIRS)
def test_foreign_architecture_is_killed(machine: Machine, network: Network) -> None:
    """Interrupt 0x80, 32-bit ARM and every other table end the process, whatever the number."""
    program = seccomp.build(network, machine)
    foreign = {bpf.X86_64, bpf.AARCH64, bpf.I386, bpf.ARM, 0, 0xFFFFFFFF} - {AUDIT[machine]}
    values = {
        bpf.run(program, architecture, number).value
        for architecture in foreign
        for number in range(601)
    }
    assert values == {bpf.KILL}


@pytest.mark.parametrize("network", NETWORKS)
def test_x32_numbers_are_killed(network: Network) -> None:
    """x32 shares the architecture of x86-64 and differs by bit 30 of the number."""
    program = seccomp.build(network, "x86_64")
    values = {
        bpf.run(program, bpf.X86_64, base | number).value
        for base in (0x40000000, 0x7FFFFC00, 0x80000000, 0xC0000000)
        for number in range(601)
    }
    assert values == {bpf.KILL}


@pytest.mark.parametrize(("machine", "network"), PAIRS)
def test_number_minus_one_is_not_a_call(machine: Machine, network: Network) -> None:
    """A tracer's "skip this call" number never counts as an allowed call."""
    program = seccomp.build(network, machine)
    assert bpf.run(program, AUDIT[machine], 0xFFFFFFFF).value != bpf.ALLOW


@pytest.mark.parametrize(("machine", "network"), PAIRS)
def test_program_is_short(machine: Machine, network: Network) -> None:
    """Loading costs about half a microsecond an instruction, and no call walks a long chain."""
    program = seccomp.build(network, machine)
    assert len(program) % 8 == 0
    assert 300 < len(program) // 8 < (2400 if network == "host" else 2200)
    longest = max(bpf.run(program, AUDIT[machine], number).steps for number in range(601))
    assert longest < 250


def test_build_gives_the_same_bytes_again() -> None:
    """The program is built once for each network and architecture."""
    assert seccomp.build("none") is seccomp.build("none")
    assert seccomp.build("none") != seccomp.build("loopback")
    assert seccomp.build("none", "x86_64") != seccomp.build("none", "aarch64")


@pytest.mark.parametrize("machine", MACHINES)
@given(flags=registers)
def test_clone_makes_no_namespace(machine: Machine, flags: int) -> None:
    """Any namespace flag, or CLONE_PARENT, is EPERM; the high 32 bits change nothing."""
    error = errno.EPERM if low(flags) & 0x7E028000 else 0
    assert verdict(machine, "none", "clone", flags) == expected_of(error)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("garbage", [0, 1 << 32, 0xFFFFFFFF << 32])
def test_clone_makes_threads_and_processes(machine: Machine, garbage: int) -> None:
    """What glibc's fork, vfork and pthread_create pass is let through, and CLONE_NEWUSER is not."""
    for flags in (0x11, 0x01200011, 0x00004111, 0x003D0F00):
        assert verdict(machine, "none", "clone", flags | garbage) == bpf.ALLOW
    refused = expected_of(errno.EPERM)
    for bit in (15, 17, 25, 26, 27, 28, 29, 30):
        assert verdict(machine, "none", "clone", 0x11 | 1 << bit | garbage) == refused


TERMINAL_ATTACKS = (0x5412, 0x541C, 0x5423)  # TIOCSTI, TIOCLINUX, TIOCSETD


@pytest.mark.parametrize("machine", MACHINES)
@given(
    command=st.sampled_from(TERMINAL_ATTACKS) | st.integers(0x5400, 0x5500) | registers,
    garbage=st.integers(0, 2**32 - 1),
)
def test_ioctl_types_into_no_terminal(machine: Machine, command: int, garbage: int) -> None:
    """TIOCSTI, TIOCLINUX and TIOCSETD are EPERM behind any high bits; the rest passes."""
    register = low(command) | garbage << 32
    error = errno.EPERM if low(command) in TERMINAL_ATTACKS else 0
    assert verdict(machine, "none", "ioctl", 2**64 - 1, register, 7) == expected_of(error)


# Where the mode is, and what flags, at which place, make a call read it.
CHMODS = {"chmod": 1, "fchmod": 1, "fchmodat": 2, "fchmodat2": 2, "creat": 1}
MKNODS = {"mknod": 1, "mknodat": 2}
OPENS = {"open": 1, "openat": 2}
CREATES = 0o100 | 0o20000000  # O_CREAT, __O_TMPFILE
modes = st.builds(int.__or__, st.sampled_from((0, 0o2000, 0o4000, 0o6000)), registers)


def calls_of(machine: Machine, places: dict[str, int]) -> list[tuple[str, int]]:
    """The calls that the machine has and libseccomp knows: aarch64 has no chmod, open or mknod."""
    return [pair for pair in places.items() if number_of(machine, pair[0]) >= 0]


@pytest.mark.parametrize("machine", MACHINES)
@given(mode=st.integers(0, 0o7777) | modes)
def test_no_mode_is_set_that_lends_an_identity(machine: Machine, mode: int) -> None:
    """All forms of chmod, and creat, refuse setuid and setgid and pass all other modes."""
    error = errno.EPERM if mode & 0o6000 else 0
    for call, place in calls_of(machine, CHMODS):
        arguments = [2**64 - 1] * 6
        arguments[place] = mode
        assert verdict(machine, "none", call, *arguments) == expected_of(error)


@pytest.mark.parametrize("machine", MACHINES)
@given(
    flags=st.sampled_from((0, 0o100, 0o20000000, 0o20000100, 0o20200002, 0o2000000)) | registers,
    mode=st.integers(0, 0o7777) | modes,
)
def test_no_file_is_made_that_lends_an_identity(machine: Machine, flags: int, mode: int) -> None:
    """Opening refuses setuid and setgid where it creates; elsewhere the mode may be anything."""
    error = errno.EPERM if flags & CREATES and mode & 0o6000 else 0
    for call, place in calls_of(machine, OPENS):
        arguments = [2**64 - 1] * 6
        arguments[place : place + 2] = [flags, mode]
        assert verdict(machine, "none", call, *arguments) == expected_of(error)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("garbage", [0, 1 << 16, 0xABCDEF << 32])
def test_no_node_is_made_that_lends_an_identity(machine: Machine, garbage: int) -> None:
    """Plain files, pipes and sockets are made without these bits, and devices not at all."""
    for call, place in calls_of(machine, MKNODS):
        for kind in range(16):
            for bits in range(8):
                arguments = [0] * 6
                arguments[place] = kind << 12 | bits << 9 | 0o644 | garbage
                error = errno.EPERM if bits & 0o6 or kind in (2, 6) else errno.ENOSYS
                if kind in (0, 1, 8, 12) and not bits & 0o6:
                    error = 0
                assert verdict(machine, "none", call, *arguments) == expected_of(error)


def test_machines_differ_in_their_file_calls() -> None:
    """Each test above has calls to ask about: five or three of chmod, two or one of the others."""
    counts = [
        [len(calls_of(machine, places)) for places in (OPENS, MKNODS)] for machine in MACHINES
    ]
    assert counts == [[2, 2], [1, 1]]
    assert {"fchmod", "fchmodat"} <= {call for call, _ in calls_of("aarch64", CHMODS)}
    assert {"chmod", "creat"} <= {call for call, _ in calls_of("x86_64", CHMODS)}


@pytest.mark.parametrize("machine", MACHINES)
def test_open_by_structure_is_not_there(machine: Machine) -> None:
    """openat2 answers as before Linux 5.6, because its mode is where a filter cannot look."""
    assert verdict(machine, "none", "openat2", 3, 4, 5, 24) == bpf.refusal(errno.ENOSYS)


FILE_HOLDS = (1024, 1026, 1040)  # F_SETLEASE, F_NOTIFY, F_SETDELEG


@pytest.mark.parametrize("machine", MACHINES)
@given(
    command=st.sampled_from(FILE_HOLDS) | st.integers(0, 40) | st.integers(1020, 1050) | registers,
    garbage=registers,
)
def test_fcntl_holds_no_file_of_the_host(machine: Machine, command: int, garbage: int) -> None:
    """Leases and directory notices are EPERM behind any high bits; the rest of fcntl passes."""
    register = low(command) | garbage >> 32 << 32
    error = errno.EPERM if low(command) in FILE_HOLDS else 0
    assert verdict(machine, "none", "fcntl", 5, register, 1) == expected_of(error)


@pytest.mark.parametrize("machine", MACHINES)
@given(
    level=st.sampled_from((0, 1, 6, 41)) | registers,
    option=st.sampled_from((7, 8, 13, 32, 33)) | st.integers(0, 90) | registers,
    garbage=registers,
)
def test_socket_neither_grows_nor_lingers_by_an_option(
    machine: Machine, level: int, option: int, garbage: int
) -> None:
    """Sizes and SO_LINGER are answered and not done, behind any high bits; no other option is."""
    high = garbage >> 32 << 32
    arguments = (5, low(level) | high, low(option) | high, 7, 4)
    sized = low(level) == 1 and low(option) in (7, 8, 13, 32, 33)
    assert verdict(machine, "none", "setsockopt", *arguments) == (DONE if sized else bpf.ALLOW)


@pytest.mark.parametrize("machine", MACHINES)
@given(flags=st.integers(0, 0x3F) | registers, garbage=registers)
def test_no_memory_is_shared_without_a_file(machine: Machine, flags: int, garbage: int) -> None:
    """MAP_SHARED with MAP_ANONYMOUS is ENODEV behind any high bits; every other mapping passes."""
    register = low(flags) | garbage >> 32 << 32
    error = errno.ENODEV if flags & 0x23 == 0x21 else 0
    assert verdict(machine, "none", "mmap", 0, 4096, 3, register, 5, 0) == expected_of(error)


@pytest.mark.parametrize(("machine", "network"), PAIRS)
def test_memory_without_a_process_is_had_where_a_group_counts_it(
    machine: Machine, network: Network
) -> None:
    """Then memfds and shared memory without a file pass; nothing else differs."""
    counted = seccomp.build(network, machine, is_memory_counted=True)
    plain = seccomp.build(network, machine)
    shared = (0, 4096, 3, 0x21, 2**64 - 1, 0)
    differs = []
    for number in range(601):
        for arguments in ((), shared, (2**64 - 1,) * 6):
            found = bpf.run(counted, AUDIT[machine], number, *arguments).value
            if found != bpf.run(plain, AUDIT[machine], number, *arguments).value:
                differs.append((number, arguments))
                assert found == bpf.ALLOW
    memfd, mmap = (number_of(machine, call) for call in ("memfd_create", "mmap"))
    every = [(memfd, arguments) for arguments in ((), shared, (2**64 - 1,) * 6)]
    assert sorted(differs) == sorted([(mmap, shared), *every])


@pytest.mark.parametrize("machine", MACHINES)
@given(
    resource=st.sampled_from((3, 4, 5)) | registers,
    pointer=st.sampled_from((0, 1 << 32, 1, 1 << 63)) | registers,
    garbage=registers,
)
def test_limit_of_core_files_is_read_and_not_set(
    machine: Machine, resource: int, pointer: int, garbage: int
) -> None:
    """RLIMIT_CORE keeps its 1: a new value, wherever it lies, is answered and not set."""
    register = low(resource) | garbage >> 32 << 32
    is_core = low(resource) % 16 == 4
    changed = DONE if is_core and pointer else bpf.ALLOW
    assert verdict(machine, "none", "prlimit64", 0, register, pointer, 5) == changed
    changed = DONE if is_core else bpf.ALLOW
    assert verdict(machine, "none", "setrlimit", register, pointer) == changed


@pytest.mark.parametrize("machine", MACHINES)
@given(persona=st.sampled_from((0, 0xFFFFFFFF, 0x40000, 8)) | registers, garbage=registers)
def test_personality_is_only_asked(machine: Machine, persona: int, garbage: int) -> None:
    """0xffffffff asks and 0 is what it is already; address randomisation cannot go off."""
    register = low(persona) | garbage >> 32 << 32
    error = 0 if low(persona) in (0, 0xFFFFFFFF) else errno.EPERM
    assert verdict(machine, "none", "personality", register) == expected_of(error)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("garbage", [0, 0xABCDEF << 32])
@pytest.mark.parametrize(
    ("call", "position", "value", "error"),
    [
        ("prctl", 0, 15, 0),  # PR_SET_NAME
        ("prctl", 0, 38, 0),  # PR_SET_NO_NEW_PRIVS
        ("prctl", 0, 0x53564D41, 0),  # PR_SET_VMA
        ("prctl", 0, 4, errno.EPERM),  # PR_SET_DUMPABLE
        ("prctl", 0, 28, errno.EPERM),  # PR_SET_SECUREBITS
        ("prctl", 0, 35, errno.EPERM),  # PR_SET_MM
        ("prctl", 0, 47, errno.EPERM),  # PR_CAP_AMBIENT
        ("prctl", 0, 53, errno.EPERM),  # PR_SET_SPECULATION_CTRL
        ("prctl", 0, 0x59616D61, errno.EPERM),  # PR_SET_PTRACER
        ("prctl", 0, 999, errno.ENOSYS),
        ("sched_setscheduler", 1, 0, 0),  # SCHED_OTHER
        ("sched_setscheduler", 1, 0x40000003, 0),  # SCHED_BATCH, reset on fork
        ("sched_setscheduler", 1, 5, 0),  # SCHED_IDLE
        ("sched_setscheduler", 1, 1, errno.EPERM),  # SCHED_FIFO
        ("sched_setscheduler", 1, 0x40000002, errno.EPERM),  # SCHED_RR, reset on fork
        ("sched_setscheduler", 1, 6, errno.EPERM),  # SCHED_DEADLINE
        ("mknodat", 2, 0o010644, 0),  # a FIFO
        ("mknodat", 2, 0o100644, 0),  # a regular file
        ("mknodat", 2, 0o140644, 0),  # a socket
        ("mknodat", 2, 0o020666, errno.EPERM),  # a character device
        ("mknodat", 2, 0o060660, errno.EPERM),  # a block device
        ("sendto", 3, 0x4000, 0),  # MSG_NOSIGNAL
        ("sendto", 3, 0x4001, errno.EOPNOTSUPP),  # MSG_NOSIGNAL, MSG_OOB
        ("sendmsg", 2, 0, 0),
        ("sendmsg", 2, 1, errno.EOPNOTSUPP),
        ("sendmmsg", 3, 0x40, 0),
        ("sendmmsg", 3, 0x41, errno.EOPNOTSUPP),
    ],
)
def test_argument_decides(
    machine: Machine, garbage: int, call: str, position: int, value: int, error: int
) -> None:
    """The dangerous value is refused and its harmless neighbour passes, behind any high bits."""
    arguments = [0] * 6
    arguments[position] = value | garbage
    assert verdict(machine, "none", call, *arguments) == expected_of(error)


@pytest.mark.parametrize("machine", MACHINES)
@given(family=st.integers(0, 50) | registers, garbage=registers, kind=registers)
def test_no_net_has_unix_sockets_only(
    machine: Machine, family: int, garbage: int, kind: int
) -> None:
    """Every family but AF_UNIX answers EAFNOSUPPORT, which libraries know how to take."""
    register = low(family) | garbage >> 32 << 32
    error = 0 if low(family) == 1 else errno.EAFNOSUPPORT
    for call in ("socket", "socketpair"):
        assert verdict(machine, "none", call, register, kind) == expected_of(error)


@pytest.mark.parametrize("machine", MACHINES)
@given(
    family=st.sampled_from((1, 2, 10)) | st.integers(0, 50) | registers,
    kind=st.integers(0, 15),
    flags=st.sampled_from((0, 0x800, 0x80000, 0x80800)),
    protocol=st.sampled_from((0, 1, 6, 17, 58, 132, 136, 262)) | registers,
)
def test_loopback_adds_tcp_and_udp_only(
    machine: Machine, family: int, kind: int, flags: int, protocol: int
) -> None:
    """Streams and datagrams of IPv4 and IPv6 in their plain protocols; raw sockets never."""
    error = 0
    if low(family) not in (1, 2, 10):
        error = errno.EAFNOSUPPORT
    elif low(family) != 1:
        plain = {1: (0, 6), 2: (0, 17)}
        if kind not in plain:
            error = errno.ESOCKTNOSUPPORT
        elif low(protocol) not in plain[kind]:
            error = errno.EPROTONOSUPPORT
    arguments = (family, kind | flags, protocol)
    assert verdict(machine, "loopback", "socket", *arguments) == expected_of(error)
    pair = 0 if low(family) == 1 else errno.EAFNOSUPPORT
    assert verdict(machine, "loopback", "socketpair", *arguments) == expected_of(pair)


@pytest.mark.parametrize("machine", MACHINES)
@given(
    family=st.sampled_from((1, 2, 10, 16, 17)) | st.integers(0, 50) | registers,
    kind=st.integers(0, 15),
    flags=st.sampled_from((0, 0x800, 0x80000, 0x80800)),
    protocol=st.sampled_from((0, 1, 6, 17, 58, 132, 136, 262)) | registers,
)
def test_network_of_the_host_has_tcp_and_udp_and_unix_pairs_that_stay_connected(
    machine: Machine, family: int, kind: int, flags: int, protocol: int
) -> None:
    """No unix socket by name, no pair of datagram sockets, nothing raw, nothing of netlink."""
    plain = {1: (0, 6), 2: (0, 17)}
    error = 0
    if low(family) not in (2, 10):
        error = errno.EAFNOSUPPORT
    elif kind not in plain:
        error = errno.ESOCKTNOSUPPORT
    elif low(protocol) not in plain[kind]:
        error = errno.EPROTONOSUPPORT
    arguments = (family, kind | flags, protocol)
    assert verdict(machine, "host", "socket", *arguments) == expected_of(error)
    pair = (
        errno.EAFNOSUPPORT if low(family) != 1 else 0 if kind in (1, 5) else errno.ESOCKTNOSUPPORT
    )
    assert verdict(machine, "host", "socketpair", *arguments) == expected_of(pair)


@pytest.mark.parametrize("machine", MACHINES)
def test_pairs_in_the_network_of_the_host_are_of_two_types(machine: Machine) -> None:
    """A datagram socket of a pair is connected anew, to whatever name; the others stay."""
    for flags in (0, 0x800, 0x80000, 0x80800):
        for kind in range(16):
            error = 0 if kind in (1, 5) else errno.ESOCKTNOSUPPORT
            found = verdict(machine, "host", "socketpair", 1, kind | flags, 0)
            assert found == expected_of(error), (kind, flags)


@pytest.mark.parametrize("machine", MACHINES)
@given(arguments=st.tuples(registers, registers, registers))
def test_nothing_listens_in_the_network_of_the_host(
    machine: Machine, arguments: tuple[int, int, int]
) -> None:
    """Neither call, with whatever arguments; in a network of the cell's own both."""
    for call in LISTENING:
        assert verdict(machine, "host", call, *arguments) == expected_of(errno.EACCES)
        for network in NETWORKS[:2]:
            assert verdict(machine, network, call, *arguments) == bpf.ALLOW


@pytest.mark.parametrize("machine", MACHINES)
@given(flags=st.sampled_from((0, 1, 0x4000, 0x20000000, 0x20004001)) | registers)
def test_send_that_connects_is_refused_in_the_network_of_the_host(
    machine: Machine, flags: int
) -> None:
    """MSG_FASTOPEN goes past Landlock; the loopback of a cell has nothing to go past to."""
    for call, argument in (("sendto", 3), ("sendmsg", 2), ("sendmmsg", 3)):
        arguments = [0] * argument + [flags]
        for network in NETWORKS:
            refused = 0x20000001 if network == "host" else 1
            error = errno.EOPNOTSUPP if flags & refused else 0
            assert verdict(machine, network, call, *arguments) == expected_of(error)


@pytest.mark.parametrize("machine", MACHINES)
@given(
    level=st.sampled_from((0, 1, 6, 17, 41)) | registers,
    option=st.sampled_from((1, 2, 7, 9, 13, 15, 31, 51)) | registers,
)
@example(level=1, option=2)
@example(level=1, option=15)
@example(level=0, option=51)
def test_upper_layers_of_tcp_are_not_there(machine: Machine, level: int, option: int) -> None:
    """Where TCP can be had, no option puts another protocol above it.

    In the host's network none shares or chooses a port, either; other options pass.
    """
    for network in NETWORKS:
        shared = {2, 15} if network == "host" else set()
        if low(level) == 1 and low(option) in {7, 8, 13, 32, 33} | shared:
            expected = DONE
        elif (low(level), low(option)) == (0, 51) and network == "host":
            expected = bpf.refusal(errno.ENOPROTOOPT)
        elif (low(level), low(option)) == (6, 31) and network != "none":
            expected = bpf.refusal(errno.ENOENT)
        else:
            expected = bpf.ALLOW
        assert verdict(machine, network, "setsockopt", 3, level, option, 4, 5) == expected


def test_others_is_everything_else_exactly_once() -> None:
    """Over all sets of up to three numbers of five bits: each other number is in one pair."""
    for size in range(4):
        for values in map(frozenset, combinations(range(32), size)):
            pairs = list(others(values, bits=5))
            for number in range(32):
                held = sum(number & mask == value for mask, value in pairs)
                assert held == (number not in values), (values, number)


def test_no_call_stands_in_two_groups() -> None:
    """A call has one answer, one reason, and an entry about its age only if it has an answer."""
    groups = (
        *syscalls.ALLOWED, *syscalls.DENIED, *syscalls.UNSUPPORTED, *syscalls.UNANSWERED,
        *syscalls.COUNTED,
    )  # fmt: skip
    every = [call for group in groups for call in group.calls]
    assert sorted(every) == sorted(set(every))
    assert syscalls.NEWER.keys() <= set(every)
    assert all(len(group.reason) > 20 for group in groups)


@pytest.mark.parametrize("network", NETWORKS)
def test_rules_on_arguments_are_for_allowed_calls(network: Network) -> None:
    """Rules on arguments would open a denied call, so only allowed calls have them."""
    calls = {rule.call for rule in argument_rules(network)}
    assert calls == CONDITIONAL | (LISTENING if network == "host" else frozenset())
    assert calls <= syscalls.names(syscalls.ALLOWED)


@pytest.fixture
def bogus(monkeypatch: pytest.MonkeyPatch) -> str:
    """Put a name that libseccomp has never heard of into the denied set."""
    group = syscalls.Group("test", "a misspelt name", ("mountt",))
    monkeypatch.setattr(syscalls, "DENIED", (*syscalls.DENIED, group))
    return "mountt"


@pytest.mark.usefixtures("nothing_built")
def test_misspelt_deny_is_an_error(bogus: str) -> None:
    """A name that libseccomp does not know stops the build instead of vanishing."""
    with pytest.raises(CannotEnforce, match=bogus) as caught:
        seccomp.build("none")
    assert caught.value.layer == "seccomp"


@pytest.mark.usefixtures("nothing_built")
@pytest.mark.parametrize(
    "exported",
    [b"", bytes(80), b"\x06" * 7, b"\x06" * 8 * 5000],
    ids=["nothing", "zeros", "half", "too-long"],
)
def test_program_that_cannot_be_a_filter_is_an_error(exported: bytes) -> None:
    """A kernel may take zeros for a filter that lets everything through, and none is no filter."""

    class Library:
        def export_bpf(self, file: IO[bytes]) -> None:
            file.write(exported)

    with pytest.raises(CannotEnforce, match="which is no filter"):
        seccomp._export(Library())


def test_call_newer_than_libseccomp_answers_enosys(
    bogus: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an entry that says since which kernel it exists, an unknown name is left to ENOSYS."""
    monkeypatch.setitem(syscalls.NEWER, bogus, "99.1")
    assert seccomp.build("none")


def test_missing_says_nothing_where_a_filter_can_be_built() -> None:
    """This machine builds filters, as every other test here shows."""
    assert seccomp.missing() is None


@pytest.mark.usefixtures("nothing_built")
def test_missing_package_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pyseccomp there is one sentence, and building is refused with the same."""
    monkeypatch.setitem(sys.modules, "pyseccomp", None)
    sentence = seccomp.missing()
    assert sentence is not None
    assert "pip install pyseccomp" in sentence
    with pytest.raises(CannotEnforce, match="pyseccomp"):
        seccomp.build("none")


@pytest.mark.usefixtures("nothing_built")
def test_missing_library_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without libseccomp.so.2 pyseccomp fails to import; the sentence says what to install."""
    monkeypatch.delitem(sys.modules, "pyseccomp")
    monkeypatch.setattr("ctypes.util.find_library", lambda _name: None)
    sentence = seccomp.missing()
    assert sentence is not None
    assert "apt-get install libseccomp2" in sentence
    with pytest.raises(CannotEnforce, match=r"libseccomp\.so\.2"):
        seccomp.build("none")


def test_import_loads_no_library() -> None:
    """Importing the module loads neither pyseccomp nor libseccomp."""
    code = (
        "import sys, kavach_ipy.linux.seccomp\n"
        "assert 'pyseccomp' not in sys.modules\n"
        "assert 'libseccomp' not in open('/proc/self/maps').read()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
