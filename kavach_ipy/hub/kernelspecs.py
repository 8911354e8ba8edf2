"""The kernels that a server may start: the sandboxed ones, from root-owned places, and no other.

``KernelSpecManager.allowed_kernelspecs`` of jupyter_client 8 filters what a server *lists*
(find_kernel_specs); what it *starts* goes through get_kernel_spec, which looks for any name in
every directory, and falls back to ipykernel's own for the name python3 whatever
ensure_native_kernel says. So a request to /api/kernels could start any kernel that the user has put
into their home.

Guarantees: the list and the start know the same kernels; each has its file in a directory that only
root, or the owner of the Python environment, can write; there are no others, whatever
configuration, JUPYTER_PATH or the user's home say.
Assumes: ``ServerApp.kernel_spec_manager_class`` names this class, on the command line or in a file
that its user cannot write.
"""

from __future__ import annotations

import os
from typing import Final

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager, NoSuchKernel

from kavach_ipy.errors import FileRefused
from kavach_ipy.hub.scopes import Scope, scope_of
from kavach_ipy.linux.owned import read_owned

__all__ = ["SandboxedKernelSpecManager"]

_NAMES: Final = ("python3", "python3-kavach")
_LONGEST: Final = 1 << 16


class SandboxedKernelSpecManager(KernelSpecManager):  # type: ignore[misc, unused-ignore]
    """Knows the kernels that ``kavach-jupyter enable`` wrote for everybody, and no others."""

    def find_kernel_specs(self) -> dict[str, str]:
        """Return the sandboxed kernels, by name, with the directory of each."""
        found: dict[str, str] = {}
        for scope in (scope_of("system"), scope_of("sys-prefix")):
            for target in scope.targets:
                directory, name = os.path.split(target.path)
                kernel = os.path.basename(directory)
                if name == "kernel.json" and kernel in _NAMES and self._is_ours(scope, target.path):
                    found.setdefault(kernel, directory)
        return found

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Return a sandboxed kernel's specification.

        Raises:
            NoSuchKernel: it is none of them.
        """
        directory = self.find_kernel_specs().get(kernel_name.lower())
        if directory is None:
            raise NoSuchKernel(kernel_name)
        return self.kernel_spec_class.from_resource_dir(directory)

    def _is_ours(self, scope: Scope, path: str) -> bool:
        try:
            return read_owned(path, {scope.owner}, limit=_LONGEST) is not None
        except FileRefused as error:
            self.log.warning("this kernel is left out: %s", error)
            return False
