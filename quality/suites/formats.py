"""Forms of texts, as regular expressions that both engines read alike: no `\\s`, no `\\w`."""

from collections.abc import Iterable

BLANKS = r" \t\r\n\f\v"


def as_entered(form: str) -> str:
    """The form with blanks around it: staging takes these away."""
    return rf"^[{BLANKS}]*{form}[{BLANKS}]*$"


ADDRESS = rf"[^@{BLANKS}]+@[^@{BLANKS}]+[.][^@.{BLANKS}]+"
CONTROL = r"\x01-\x1f\x7f"
EMAIL = f"^{ADDRESS}$"
EMAIL_AS_ENTERED = as_entered(ADDRESS)
CURRENCY_AS_ENTERED = as_entered("[A-Za-z][A-Za-z][A-Za-z]")
ID = rf"^[^ {CONTROL}]([^{CONTROL}]*[^ {CONTROL}])?$"
"""Something, with no blank around it and no control character in it."""


def one_of_as_entered(words: Iterable[str]) -> str:
    """One of the words, in any case and with blanks around it."""
    return "(?i)" + as_entered("(" + "|".join(words) + ")")
