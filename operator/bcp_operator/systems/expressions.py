"""JMESPath in profiles, compiled once; a plain field name skips the interpreter (it is most of a listing's cost)."""

import re
from collections.abc import Callable
from typing import Any

import jmespath
from jmespath import functions
from jmespath.exceptions import JMESPathError

Expression = Callable[[Any], Any]


class _Functions(functions.Functions):
    """What JMESPath lacks and profiles need."""

    @functions.signature({"types": ["string"]}, {"types": ["string"]})
    def _func_split(self, text: str, separator: str) -> list[str]:
        """split(location, '/'): the parts of a text."""
        return text.split(separator) if separator else [text]


_OPTIONS = jmespath.Options(custom_functions=_Functions())
_PLAIN = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")


def compile_expression(text: str) -> Expression:
    """A function from a JSON value to a JSON value. Raises ValueError naming what is wrong.

    The function itself raises ValueError when the expression can't be applied (wrong type for a JMESPath function).
    """
    if _PLAIN.match(text):
        return lambda value: value.get(text) if isinstance(value, dict) else None
    try:
        compiled = jmespath.compile(text)
    except JMESPathError as error:
        raise ValueError(f"{text!r} is not JMESPath: {str(error).splitlines()[0]}") from None

    def search(value: Any) -> Any:
        try:
            return compiled.search(value, options=_OPTIONS)
        except JMESPathError as error:
            raise ValueError(f"{text!r} can't be applied: {type(error).__name__}") from None

    return search
