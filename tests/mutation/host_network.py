"""What a cell with the host's network cannot do there (docs/decisions/0024)."""

from __future__ import annotations

from tests.mutation.guard import Guard

__all__ = ["GUARDS"]

_SOCKETS = "linux/socket_rules.py"
_PORTS = "launch/ports.py"
_ESCAPE = "tests/escape/test_host_network.py"
_CONTRACT = "tests/contract/test_host_network.py"
_KERNEL = "tests/kernel/test_host_network.py"
_OF_PORTS = "tests/unit/launch/test_ports.py"
_PLAN = "tests/unit/launch/test_plan.py"
_VERIFICATION = "tests/unit/launch/test_verification.py"


def _network(name: str, promise: str, file: str, edit: tuple[str, str], *tests: str) -> Guard:
    return Guard(f"host's network: {name}", promise, file, *edit, " ".join(tests))


GUARDS = (
    _network(
        "refused without closed ports",
        "where no port can be closed, no cell has it",
        "launch/plan.py",
        ("    if abi < landlock.PORTS_SINCE:\n", "    if False:\n"),
        f"{_PLAN}::test_the_hosts_network_is_refused_where_no_port_can_be_closed",
    ),
    _network(
        "whose",
        "no other cell shares it",
        "launch/plan.py",
        (
            "        shares_network=policy.network is Network.HOST,\n",
            "        shares_network=policy.network is not Network.NONE,\n",
        ),
        f"{_PLAN}::test_plan_of_the_hosts_network_has_its_closed_ports",
        f"{_ESCAPE}::test_cell_of_a_network_of_its_own_gets_no_other_by_sharing_a_zygote",
    ),
    _network(
        "never in a fork",
        "a child that knows the kernel's keys does not get the network they work on",
        "sandbox.py",
        ("        if self.policy.network is Network.HOST:\n", "        if False:\n"),
        f"{_CONTRACT}::test_fork_never_has_the_hosts_network",
    ),
    _network(
        "six namespaces of its own",
        "with the network, nothing else is shared, and a network that was promised is had",
        "launch/report.py",
        ('    promised = {"net"} if plan.shares_network else set()\n', "    promised = shared\n"),
        f"{_VERIFICATION}::test_with_the_hosts_network_six_namespaces_are_the_cells_own",
    ),
    _network(
        "no points",
        "a network that is open adds nothing to the score",
        "launch/report.py",
        (
            '        return Layer("network", "open", "the host\'s;',
            '        return Layer("network", "verified", "the host\'s;',
        ),
        "tests/unit/launch/test_strength.py::test_network_of_the_host_is_open_and_adds_nothing",
    ),
    _network(
        "closed ports",
        "what notebooks print is not read by a cell that connects to their kernels",
        "launch/child.py",
        (
            "landlock.Ports(plan.closed_ports) if plan.shares_network else plan.loopback\n",
            "plan.shares_network or plan.loopback\n",
        ),
        f"{_ESCAPE}::test_servers_of_the_same_user_hear_no_cell",
        f"{_KERNEL}::test_kernels_ports_are_closed",
    ),
    _network(
        "a closed port",
        "each port of a closed range is closed",
        "linux/landlock.py",
        (
            "            yield from range(start, first)\n",
            "            yield from range(start, first + 1)\n",
        ),
        "tests/unit/linux/test_landlock.py",
    ),
    _network(
        "ports that the kernel picks",
        "kernels that begin later are out of reach, too",
        _PORTS,
        (
            "    return _joined(sorted((*picked, *others)))\n",
            "    return _joined(sorted(others))\n",
        ),
        f"{_KERNEL}::test_session_does_not_reach_a_kernel_that_begins_after_it",
    ),
    _network(
        "ports of the user",
        "a server that the user has chosen a port for is out of reach",
        _PORTS,
        ("if socket.uid == user}", "if False}"),
        f"{_ESCAPE}::test_servers_of_the_same_user_hear_no_cell",
    ),
    _network(
        "a kernel offers nothing",
        "what a notebook's own process listens on is no offer to its cells",
        _PORTS,
        (
            "    own = frozenset[int]() if _is_kernel() else own_sockets()\n",
            "    own = own_sockets()\n",
        ),
        f"{_KERNEL}::test_kernels_ports_are_closed",
        f"{_KERNEL}::test_server_that_a_notebook_has_is_closed",
    ),
    _network(
        "sends that connect",
        "no connection goes past the closed ports",
        _SOCKETS,
        (
            '    fast = _MSG_FASTOPEN if network == "host" else 0\n',
            "    fast = 0\n",
        ),
        f"{_ESCAPE}::test_servers_of_the_same_user_hear_no_cell",
    ),
    Guard(
        "ports that are shared",
        "no cell takes the datagrams of a service that shares its port",
        _SOCKETS,
        "        ignored |= _SHARED_PORTS\n",
        "        pass\n",
        "tests/unit/linux/test_seccomp.py::test_upper_layers_of_tcp_are_not_there",
    ),
    Guard(
        "ports that are chosen",
        "no cell chooses the port from which it sends",
        _SOCKETS,
        '        yield Rule("setsockopt", errno.ENOPROTOOPT, (ip, choice))\n',
        '        yield Rule("setsockopt", None, (ip, choice))\n',
        f"{_ESCAPE}::test_datagrams_of_a_service_of_the_host_are_not_taken",
    ),
    Guard(
        "upper layers of TCP",
        "no socket becomes one of a kind that Landlock does not look at",
        _SOCKETS,
        '        yield Rule("setsockopt", errno.ENOENT, (tcp, Match(2, _TCP_ULP)))\n',
        '        yield Rule("setsockopt", None, (tcp, Match(2, _TCP_ULP)))\n',
        f"{_ESCAPE}::test_no_socket_is_given_another_protocol_by_an_option"
        " tests/unit/linux/test_seccomp.py::test_upper_layers_of_tcp_are_not_there",
    ),
    _network(
        "no unix socket by name",
        "no abstract socket of the host hears a cell",
        _SOCKETS,
        (
            "    yield from _families(internet)\n",
            "    yield from choose('socket', 0, internet | {_AF_UNIX}, errno.EAFNOSUPPORT)\n",
        ),
        f"{_ESCAPE}::test_no_other_family_and_no_raw_socket_in_the_hosts_network",
    ),
    _network(
        "pairs that stay connected",
        "no end of a pair is connected to a name of the host's",
        _SOCKETS,
        (
            "frozenset({_SOCK_STREAM, _SOCK_SEQPACKET})\n",
            "frozenset({_SOCK_STREAM, _SOCK_SEQPACKET, _SOCK_DGRAM})\n",
        ),
        "tests/unit/linux/test_seccomp.py::test_pairs_in_the_network_of_the_host_are_of_two_types",
    ),
    _network(
        "no address of its choice",
        "no name of the host's is taken, and no known port",
        _SOCKETS,
        ('    yield Rule("bind", errno.EACCES, ())\n', ""),
        f"{_ESCAPE}::test_no_abstract_name_of_the_host_is_taken",
        f"{_ESCAPE}::test_no_datagram_socket_takes_a_port_of_its_choice",
    ),
    _network(
        "nobody listens",
        "no cell is sent the cookies of the notebook's server",
        _SOCKETS,
        ('    yield Rule("listen", errno.EACCES, ())\n', ""),
        f"{_ESCAPE}::test_nothing_listens_on_the_hosts_addresses",
    ),
    _network(
        "the resolver's file alone",
        "of a directory with sockets, the one file that a link names is shown",
        "launch/places.py",
        (
            "places.setdefault(entry.real, Bind(entry.real, entry.directory))\n",
            "places.setdefault(real := os.path.dirname(entry.real), Bind(real, directory=True))\n",
        ),
        f"{_PLAN}::test_resolvers_file_behind_a_link_is_shown_and_nothing_beside_it",
    ),
    _network(
        "settings make cells clean",
        "the setting gives the network to no fork",
        "front/settings.py",
        (
            '    return Policy.from_mapping({**fields, "clean": True} if is_host else fields)\n',
            "    return Policy.from_mapping(fields if is_host else fields)\n",
        ),
        "tests/unit/front/test_settings.py::test_with_the_hosts_network_every_cell_is_clean",
    ),
)
