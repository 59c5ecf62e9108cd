"""The sample's words: people, places and goods, with the shares in which they occur. Data only."""

from dataclasses import dataclass
from typing import Final

FIRST_ID: Final = {"stores": 101, "products": 10_001, "customers": 100_001, "sales": 10_000_001}
"""The first id of each table."""


def _names(ascii_names: str, *others: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    """Names with their spelling in mail addresses; those in ASCII are four times as frequent as the others."""
    plain = ((name, name.lower().replace("'", "")) for name in ascii_names.split() for _ in range(4))
    return (*plain, *others)


FIRST_NAMES: Final = _names(
    """James Mary Robert Patricia John Jennifer Michael Linda David Elizabeth William Barbara Richard Susan Joseph
    Jessica Thomas Sarah Christopher Karen Charles Lisa Daniel Nancy Matthew Betty Anthony Sandra Mark Ashley Donald
    Emily Steven Kimberly Andrew Donna Paul Michelle Joshua Carol Kenneth Amanda Kevin Melissa Brian Deborah George
    Stephanie Timothy Rebecca Ronald Laura Jason Sharon Edward Cynthia Jeffrey Kathleen Ryan Amy Jacob Angela Gary
    Priya Wei Carlos Maria Ahmed Fatima Olga Hiroshi Amara Kwame""",
    *(("José", "jose"), ("Zoë", "zoe"), ("Łukasz", "lukasz"), ("Renée", "renee"), ("Björn", "bjorn")),
    *(("İpek", "ipek"), ("Νίκος", "nikos"), ("Siân", "sian")),
)
LAST_NAMES: Final = _names(
    """Smith Johnson Williams Brown Jones Garcia Miller Davis Rodriguez Martinez Hernandez Lopez Gonzalez Wilson
    Anderson Thomas Taylor Moore Jackson Martin Lee Perez Thompson White Harris Sanchez Clark Ramirez Lewis Robinson
    Walker Young Allen King Wright Scott Torres Nguyen Hill Flores Green Adams Nelson Baker Hall Rivera Campbell
    Mitchell Carter Roberts Gomez Phillips Evans Turner Diaz Parker Cruz Edwards Collins Reyes Stewart Morris Morales
    Murphy Cook Rogers Gutierrez Ortiz Morgan Cooper Peterson Bailey Reed Kelly Howard Ramos Kim Cox Ward Richardson
    Watson Brooks Chavez Wood Patel Bennett Gray Mendoza Ruiz Hughes Price Alvarez Castillo Sanders O'Brien Smith-Jones
    McDonald""",
    *(("Müller", "mueller"), ("Núñez", "nunez"), ("Đặng", "dang"), ("李", "li"), ("Weiß", "weiss")),
    *(("Yıldız", "yildiz"), ("Παπαδόπουλος", "papadopoulos"), ("Wójcik", "wojcik"), ("Ångström", "angstrom")),
)
WORDS: Final = {
    "street": [
        *("Oak", "Maple", "Cedar", "Pine", "Elm", "Washington", "Lake", "Hill", "Park", "Main", "Church", "Walnut"),
        *("Spring", "Ridge", "Franklin", "Highland", "Sunset", "Jackson", "Lincoln", "Madison", "River", "Willow"),
        *("Jefferson", "Adams", "Chestnut", "Broad", "Center", "Union"),
    ],
    "street_type": ["St", "Ave", "Rd", "Dr", "Ln", "Blvd", "Ct", "Way"],
    "unit": ["", "", "", "", "", "", ", Apt 3B", ", Apt 12", " Unit 4", ", Suite 210"],
    "mail_domain": ["example.com", "mail.example.com", "example.net", "example.org"],
    "channel": ["In-Store", "Online", "Mobile App", "Phone"],
    "payment_method": ["Credit Card", "Debit Card", "Cash", "PayPal", "Gift Card", "Mobile Wallet"],
}


@dataclass(frozen=True)
class Store:
    """A store: its share of the customers in percent, its manager (name, mailbox) and where its customers live."""

    name: str
    share: int
    manager: tuple[str, str]
    places: tuple[tuple[str, str, str, str], ...]
    """City, state, first three digits of the zip code and telephone area code; the first place is the store's own."""


STORES: Final = (
    Store(
        "ShopEase Manhattan",
        33,
        ("Angela Morris", "angela.morris"),
        (
            ("New York", "NY", "100", "212"),
            ("Brooklyn", "NY", "112", "718"),
            ("Queens", "NY", "113", "718"),
            ("Jersey City", "NJ", "073", "201"),
            ("Newark", "NJ", "071", "973"),
            ("Stamford", "CT", "069", "203"),
            ("Philadelphia", "PA", "191", "215"),
        ),
    ),
    Store(
        "ShopEase Los Angeles",
        26,
        ("Carlos Núñez", "carlos.nunez"),
        (
            ("Los Angeles", "CA", "900", "213"),
            ("Long Beach", "CA", "908", "562"),
            ("Pasadena", "CA", "911", "626"),
            ("San Diego", "CA", "921", "619"),
            ("Las Vegas", "NV", "891", "702"),
            ("Phoenix", "AZ", "850", "602"),
        ),
    ),
    Store(
        "ShopEase Chicago Loop",
        18,
        ("Katarzyna Wójcik", "katarzyna.wojcik"),
        (
            ("Chicago", "IL", "606", "312"),
            ("Evanston", "IL", "602", "847"),
            ("Naperville", "IL", "605", "630"),
            ("Milwaukee", "WI", "532", "414"),
            ("Gary", "IN", "464", "219"),
            ("Indianapolis", "IN", "462", "317"),
        ),
    ),
    Store(
        "ShopEase Houston Galleria",
        14,
        ("Denise Carter", "denise.carter"),
        (
            ("Houston", "TX", "770", "713"),
            ("Austin", "TX", "787", "512"),
            ("Dallas", "TX", "752", "214"),
            ("San Antonio", "TX", "782", "210"),
            ("New Orleans", "LA", "701", "504"),
        ),
    ),
    Store(
        "ShopEase Miami Beach",
        9,
        ("Sean O'Brien", "sean.obrien"),
        (
            ("Miami", "FL", "331", "305"),
            ("Fort Lauderdale", "FL", "333", "954"),
            ("Orlando", "FL", "328", "407"),
            ("Tampa", "FL", "336", "813"),
            ("Atlanta", "GA", "303", "404"),
        ),
    ),
)


@dataclass(frozen=True)
class Category:
    """A category: its brands, its goods as `Desk Lamp 35, Floor Lamp 90`, and its sales in each month in percent."""

    name: str
    brands: tuple[str, ...]
    listing: str
    pitch: str
    months: tuple[int, ...] = (100,) * 12

    def goods(self) -> list[tuple[str, int]]:
        """The goods with their usual prices in dollars."""
        pairs = (item.rpartition(" ") for item in self.listing.split(","))
        return [(" ".join(name.split()), int(price)) for name, _, price in pairs]


_GIFTS = (80, 85, 85, 90, 90, 90, 90, 95, 100, 110, 160, 200)
_OUTDOORS = (60, 70, 110, 150, 170, 160, 140, 110, 90, 80, 70, 60)

CATEGORIES: Final = (
    Category(
        "Electronics",
        ("Lumenor", "Voltix", "Auralis", "Kestrel", "Pixelon"),
        """Wireless Headphones 129, Bluetooth Speaker 59, Smart Watch 199, Tablet 329, 4K Monitor 279,
            USB-C Hub 39, Power Bank 29, Webcam 69, Mechanical Keyboard 89, Wireless Mouse 25""",
        "Two-year warranty, ships with cable.",
        _GIFTS,
    ),
    Category(
        "Home & Kitchen",
        ("Hearthly", "Copperleaf", "Brightwell", "Nordhus", "Casa Bella"),
        """Espresso Machine 249, Stand Mixer 299, Chef Knife 49, Frying Pan 39, Toaster 35, Air Fryer 99,
            Storage Jar Set 24, Desk Lamp 32, Throw Blanket 45, Bath Towel Set 38""",
        "Easy to clean, built to last.",
    ),
    Category(
        "Clothing",
        ("Fairweather", "Juniper & Co", "Harborline", "Tallow", "Everyday"),
        """Cotton T-Shirt 18, Denim Jacket 79, Wool Sweater 69, Chino Trousers 49, Linen Shirt 45, Rain Coat 99,
            Hooded Sweatshirt 42, Pleated Skirt 39, Crew Socks 9, Leather Belt 29""",
        "Regular fit, machine washable at 30 °C.",
        (90, 85, 105, 110, 105, 95, 85, 95, 105, 110, 125, 130),
    ),
    Category(
        "Shoes",
        ("Stridewell", "Marlow", "Peak & Vale", "Corso", "Tern"),
        """Running Shoes 95, Leather Boots 149, Canvas Sneakers 49, Sandals 35, Hiking Boots 139, Loafers 85,
            Slippers 24, Ankle Boots 119, Trail Shoes 109, Ballet Flats 55""",
        "Cushioned sole, true to size.",
    ),
    Category(
        "Sports & Outdoors",
        ("Ridgeline", "Summit Co", "Aquaventure", "Pacer", "Wildfern"),
        """Yoga Mat 29, Two-Person Tent 179, Sleeping Bag 89, Water Bottle 19, Dumbbell Pair 59, Daypack 65,
            Bike Helmet 55, Resistance Bands 17, Camping Stove 49, Trekking Poles 45""",
        "Light, tough and weatherproof.",
        _OUTDOORS,
    ),
    Category(
        "Toys & Games",
        ("Tinker Tree", "Playwright", "Bright Owl", "Gizmo", "Little Fox"),
        """Building Blocks 34, Jigsaw Puzzle 17, Strategy Board Game 45, Plush Bear 22, Model Train 79,
            Card Game 12, Dollhouse 99, Science Kit 39, Kite 19, Remote Control Car 49""",
        "For ages three and up.",
        (60, 65, 70, 80, 80, 80, 85, 85, 85, 110, 210, 290),
    ),
    Category(
        "Beauty",
        ("Rosewater", "Pure Isle", "Velvet Oak", "Clarté", "Dewdrop"),
        """Face Cream 32, Shampoo 11, Lip Balm 5, Eau de Parfum 79, Sunscreen 16, Hair Dryer 59, Body Lotion 14,
            Nail Polish 8, Beard Oil 19, Bath Salts 13""",
        "Dermatologically tested, not tested on animals.",
    ),
    Category(
        "Grocery",
        ("Greenfield", "Morning Mill", "Oro Verde", "Honeycomb", "Sea & Salt"),
        """Ground Coffee 11, Olive Oil 14, Dark Chocolate 4, Green Tea 6, Granola 7, Pasta 3, Wild Honey 9,
            Trail Mix 8, Hot Sauce 5, Sparkling Water 12""",
        "Best kept cool and dry.",
    ),
    Category(
        "Books",
        ("Lantern Press", "North Quay", "Paper Kite", "Old Mill", "Atlas House"),
        """Cookbook 29, Mystery Novel 14, Travel Guide 19, Picture Book 12, Biography 18, Poetry Collection 15,
            Sketchbook 11, History Atlas 45, Crossword Collection 8, Wall Calendar 16""",
        "Printed on recycled paper.",
        _GIFTS,
    ),
    Category(
        "Office Supplies",
        ("Deskmate", "Inkwell", "Clarity", "Staplewood", "Northgate"),
        """Gel Pens 7, Notebook Pack 12, Office Chair 189, Paper Shredder 79, Desk Organizer 24, Backpack 49,
            Sticky Notes 5, Label Printer 59, Whiteboard 45, Printer Paper 9""",
        "For home, school and office.",
        (110, 90, 90, 90, 90, 80, 130, 190, 140, 95, 95, 100),
    ),
    Category(
        "Garden",
        ("Fernbrook", "Terra", "Sunpatch", "Old Orchard", "Cloverdale"),
        """Pruning Shears 24, Garden Hose 35, Planter Box 29, Patio Chair 69, Lawn Mower 299, Seed Collection 9,
            Bird Feeder 22, String Lights 27, Charcoal Grill 149, Watering Can 18""",
        "Rust-free and frost-hardy.",
        _OUTDOORS,
    ),
    Category(
        "Pet Supplies",
        ("Pawprint", "Whisker & Co", "Good Boy", "Feather Nest", "Finley"),
        """Dog Bed 49, Cat Tree 89, Dry Dog Food 38, Cat Litter 16, Leash 15, Chew Toy 8, Aquarium 119,
            Pet Carrier 45, Grooming Brush 13, Bird Cage 75""",
        "Vet approved.",
    ),
)
