"""`Policy`: what one cell is allowed, as data.

Guarantees: a `Policy` that exists is valid, normalised, immutable and hashable; policies that mean
the same are equal. Nothing is repaired in silence: what makes no sense is a ``PolicyError`` that
names the field, the value and what is allowed.
Assumes: nothing about the machine. Whether it can keep a policy is decided in ``launch.plan``.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Final, final

from kavach_ipy.errors import PolicyError
from kavach_ipy.policy.environment import DEFAULT_ENVIRONMENT, normalise_patterns
from kavach_ipy.policy.names import normalise_inputs, normalise_outputs, normalise_session
from kavach_ipy.policy.paths import places
from kavach_ipy.policy.suggestions import did_you_mean
from kavach_ipy.policy.units import GIB, KIB, MIB, parse_count, parse_duration, parse_size

__all__ = ["FIELDS", "Network", "Policy"]

# One path, or several.
Paths = str | bytes | os.PathLike[str] | Collection[str | bytes | os.PathLike[str]]

# Below these no Python process gets as far as its first line, so a smaller number is a slip of
# the unit ("512" meant as MiB) and worth an error that names it.
_LEAST_MEMORY: Final = MIB
_LEAST_DISK: Final = 4 * KIB  # One page: tmpfs(5) counts in pages.
_LEAST_OUTPUT: Final = KIB
_LEAST_FILES: Final = 16


class Network(StrEnum):
    """How much network a cell has; `rank` orders it from least to most."""

    NONE = "none"
    LOOPBACK = "loopback"
    HOST = "host"

    @property
    def rank(self) -> int:
        """0 for none, 1 for loopback, 2 for host."""
        return list(Network).index(self)


@final
@dataclass(frozen=True, slots=True, init=False, repr=False)
class Policy:
    """What one cell is allowed.

    The constructor takes what people write (``memory="512M"``, ``timeout=30``, ``inputs="a,b"``,
    paths as ``pathlib.Path``) and keeps plain values.

    Raises:
        PolicyError: a value makes no sense, or two contradict each other.
    """

    network: Network = Network.NONE
    """Sockets the cell may use.

    Enforced by an empty network namespace and by seccomp's list of socket families; with ``host``
    by that list and by Landlock's closed ports (``launch.ports``).
    Does not stop: unix sockets that the cell makes for itself; with ``host``, sending away what it
    reads, and reaching services of this machine that are neither the user's nor of notebooks.
    """

    inputs: tuple[str, ...] | None = None
    """Names of the notebook's variables that the cell may see; None: every one.

    Enforced by the runner, which takes the other names away; with ``clean``, by sending no others.
    Does not stop: in a fork, a search through the memory, where the objects still are.
    """

    outputs: tuple[str, ...] | None = None
    """Names that may be brought back; None: any name that the caller asks for.

    Enforced by the gate in the kernel, which reads no other value.
    Does not stop: what the cell prints or displays.
    """

    timeout: float | None = None
    """Seconds by the clock; None: no limit.

    Enforced by the parent, which kills the PID namespace at the deadline.
    Does not stop: the milliseconds that the kill itself takes.
    """

    cpu: float = 3600.0
    """Seconds of processor time, summed over the cell's processes.

    Enforced by RLIMIT_CPU in each process (whole seconds, rounded up) and by the parent over all.
    Does not stop: waiting, which costs no processor time, and without a cgroup a fast sequence of
    processes that nobody waits for; see ``timeout``.
    """

    memory: int = 4 * GIB
    """Bytes of new memory, on top of what the cell inherits.

    Enforced by a cgroup where one is delegated, else by RLIMIT_DATA and the watching parent;
    memory that no process holds, which nobody could count then, is refused.
    Does not stop: short peaks between two looks of the parent, where there is no cgroup.
    """

    pids: int = 512
    """Processes and threads alive at once.

    Enforced by the cgroup's pids.max, else by RLIMIT_NPROC for an id of its own.
    Does not stop: a fast sequence of short-lived processes; see ``cpu``.
    """

    files: int = 1024
    """Open files of each process.

    Enforced by RLIMIT_NOFILE. Does not stop: the same number in each of ``pids`` processes.
    """

    disk: int = 512 * MIB
    """Bytes that may be written to the cell's own temporary places.

    Enforced by the size and inode limits of their tmpfs.
    Does not stop: what is written below a ``writable`` path, which is the host's own disk.
    """

    output: int = 16 * MIB
    """Bytes that may be printed or displayed.

    Enforced by the parent, which counts frames before it reads them.
    Does not stop: values brought back, which have limits of their own at the gate.
    """

    messages: int = 10_000
    """Number of output messages: displays, updates and clears; text is bounded by ``output``.

    Enforced by the parent. Does not stop: few but big messages; see ``output``.
    """

    read_only: tuple[str, ...] = ()
    """Further paths of the host that the cell may read, with all below; absolute.

    Enforced by recursive read-only bind mounts and by Landlock.
    Does not stop: reading the system, the Python environment and the working directory.
    """

    writable: tuple[str, ...] = ()
    """Paths of the host that the cell may change, with all below; absolute.

    Enforced by their being the only writable bind mounts, and by Landlock.
    Does not stop: filling the disk there. What runs by itself later stays read-only even there.
    """

    hidden: tuple[str, ...] = ()
    """Paths that do not exist inside, whatever else is allowed; absolute.

    Enforced by an empty mount over each.
    Does not stop: a copy of the same file elsewhere, or what the notebook has read already.
    """

    environment: tuple[str, ...] = DEFAULT_ENVIRONMENT
    """Environment variables that survive; a name, or a prefix with ``*``.

    Enforced by rewriting the environment, also its bytes in /proc/self/environ.
    Does not stop: in a fork, copies of a variable elsewhere in the notebook's memory.
    """

    clean: bool = False
    """Run in a fresh interpreter that shares no memory with the notebook.

    Enforced by exec in a process that was never forked from the kernel. A session always is.
    Does not stop: reading what was given to it by ``inputs``.
    """

    session: str | None = None
    """Name of a sandbox that lives on between cells; None: gone when the cell is over.

    Enforced by the launcher. Does not stop: one cell of the session reading another's variables.
    """

    trust: bool = False
    """Bring values back as ordinary pickles.

    Enforced by nothing: a hostile cell then runs code in the notebook.
    For accidents only, and only where the administrator's settings allow it.
    """

    stdin: bool = False
    """Let input() and getpass() of the cell ask the person at the notebook.

    Enforced by the parent, which marks each prompt, shows one line of it, and counts questions.
    Does not stop: a person who types a password because a cell asks for one.
    """

    trust_display: bool = False
    """Let the page run what the cell shows.

    Enforced by nothing: a hostile cell then acts as the person who looks at the page.
    For accidents only, and only where the administrator's settings allow it.
    """

    def __init__(  # noqa: PLR0913 - one keyword a field; no caller passes many.
        self,
        *,
        network: Network | str = network,
        inputs: str | Collection[str] | None = inputs,
        outputs: str | Collection[str] | None = outputs,
        timeout: float | str | None = timeout,
        cpu: float | str = cpu,
        memory: int | str = memory,
        pids: int | str = pids,
        files: int | str = files,
        disk: int | str = disk,
        output: int | str = output,
        messages: int | str = messages,
        read_only: Paths = read_only,
        writable: Paths = writable,
        hidden: Paths = hidden,
        environment: str | Collection[str] = environment,
        clean: bool = clean,
        session: str | None = session,
        trust: bool = trust,
        stdin: bool = stdin,
        trust_display: bool = trust_display,
    ) -> None:
        read, write, hide = places(read_only, writable, hidden)
        values: dict[str, object] = {
            "network": _network(network),
            "inputs": normalise_inputs(inputs),
            "outputs": normalise_outputs(outputs),
            "timeout": _timeout(timeout),
            "cpu": parse_duration(cpu, field="cpu"),
            "memory": parse_size(memory, field="memory", least=_LEAST_MEMORY),
            "pids": parse_count(pids, field="pids"),
            "files": parse_count(files, field="files", least=_LEAST_FILES),
            "disk": parse_size(disk, field="disk", least=_LEAST_DISK),
            "output": parse_size(output, field="output", least=_LEAST_OUTPUT),
            "messages": parse_count(messages, field="messages"),
            "read_only": read,
            "writable": write,
            "hidden": hide,
            "environment": normalise_patterns(environment),
            "clean": _yes_or_no("clean", clean),
            "session": normalise_session(session),
            "trust": _yes_or_no("trust", trust),
            "stdin": _yes_or_no("stdin", stdin),
            "trust_display": _yes_or_no("trust_display", trust_display),
        }
        # A session takes cells one after the other, which only a fresh interpreter can.
        values["clean"] = values["clean"] or values["session"] is not None
        if values["network"] is Network.HOST and not values["clean"]:
            raise PolicyError(
                "network",
                Network.HOST.value,
                "--net only with --clean, because a forked child knows the kernel's keys and ports",
            )
        for name, value in values.items():
            # The only way past frozen=True, and the only place that takes it.
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        """Show what differs from the default, as the call that would make it again."""
        shown = ", ".join(
            f"{field.name}={getattr(self, field.name)!r}"
            for field in fields(self)
            if getattr(self, field.name) != field.default
        )
        return f"Policy({shown})"

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, object]) -> Policy:
        """Return the policy that settings or a policy file describe.

        Args:
            mapping: field names to values in any form that the constructor takes; what is not
                named has its default.

        Raises:
            PolicyError: an unknown name (with the nearest known ones), or a value without sense.
        """
        for key, value in mapping.items():
            if key not in FIELDS:
                advice = did_you_mean(str(key), FIELDS)
                raise PolicyError(str(key), value, f"no setting has this name; {advice}")
        # The constructor checks every value at run time, whatever its type.
        return cls(**mapping)  # type: ignore[arg-type]

    def to_mapping(self) -> dict[str, object]:
        """Return every field by name, such that `from_mapping` gives an equal policy."""
        return {name: getattr(self, name) for name in FIELDS}

    def replace(self, **changes: object) -> Policy:
        """Return a policy like this one with some fields changed.

        Raises:
            PolicyError: as for `from_mapping`.
        """
        return Policy.from_mapping(self.to_mapping() | changes)


FIELDS: Final = tuple(field.name for field in fields(Policy))
"""Names of the fields of `Policy`, in the order in which they are documented."""


def _network(value: object) -> Network:
    if isinstance(value, str) and value in list(Network):
        return Network(value)
    raise PolicyError("network", value, f"allowed are {', '.join(Network)}")


def _timeout(value: object) -> float | None:
    # TOML and a command line have no None, so the word stands for it.
    if value is None or value == "none":
        return None
    return parse_duration(value, field="timeout")


def _yes_or_no(field: str, value: object) -> bool:
    # Not truth in general: "false" and "no" are true to Python.
    if isinstance(value, bool):
        return value
    raise PolicyError(field, value, "True or False is")
