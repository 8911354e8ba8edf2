"""What a notebook user touches: settings, magics, Tab, the cell's shell in the child, and output.

::

    line + cell ──arguments──> Policy ──magics──> Sandbox.execute(runner's body, render's sink)
                                                     │ fork                ▲ gate
                                                     └─> child: runner ────┘ live output
                                                         (isolation, streams, messages)

Guarantees: the only folder that imports IPython, ipykernel and traitlets; loading the extension
replaces no method of the shell, and unloading leaves the shell as it was.
Assumes: what arrives at a sink has been through the gate.
"""

from __future__ import annotations
