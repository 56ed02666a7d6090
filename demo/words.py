"""Word lists of the generator: cities that gazetteers know, names, products, phrases."""

from __future__ import annotations

from typing import NamedTuple


class City(NamedTuple):
    """A real place with the codes that an address and a phone number need."""

    name: str
    state: str | None
    code: str
    country: str
    zip_pattern: str
    dial: str
    currency: str
    weight: int


CITIES = (
    City("London", None, "GB", "United Kingdom", "EC1A #BB", "+44", "GBP", 14),
    City("Manchester", None, "GB", "United Kingdom", "M# 4WD", "+44", "GBP", 6),
    City("Edinburgh", None, "GB", "United Kingdom", "EH# 1YZ", "+44", "GBP", 3),
    City("Dublin", None, "IE", "Ireland", "D0# X285", "+353", "EUR", 4),
    City("Berlin", None, "DE", "Germany", "10###", "+49", "EUR", 7),
    City("Hamburg", None, "DE", "Germany", "20###", "+49", "EUR", 3),
    City("Munich", None, "DE", "Germany", "80###", "+49", "EUR", 4),
    City("Paris", None, "FR", "France", "750##", "+33", "EUR", 6),
    City("Lyon", None, "FR", "France", "6900#", "+33", "EUR", 2),
    City("Madrid", None, "ES", "Spain", "280##", "+34", "EUR", 4),
    City("Barcelona", None, "ES", "Spain", "080##", "+34", "EUR", 3),
    City("Amsterdam", None, "NL", "Netherlands", "10## AB", "+31", "EUR", 3),
    City("Milan", None, "IT", "Italy", "201##", "+39", "EUR", 3),
    City("Stockholm", None, "SE", "Sweden", "11# 22", "+46", "EUR", 2),
    City("New York", "NY", "US", "United States", "100##", "+1", "USD", 12),
    City("Chicago", "IL", "US", "United States", "606##", "+1", "USD", 6),
    City("Austin", "TX", "US", "United States", "787##", "+1", "USD", 5),
    City("San Francisco", "CA", "US", "United States", "941##", "+1", "USD", 6),
    City("Seattle", "WA", "US", "United States", "981##", "+1", "USD", 4),
    City("Toronto", "ON", "CA", "Canada", "M5V #K#", "+1", "CAD", 4),
    City("Vancouver", "BC", "CA", "Canada", "V6B #A#", "+1", "CAD", 2),
    City("Sydney", "NSW", "AU", "Australia", "20##", "+61", "AUD", 3),
    City("Melbourne", "VIC", "AU", "Australia", "30##", "+61", "AUD", 2),
)
STREETS = (
    "High Street", "Station Road", "Church Lane", "Market Square", "Mill Lane", "Park Avenue",
    "Victoria Road", "Queen Street", "Bridge Street", "Garden Row", "Main Street", "Oak Drive",
)  # fmt: skip
FIRST_NAMES = (
    "Alice", "Amara", "Ben", "Carlos", "Chloe", "Daniel", "Elena", "Emma", "Fatima", "Felix",
    "Grace", "Hannah", "Hugo", "Ines", "Jack", "Jonas", "Julia", "Kofi", "Lars", "Laura", "Leo",
    "Lina", "Lucas", "Maria", "Mateo", "Mia", "Nadia", "Noah", "Olivia", "Omar", "Paula", "Priya",
    "Rosa", "Samuel", "Sofia", "Tom", "Victor", "Wei", "Yasmin", "Zoe",
)  # fmt: skip
LAST_NAMES = (
    "Adams", "Bauer", "Bianchi", "Brown", "Campbell", "Chen", "Costa", "Davies", "Dubois",
    "Evans", "Fischer", "Garcia", "Hansen", "Hughes", "Ivanova", "Jansen", "Johnson", "Keller",
    "Khan", "Larsson", "Lopez", "Martin", "Mensah", "Meyer", "Murphy", "Nguyen", "O'Brien",
    "Patel", "Petit", "Rossi", "Ruiz", "Schmidt", "Silva", "Smith", "Taylor", "Thompson",
    "Walker", "Weber", "Williams", "Young",
)  # fmt: skip
MAIL_DOMAINS = ("example.com", "example.org", "example.net", "mail.example", "post.example")
COMPANY_HEADS = (
    "Alder", "Amber", "Beacon", "Birch", "Blue", "Cedar", "Cobalt", "Copper", "Crown", "Delta",
    "Ember", "Falcon", "Granite", "Harbor", "Heron", "Iron", "Juniper", "Kestrel", "Lantern",
    "Maple", "Meridian", "North", "Orchard", "Pine", "Quarry", "River", "Silver", "Summit",
    "Tidal", "Willow",
)  # fmt: skip
COMPANY_TAILS = (
    "Analytics", "Bakeries", "Clinics", "Energy", "Foods", "Freight", "Games", "Health",
    "Interiors", "Labs", "Logistics", "Media", "Motors", "Outfitters", "Robotics", "Software",
    "Systems", "Textiles", "Travel", "Works",
)  # fmt: skip
COMPANY_FORMS = ("Ltd", "GmbH", "Inc", "SA", "Group", "& Co")
INDUSTRIES = (
    "Retail", "Software", "Healthcare", "Logistics", "Hospitality", "Manufacturing", "Media",
    "Energy", "Education",
)  # fmt: skip
ROLES = ("admin", "manager", "analyst", "buyer", "support", "viewer")
PLANS = ("free", "starter", "team", "business", "enterprise")
CATEGORIES: dict[str, tuple[str, ...]] = {
    "Kitchen": ("Mug", "Kettle", "Cutting Board", "Teapot", "Bowl Set", "Apron"),
    "Garden": ("Planter", "Watering Can", "Lantern", "Trowel", "Bird House", "Bench"),
    "Office": ("Notebook", "Desk Lamp", "Pen Set", "Organiser", "Chair", "Whiteboard"),
    "Textiles": ("Blanket", "Cushion", "Towel", "Tablecloth", "Curtain", "Rug"),
    "Toys": ("Puzzle", "Kite", "Wooden Train", "Building Blocks", "Board Game", "Plush Bear"),
    "Electronics": ("Headphones", "Charger", "Speaker", "Keyboard", "Webcam", "Power Bank"),
}
MATERIALS = ("Oak", "Steel", "Linen", "Ceramic", "Bamboo", "Glass", "Cotton", "Enamel", "Slate")
COLOURS = ("White", "Black", "Sage", "Navy", "Rust", "Cream", "Teal")
BRANDS = ("Northway", "Hearth & Co", "Lumen", "Fjord", "Casa Verde", "Brightside", "Oakline")
SUBJECTS = (
    "Cannot sign in", "Invoice is wrong", "Export does not finish", "Question about a plan",
    "Parcel arrived damaged", "Password reset mail is missing", "Dashboard is slow",
    "Add a user", "Refund has not arrived", "Data is out of date", "How do I change the address?",
)  # fmt: skip
URGENT_SUBJECTS = (
    "Service is down for all of us", "Third request: still no answer", "We lost data",
    "Cancel our contract", "Orders are blocked", "Escalation: production stopped",
)  # fmt: skip
CHANNELS = ("email", "in_app", "survey", "phone", "chat")
BODIES: dict[str, tuple[str, ...]] = {
    "positive": (
        "Works very well for us.", "The team answered within minutes, thank you!",
        "Love the new reports \u2013 they save us hours.", "Delivery was quick, great quality.",
    ),
    "neutral": (
        "Does what it should.", "Fine so far, a few small things.", "No complaints.",
        "Could you add an export to CSV?",
    ),
    "negative": (
        "Too slow, again.", "Nobody answers our tickets.", "The last order was incomplete.",
        "We are looking at \"other\" providers.", "Prices rose, quality did not.",
    ),
}  # fmt: skip
