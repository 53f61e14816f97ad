"""Numbers and names as text, the same in every table and sentence."""

from collections.abc import Sequence
from math import isnan


def counted(number: int, noun: str) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def number(value: float, form: str) -> str:
    """A number as text, empty where it is not known."""
    return "" if isnan(value) else format(value, form)


def plus_minus(mean: float, half_width: float, form: str = ".4f") -> str:
    """A mean with the half width of its interval, where it has one."""
    return number(mean, form) + ("" if isnan(half_width) else f" ± {half_width:{form}}")


def signed(value: float) -> str:
    """A difference with its sign, zero without; empty where it is not known."""
    text = number(value, "+.4f").replace("-", "−")
    return "0.0000" if text in ("+0.0000", "−0.0000") else text


def p_value(value: float) -> str:
    """A p-value; empty where it is not known."""
    return "< 0.001" if value < 0.001 else number(value, ".3f" if value < 0.1 else ".2f")


def p_equation(value: float) -> str:
    """`p = 0.013`, `p < 0.001`."""
    text = p_value(value)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def with_article(noun: str) -> str:
    """`an accuracy`, `a balanced accuracy`, `an F1`."""
    return f"{'an' if noun[0] in 'aAF' else 'a'} {noun}"


def duration(seconds: float) -> str:
    """Seconds as people say them: 45 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
