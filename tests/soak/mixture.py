"""The cells of a long day: every way to end, and what each must be answered with.

Guarantees: each cell names what it makes after `TOKEN`, so that a file that is left is found.
Assumes: sent to a kernel that has kavach_ipy loaded; every cell ends by itself or by its limits.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

__all__ = ["BROKER_CELLS", "CELLS", "TOKEN", "BrokerCell", "Cell"]

TOKEN = f"kavach-left-{os.getpid()}"
"""Another soak on the same machine has another."""

_FILES = f"""
import os
for place in ("/tmp", "/dev/shm", os.getcwd(), os.path.expanduser("~")):
    open(os.path.join(place, "{TOKEN}-{{name}}"), "w").close()
"""


@dataclass(frozen=True, slots=True)
class Cell:
    """One kind of cell."""

    name: str
    source: str
    ends: str = "ok"
    """``ok``, or a word of the error's name and text."""

    share: int = 1
    """How many of it are in the mixture."""

    @property
    def code(self) -> str:
        """What the client sends: the magic's line, files in every place, then the source."""
        if not self.source.startswith("%%"):
            return self.source
        line, _, rest = self.source.partition("\n")
        return line + _FILES.format(name=self.name) + rest


CELLS = (
    Cell("pass", "%%sandbox\npass", share=4),
    Cell("plain", "1 + 1\n", share=2),
    Cell("output", "%%sandbox\nprint('out' * 100)\nos.system('echo out; echo err >&2')", share=2),
    Cell("result", "%%sandbox\nlist(range(100))", share=2),
    Cell(
        "array",
        "%%sandbox -o array,text\nimport numpy\narray = numpy.arange(200_000.0)\ntext = 'x' * 500",
        share=3,
    ),
    Cell(
        "frame",
        "%%sandbox -o frame\nimport pandas\nframe = pandas.DataFrame({'a': range(500)})\nframe",
    ),
    Cell("exception", "%%sandbox\n1 / 0", "ZeroDivisionError", share=2),
    Cell("exit", "%%sandbox\nos._exit(3)", "status 3"),
    Cell("segfault", "%%sandbox\nimport ctypes\nctypes.string_at(0)", "SIGSEGV"),
    Cell("abort", "%%sandbox\nos.abort()", "SIGABRT"),
    Cell("exec", "%%sandbox\nos.execv('/bin/true', ['true'])", "status 0"),
    Cell("timeout", "%%sandbox --timeout 200ms\nwhile True: pass", "--timeout"),
    Cell(
        "daemon",
        "%%sandbox\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        "        while True: pass\n    os._exit(0)\nos.wait()",
    ),
    Cell(
        "detached",
        "%%sandbox\nimport subprocess\nsubprocess.Popen(['sleep', '600'], start_new_session=True)",
    ),
    Cell(
        "threads",
        "%%sandbox\nimport threading, time\nfor _ in range(8):\n"
        "    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()",
    ),
    Cell(
        "memory",
        "%%sandbox --memory 64M --timeout 20s\nkept = []\n"
        "while True: kept.append(bytearray(1 << 20))",
        "emory",
    ),
    Cell("terminal", "%%sandbox\nimport pty\npair = pty.openpty()\nos.write(pair[1], b'x')"),
    Cell(
        "shared",
        "%%sandbox\nfd = os.open('/dev/shm/left', os.O_RDWR | os.O_CREAT)\n"
        "os.ftruncate(fd, 1 << 20)",
    ),
    Cell("zombies", "%%sandbox\nfor _ in range(5):\n    if os.fork() == 0: os._exit(0)"),
    Cell(
        "display", "%%sandbox\nfrom IPython.display import HTML, display\ndisplay(HTML('<b>b</b>'))"
    ),
    Cell("refused", "%%sandbox --ro /nowhere\npass", "CannotEnforce"),
    Cell("misuse", "%%sandbox --memory lots\npass", "UsageError"),
    Cell("loopback", "%%sandbox --loopback\nimport socket\nsocket.create_server(('127.0.0.1', 0))"),
)
"""One unit of the mixture has each of these as often as its share says."""


@dataclass(frozen=True, slots=True)
class BrokerCell:
    """One kind of cell of a notebook whose cells are all sandboxed."""

    name: str
    code: str
    ends: str = "ok"
    """As of `Cell`; of a completion, one of the matches."""

    share: int = 1
    """How many of it are in the mixture."""

    completes: bool = False
    """Tab is pressed at its end."""

    ends_session: bool = False
    """Where no checkpoint is kept."""


BROKER_CELLS = (
    BrokerCell("pass", "pass", share=4),
    BrokerCell("result", "1 + 1", share=4),
    BrokerCell("print", "for n in range(20):\n    print('line', n)", share=3),
    BrokerCell("much", "print('x' * 300_000)"),
    BrokerCell("system", "import os\nos.system('echo out; echo err >&2')"),
    BrokerCell("shell", "lines = !echo one; echo two\nassert lines == ['one', 'two']"),
    BrokerCell("exception", "1 / 0", "ZeroDivisionError", share=2),
    BrokerCell("syntax", "1 +", "SyntaxError"),
    BrokerCell("frame", "import pandas\npandas.DataFrame({'a': range(50)})"),
    BrokerCell(
        "display", "display({'text/plain': 'a', 'text/html': '<b>a</b>'}, raw=True)", share=2
    ),
    BrokerCell(
        "update",
        "shown = display('first', display_id=True)\nshown.update('second')\n"
        "from IPython.display import clear_output\nclear_output(wait=True)\nprint('third')",
        share=2,
    ),
    BrokerCell("await", "import asyncio\nawait asyncio.sleep(0.001)"),
    BrokerCell(
        "task",
        "import asyncio\nasync def later():\n    await asyncio.sleep(0.001)\n    print('later')\n"
        "task = asyncio.ensure_future(later())",
    ),
    BrokerCell(
        "thread",
        "import threading\nthread = threading.Thread(target=print, args=('thread',))\n"
        "thread.start(); thread.join()",
    ),
    BrokerCell("process", "import subprocess\nsubprocess.run(['true'], check=True)"),
    BrokerCell("magic", "%timeit -n 1 -r 1 pass"),
    BrokerCell(
        "widget",
        "import ipywidgets\nslider = ipywidgets.IntSlider()\ndisplay(slider)\nslider.value = 3\n"
        "ipywidgets.Widget.close_all()",
    ),
    BrokerCell("input", "input()", "StdinNotImplementedError"),
    BrokerCell(
        "file",
        f"import os\nwith open('/tmp/{TOKEN}', 'w') as file:\n    file.write('text')\n"
        f"os.remove('/tmp/{TOKEN}')",
    ),
    BrokerCell("completion", "prin", "print", completes=True),
    BrokerCell(
        "timeout", "%%sandbox --timeout 200ms\nwhile True: pass", "timeout", ends_session=True
    ),
    BrokerCell("less", "%%sandbox --output 1M\nprint('a')"),
    BrokerCell("status", "%kavach status"),
)
"""As `CELLS`."""
