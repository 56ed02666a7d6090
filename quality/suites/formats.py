"""Forms of texts, as regular expressions that both engines read alike: no `\\s`, no `\\w`."""

from collections.abc import Iterable

BLANKS = r" \t\r\n\f\v"
CONTROL = r"\x01-\x1f\x7f"
EMAIL = rf"^[^@{BLANKS}]+@[^@{BLANKS}]+[.][^@.{BLANKS}]+$"
EMAIL_AS_ENTERED = rf"^[{BLANKS}]*[^@{BLANKS}]+@[^@{BLANKS}]+[.][^@.{BLANKS}]+[{BLANKS}]*$"
CURRENCY_AS_ENTERED = rf"^[{BLANKS}]*[A-Za-z][A-Za-z][A-Za-z][{BLANKS}]*$"
ID = rf"^[^ {CONTROL}]([^{CONTROL}]*[^ {CONTROL}])?$"
"""Something, with no blank around it and no control character in it."""


def one_of_as_entered(words: Iterable[str]) -> str:
    """One of the words, in any case and with blanks around it: staging takes these away."""
    return rf"(?i)^[{BLANKS}]*({'|'.join(words)})[{BLANKS}]*$"
