//! Reads a project's estimated value where its amount and its currency are two keys.

use serde_json::{Map, Value as Json};

use super::Reader;
use super::lenient::is_blank;
use crate::domain::Field;

impl Reader {
    /// `estimated_value` as a number becomes an object with the `estimated_value_currency` beside it.
    pub(super) fn join_estimated_value(&mut self) {
        const BESIDE: &str = "estimated_value_currency";
        let name = Field::EstimatedValue.name();
        let currency = self.body.remove(BESIDE).filter(|currency| !is_blank(currency));
        let mut money = match self.body.remove(name) {
            None => {
                if currency.is_some() {
                    self.refuse(BESIDE, "Must stand beside estimated_value.");
                }
                return;
            }
            Some(amount @ (Json::Number(_) | Json::String(_))) if !is_blank(&amount) => {
                if currency.is_none() {
                    self.refuse(BESIDE, "Is required where estimated_value is a number.");
                    return;
                }
                Map::from_iter([("amount".to_owned(), amount)])
            }
            Some(Json::Object(money)) => money,
            Some(other) => {
                self.body.insert(name.to_owned(), other);
                return;
            }
        };
        if let Some(currency) = currency {
            let stated = money.get("currency").and_then(Json::as_str).unwrap_or_default();
            let is_other = |code: &str| !stated.is_empty() && !code.eq_ignore_ascii_case(stated);
            if currency.as_str().is_some_and(is_other) {
                self.refuse(BESIDE, "Must be the currency of estimated_value.");
                return;
            }
            money.insert("currency".to_owned(), currency);
        }
        self.body.insert(name.to_owned(), Json::Object(money));
    }
}
