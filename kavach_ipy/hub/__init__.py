"""What an administrator touches: installing, looking at it, taking it away again.

::

    jupyter-config/ ──templates──> installing ──> files of a scope, and a manifest of them
                                        │
                      inspecting <──────┘   what is installed, what is in force, and from where
                          │
                      command: kavach-jupyter enable | disable | show | doctor

Guarantees: importing starts nothing; a file is written, changed or removed only where this package
wrote it and nobody has edited it since.
Assumes: whoever runs the command may write where they ask it to.
"""

from __future__ import annotations
