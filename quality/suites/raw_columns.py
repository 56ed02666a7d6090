"""Which columns of raw the rules judge, and by what."""

from collections.abc import Mapping, Sequence

from quality.suites.formats import CURRENCY_AS_ENTERED, EMAIL_AS_ENTERED

CUSTOMERS = "raw.commerce__customers"
FORMATS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "raw.crm__users": {"email": (EMAIL_AS_ENTERED, "valid_email_min_ratio")},
    CUSTOMERS: {"email_address": (EMAIL_AS_ENTERED, "valid_email_min_ratio")},
    "raw.commerce__orders": {"currency": (CURRENCY_AS_ENTERED, "valid_format_min_ratio")},
    "raw.events__user_events": {"currency": (CURRENCY_AS_ENTERED, "valid_format_min_ratio")},
}
CLOSED_SETS: Mapping[str, Mapping[str, Sequence[str]]] = {
    CUSTOMERS: {"segment": ("enterprise", "smb", "consumer")},
    "raw.support__tickets": {"priority": ("low", "normal", "high", "urgent")},
    "raw.support__feedback": {"sentiment": ("positive", "neutral", "negative")},
}
"""What the contract allows: not one other value."""
KNOWN_VALUES: Mapping[str, Mapping[str, Sequence[str]]] = {
    "raw.commerce__orders": {
        "status": (
            *("pending", "processing", "paid", "shipped", "delivered", "completed"),
            *("cancelled", "canceled", "refunded", "returned"),
        )
    },
    "raw.support__tickets": {
        "status": ("new", "open", "pending", "hold", "on_hold", "solved", "resolved", "closed")
    },
}
"""What sources usually say: a few other values are no fault, many are."""
REQUIRED: Mapping[str, Mapping[str, str]] = {
    "raw.commerce__orders": {"customer_id": CUSTOMERS},
    "raw.commerce__products": {"name": "raw.commerce__products"},
    "raw.support__tickets": {"company_id": "raw.crm__companies"},
}
"""What should mostly be there, once there is anything in the table that it points to."""
WATCHED_NULLS: Mapping[str, Sequence[str]] = {
    "raw.crm__companies": ("domain", "industry", "country"),
    "raw.crm__users": ("email", "full_name", "role"),
    CUSTOMERS: ("company_id", "full_name", "email_address", "phone", "segment", "address_country"),
    "raw.commerce__products": ("name", "category", "brand", "unit_price"),
    "raw.commerce__orders": ("customer_id", "shipping_address_country"),
    "raw.support__tickets": ("company_id", "requester_id", "subject"),
    "raw.support__feedback": ("user_id", "channel", "body"),
}
TYPES: Mapping[str, tuple[str, ...]] = {
    "text": ("text", "varchar", "character varying"),
    "bigint": ("bigint",),
    "boolean": ("boolean",),
    "timestamptz": ("timestamp with time zone",),
    "numeric(18,6)": ("numeric", "decimal(18,6)"),
    "double precision": ("double precision", "double"),
}
"""How each engine's `information_schema` calls a type of the contract."""
FOUND_COLUMNS = "found_columns"
RAW_TABLES: Mapping[str, str] = {
    FOUND_COLUMNS: "select table_name, column_name, data_type, numeric_precision, numeric_scale"
    " from information_schema.columns where table_schema = 'raw'"
}
"""Temporary tables that rules read, with their queries: each rule would search catalogs else."""
