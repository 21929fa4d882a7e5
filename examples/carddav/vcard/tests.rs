//! Cards as phones and servers write them.

use serde_json::{Value, json};

use super::contact::{FIELDS, read, write};
use crate::connector::Values;

const PHONE: &str = "BEGIN:VCARD\r\nVERSION:3.0\r\nPRODID:-//Phone//EN\r\nN:O'Leary;Ann;Mary;Dr.;\r\nFN:Dr. Ann Mary O'Leary\r\n\
    EMAIL;type=INTERNET;type=HOME;type=pref:ann@home.example\r\nEMAIL;type=INTERNET:ann@example.org\r\n\
    item1.TEL;type=pref:+31 6 1234\r\nitem1.X-ABLabel:_$!<Other>!$_\r\nTEL;TYPE=\"work,voice\":+31 20 1\r\n\
    NOTE:one\\, two\\; three\\nfour \\\\ five\r\nADR;TYPE=HOME:;Flat 2;Main Street 1;Amsterdam;NH;1011 AB;NL\r\n\
    PHOTO;ENCODING=b;TYPE=JPEG:AAAA\r\n BBBB\r\nX-CUSTOM;X-PARAM=\"a:b;c\":untouched\r\nUID:abc\r\nEND:VCARD\r\n";

fn values(text: &str) -> Values {
    read(text).unwrap()
}

#[test]
fn a_card_of_a_phone_is_read() {
    let values = values(PHONE);
    let expected = json!({"first_name": "Ann", "last_name": "O'Leary", "name_prefix": "Dr.", "email": "ann@example.org",
        "home_email": "ann@home.example", "work_email": null, "phone": "+31 6 1234", "home_phone": null,
        "work_phone": "+31 20 1", "title": null, "website": null, "background_info": "one, two; three\nfour \\ five",
        "address": {"address_line_1": "Main Street 1", "address_line_2": "Flat 2", "city": "Amsterdam", "state": "NH",
            "zip": "1011 AB", "country": "NL"}});
    assert_eq!(json!(values), expected);
}

#[test]
fn a_card_that_does_not_change_keeps_every_line() {
    let unfolded = |text: &str| text.replace("\r\n ", "");
    assert_eq!(unfolded(&write(Some(PHONE), "", &values(PHONE)).unwrap()), unfolded(PHONE));
}

#[test]
fn a_change_of_an_attribute_changes_one_property() {
    let mut changed = values(PHONE);
    changed.insert("phone".to_owned(), json!("+31 6 99"));
    let text = write(Some(PHONE), "", &changed).unwrap();
    assert_eq!(text.replace("\r\n ", ""), PHONE.replace("\r\n ", "").replace("+31 6 1234", "+31 6 99"));
}

#[test]
fn a_removed_attribute_takes_its_label_along() {
    let mut changed = values(PHONE);
    changed.insert("phone".to_owned(), Value::Null);
    let text = write(Some(PHONE), "", &changed).unwrap();
    assert!(!text.contains("item1") && text.contains("X-CUSTOM;X-PARAM=\"a:b;c\":untouched"), "{text}");
}

#[test]
fn a_new_card_holds_all_attributes() {
    let mut all = values(PHONE);
    all.insert("title".to_owned(), json!("Häuptling; \"Sales\", 日本".repeat(5)));
    all.insert("website".to_owned(), json!("https://example.org/?a=1;b"));
    all.insert("work_email".to_owned(), json!("ann@work.example"));
    all.insert("home_phone".to_owned(), json!("020 1"));
    let text = write(None, "abc", &all).unwrap();
    assert_eq!(values(&text), all);
    assert!(text.lines().all(|line| line.len() <= 75), "{text}");
    assert!(text.contains("FN:Dr. Ann O'Leary") && text.contains("UID:abc"), "{text}");
}

#[test]
fn every_attribute_can_be_set_and_cleared_on_every_card() {
    let bare = "BEGIN:VCARD\nVERSION:4.0\nFN:Acme Trading\nEND:VCARD\n";
    for card in [PHONE, bare] {
        for field in FIELDS {
            let mut changed = values(card);
            let value = if field == "address" { values(PHONE)["address"].clone() } else { json!("new, value") };
            changed.insert(field.to_owned(), value);
            let text = write(Some(card), "", &changed).unwrap();
            assert_eq!(values(&text), changed, "{text}");
            if !matches!(field, "first_name" | "last_name") {
                let nothing = if field == "address" { values(bare)["address"].clone() } else { Value::Null };
                changed.insert(field.to_owned(), nothing);
                let text = write(Some(&text), "", &changed).unwrap();
                assert_eq!(values(&text), changed, "{text}");
            }
        }
    }
}

#[test]
fn a_formatted_name_alone_is_split() {
    let of = |name: &str| values(&format!("BEGIN:VCARD\nVERSION:4.0\nFN:{name}\nEND:VCARD\n"));
    assert_eq!(
        (&of("Ann Mary Lee")["first_name"], &of("Ann Mary Lee")["last_name"]),
        (&json!("Ann Mary"), &json!("Lee"))
    );
    assert_eq!((&of("Acme")["first_name"], &of("Acme")["last_name"]), (&Value::Null, &json!("Acme")));
}

#[test]
fn a_text_that_is_no_card_is_refused() {
    for text in ["", "hello", "BEGIN:VCARD\nVERSION:3.0\n", "BEGIN:VCARD\nnonsense\nEND:VCARD"] {
        assert!(read(text).is_err(), "{text:?}");
    }
}
