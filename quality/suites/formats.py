"""Forms of texts, as regular expressions that both engines read alike: no `\\s`, no `\\w`."""

BLANKS = r" \t\r\n\f\v"
CONTROL = r"\x01-\x1f\x7f"
EMAIL = rf"^[^@{BLANKS}]+@[^@{BLANKS}]+[.][^@.{BLANKS}]+$"
EMAIL_AS_ENTERED = rf"^[{BLANKS}]*[^@{BLANKS}]+@[^@{BLANKS}]+[.][^@.{BLANKS}]+[{BLANKS}]*$"
CURRENCY = r"^[A-Z][A-Z][A-Z]$"
ID = rf"^[^ {CONTROL}]([^{CONTROL}]*[^ {CONTROL}])?$"
"""Something, with no blank around it and no control character in it."""
