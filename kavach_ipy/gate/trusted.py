"""Rules for the tags of classes that the user trusts (`kavach_ipy.wire.trusted`).

Guarantees: the name leads into the table that this process holds, and to nothing else; whatever the
constructor raises, `SystemExit` included, withholds the value.
Assumes: what a trusted constructor does with values of listed types is its owner's choice.
"""

from __future__ import annotations

from typing import Any, cast

from kavach_ipy.gate.allowance import refused
from kavach_ipy.gate.budget import Budget
from kavach_ipy.gate.rules import Arguments, Build, rules
from kavach_ipy.wire import trusted

__all__ = ["RULES"]

# Nobody knows what a constructor costs; pydantic's takes ten microseconds.
_MADE = 20


def _own(tag: Any, kind: type) -> Build:
    def build(budget: Budget, arguments: Arguments) -> object:
        if len(arguments) != 2 or (kind is dict and type(arguments[1]) is not dict):
            raise refused("a trusted class has other arguments")
        name, value = cast("tuple[Any, Any]", arguments)
        if type(name) is not str or name not in trusted.trusted():
            raise refused("its class is not trusted in this notebook", "kavach_ipy.trust(…)")
        try:
            return tag(name, value)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            # SystemExit would end the kernel, and a Rust library's panic is no Exception.
            reason = f"its class {name[:100]} refused it ({type(error).__name__})"
            raise refused(reason) from error
        finally:
            budget.allowance.check_time()

    return build


RULES = rules(
    (trusted.instance, _own(trusted.instance, dict), _MADE, True),
    (trusted.encoded, _own(trusted.encoded, object), _MADE, True),
)
