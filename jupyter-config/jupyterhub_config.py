# ruff: noqa: F821, INP001 - JupyterHub reads this file and provides get_config()
"""Every cell of every user of this hub in a sandbox.

Written by kavach-jupyter as an example that works. In your own jupyterhub_config.py:

    load_subconfig("@HUB_CONFIG@")

What holds, and against whom: docs/how-to/jupyterhub.md. In short: kavach_ipy protects a user, and
the hub, from the code in cells. A single-user server runs as its user, so what keeps one user from
another is the operating system's users, or the container, as in any hub.
"""

c = get_config()

# --- for every spawner ---------------------------------------------------------------------------

# No server, kernel or extension configuration from the user's home.
c.Spawner.disable_user_config = True

# The command line wins over every configuration file. The first two name the kernels that there
# are: allowed_kernelspecs alone filters the list of a front end, and not what the server starts.
c.Spawner.args = [
    "--ServerApp.kernel_spec_manager_class=kavach_ipy.hub.kernelspecs.SandboxedKernelSpecManager",
    "--KernelSpecManager.ensure_native_kernel=False",
    "--KernelSpecManager.allowed_kernelspecs=python3",
    "--KernelSpecManager.allowed_kernelspecs=python3-kavach",
    "--ServerApp.terminals_enabled=False",
]

c.Spawner.environment = {
    # Kernels of this directory come before those of the same name anywhere else.
    "JUPYTER_PATH": "@JUPYTER_PATH@",
    # Neither ~/.local nor the working directory decides what the server imports.
    "PYTHONNOUSERSITE": "1",
    "PYTHONSAFEPATH": "1",
}

# --- system users, with the hub as root ----------------------------------------------------------
# The spawner of JupyterHub as it comes: one system user each. The machine must grant user
# namespaces to ordinary users: kavach-jupyter doctor, run as one of them, says so.
#
# c.JupyterHub.spawner_class = "jupyterhub.spawner.LocalProcessSpawner"

# --- systemd -------------------------------------------------------------------------------------
# These options of systemdspawner would take from the kernel what its sandbox is made of:
# RestrictNamespaces, a SystemCallFilter without @mount and unshare, and ProtectProc. A delegated
# cgroup makes limits exact (docs/how-to/delegate-a-cgroup.md).
#
# c.JupyterHub.spawner_class = "systemdspawner.SystemdSpawner"
# c.SystemdSpawner.unit_extra_properties = {
#     "RestrictNamespaces": "no",
#     "ProtectProc": "default",
#     "ProtectKernelTunables": "no",  # It mounts over parts of /proc, and a fresh one is refused.
#     "Delegate": "memory pids",
# }
# c.SystemdSpawner.disable_user_sudo = True

# --- Docker --------------------------------------------------------------------------------------
# Three defaults of Docker refuse a sandbox inside the container: its seccomp profile refuses
# unshare(2), mount(2) and keyctl(2), AppArmor's docker-default refuses mount(2), and the masked
# places of /proc make the Linux kernel refuse a fresh one. A cell brings its own, tighter, filter.
# The image holds kavach_ipy, and what "kavach-jupyter enable --system" writes; its user is not
# root, who would need three capabilities (docs/how-to/machines-that-refuse.md).
#
# from pathlib import Path
# c.JupyterHub.spawner_class = "dockerspawner.DockerSpawner"
# c.DockerSpawner.extra_host_config = {
#     "security_opt": [
#         # Docker's API takes the profile itself, where the command line takes its name.
#         "seccomp=" + Path("@CONFIG@/docker-seccomp.json").read_text(),
#         "apparmor=unconfined",
#         "systempaths=unconfined",
#         "no-new-privileges",
#     ],
#     "cap_drop": ["ALL"],
# }

# --- Kubernetes ----------------------------------------------------------------------------------
# procMount needs a user namespace of the pod (hostUsers: false). NetworkPolicy stays useful: the
# single-user server has the pod's network, though no cell has.
#
# c.JupyterHub.spawner_class = "kubespawner.KubeSpawner"
# c.KubeSpawner.extra_pod_config = {"hostUsers": False}
# c.KubeSpawner.extra_container_config = {
#     "securityContext": {
#         "procMount": "Unmasked",
#         # Copied to /var/lib/kubelet/seccomp of each node.
#         "seccompProfile": {"type": "Localhost", "localhostProfile": "docker-seccomp.json"},
#         "appArmorProfile": {"type": "Unconfined"},
#         "allowPrivilegeEscalation": False,
#         "capabilities": {"drop": ["ALL"]},
#     }
# }
