//! Random draws, and the words that they choose from. Nothing belongs to anybody: domains are reserved (RFC 2606),
//! telephone numbers are fictitious.

use std::ops::RangeInclusive;

use rand::seq::IndexedRandom as _;

use crate::domain::Number;

pub(super) const FIRST_NAMES: &[&str] = &[
    "Ada", "Ben", "Chiara", "Dario", "Elif", "Femke", "Goran", "Hana", "Ines", "Jonas", "Kaito", "Lena", "Mateo",
    "Nora", "Olu", "Priya", "Quinn", "Rosa", "Sven", "Tomas", "Uma", "Vera", "Wim", "Yara", "Zoe",
];
pub(super) const LAST_NAMES: &[&str] = &[
    "Abebe",
    "Bakker",
    "Costa",
    "Dubois",
    "Eriksen",
    "Ferrari",
    "Garcia",
    "Haas",
    "Ito",
    "Jansen",
    "Kowalski",
    "Lindqvist",
    "Moreau",
    "Novak",
    "Okafor",
    "Petrov",
    "Quist",
    "Rossi",
    "Silva",
    "Tanaka",
    "Ueda",
    "Visser",
    "Weber",
    "Young",
];
pub(super) const PREFIXES: &[&str] = &["Dr", "Mr", "Mrs", "Ms", "Prof"];
pub(super) const TITLES: &[&str] =
    &["Accountant", "Architect", "Buyer", "Director", "Engineer", "Founder", "Head of Sales", "Office Manager"];
pub(super) const TRADES: &[&str] = &[
    "Bakery",
    "Bikes",
    "Books",
    "Coffee",
    "Design",
    "Foods",
    "Gardens",
    "Labs",
    "Logistics",
    "Optics",
    "Paper",
    "Solar",
];
pub(super) const FORMS: &[&str] = &["& Co", "& Daughters", "BV", "GmbH", "Group", "Inc", "Ltd"];
pub(super) const TAGS: &[&str] =
    &["beta", "conference", "europe", "newsletter", "partner", "priority", "referral", "renewal", "reseller", "trial"];
pub(super) const PROJECTS: &[&str] = &["Annual report", "New website", "Office move", "Roof repair", "Summer campaign"];
pub(super) const STATUSES: &[&str] = &["Open", "In progress", "On hold", "Done"];
pub(super) const LABELS: &[&str] =
    &["Account manager", "Birthday", "Favourite colour", "Renewal", "Shoe size", "Source"];
pub(super) const AUDIENCES: &[&str] = &["Events", "Monthly news", "Offers", "Product updates"];
pub(super) const CIRCLES: &[&str] = &["Advisers", "Neighbours", "North", "Press", "South", "VIP"];
pub(super) const WORLDS: &[&str] = &["Africa", "Americas", "Asia", "Europe", "Oceania"];
pub(super) const COLORS: &[&str] = &["Blue", "Green", "Orange", "Red", "Violet", "Yellow"];
pub(super) const STREETS: &[&str] =
    &["Bridge Street", "Canal Road", "Harbour Lane", "Market Square", "Mill Way", "Park Avenue", "Station Road"];
/// A city, its state, its country.
pub(super) const CITIES: &[(&str, &str, &str)] = &[
    ("Austin", "Texas", "United States"),
    ("Ghent", "East Flanders", "Belgium"),
    ("Kyoto", "Kyoto", "Japan"),
    ("Lyon", "Rhône", "France"),
    ("Porto", "Porto", "Portugal"),
    ("Toronto", "Ontario", "Canada"),
    ("Utrecht", "Utrecht", "Netherlands"),
];
pub(super) const SENTENCES: &[&str] = &[
    "Asked for a quote by the end of the month.",
    "Came by referral.",
    "Met at the spring conference.",
    "Prefers email to the telephone.",
    "Renews every January.",
    "Wants invoices on paper.",
];

/// One of these; `None` where there are none.
pub(super) fn one<T: Copy>(choices: &[T]) -> Option<T> {
    choices.choose(&mut rand::rng()).copied()
}

/// One of these words.
pub(super) fn word(words: &[&'static str]) -> &'static str {
    one(words).unwrap_or_default()
}

/// Up to three of these words, each once.
pub(super) fn some(words: &[&'static str]) -> Vec<String> {
    let amount = rand::random_range(1..=3);
    words.sample(&mut rand::rng(), amount).map(|word| (*word).to_owned()).collect()
}

/// A random whole number.
pub(super) fn whole(range: RangeInclusive<u32>) -> Number {
    Number::from(rand::random_range(range))
}

pub(super) fn number(range: RangeInclusive<i64>) -> i64 {
    rand::random_range(range)
}

/// True with this probability, in percent.
pub(super) fn chance(percent: i64) -> bool {
    number(1..=100) <= percent
}

/// In the form of E.164, from the numbers that are reserved for fiction: +1 201 555 01xx.
pub(super) fn phone() -> String {
    format!("+1{}55501{:02}", number(201..=989), number(0..=99))
}

pub(super) fn company() -> String {
    [word(LAST_NAMES), word(TRADES), word(FORMS)].join(" ")
}

/// An address of a person at a reserved domain, different on each call.
pub(super) fn email(first: &str, last: &str) -> String {
    format!("{first}.{last}{}@example.com", number(1..=9_999)).to_lowercase()
}
