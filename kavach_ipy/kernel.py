"""``python -I -m kavach_ipy.kernel -f CONNECTION_FILE``: a kernel whose cells are all sandboxed.

This is what a kernelspec starts. With ``-I`` neither the user's site, nor PYTHON* variables, nor
the working directory has a say in what this process imports.

Guarantees: see `kavach_ipy.front.app`.
Assumes: Linux.
"""

from __future__ import annotations

import gc

__all__ = ["main"]


def main() -> None:
    """Start the kernel."""
    # An import of this package starts nothing and loads nothing heavy.
    from kavach_ipy.launch.eggs import lay  # noqa: PLC0415

    # Both import for a quarter of a second, and a machine has more than one processor.
    lay("kavach_ipy.front.served:ServedRunner")
    # Modules are no garbage, and looking for it takes a fifteenth of the time.
    gc.disable()
    from kavach_ipy.front.app import main as run  # noqa: PLC0415

    gc.freeze()
    gc.enable()
    run()


if __name__ == "__main__":
    main()
