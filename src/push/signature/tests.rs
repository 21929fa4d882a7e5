use proptest::prelude::*;

use super::*;

/// The vector that the reference libraries of Standard Webhooks test with; computed again with Python's
/// `hmac` and with Python's library `standardwebhooks` 1.1.0.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const TIMESTAMP: i64 = 1_614_265_330;
const BODY: &[u8] = br#"{"test": 2432232314}"#;
const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

fn secret(text: &str) -> SigningSecret {
    SigningSecret::parse(text).expect("a valid secret")
}

#[test]
fn signs_the_vector_of_the_reference_libraries() {
    assert_eq!(sign(&[secret(SECRET)], ID, TIMESTAMP, BODY), SIGNATURE);
}

/// Key lengths at both ends of the range, a body that is not UTF-8, an empty body and a time before 1970:
/// made with Python's `hmac`.
#[test]
fn signs_what_python_signs() {
    let shortest = SigningSecret::parse(&format!("whsec_{}", STANDARD.encode([7_u8; 24]))).expect("24 bytes");
    let longest = SigningSecret::parse(&format!("whsec_{}", STANDARD.encode([9_u8; 64]))).expect("64 bytes");
    let generated = SigningSecret::generate([1; 32]);
    assert_eq!(sign(&[shortest], "a", 0, b""), "v1,JA12mD8ndaxQUckzVd74NXNDVkR6h846+GcjbK3TMck=");
    assert_eq!(sign(&[longest], "a", -1, &[0xff, 0x00, 0xfe]), "v1,dYsrMuCcaAvBIwVUf5sU68YqYWm/a4iTeMqVmSgN46k=");
    assert_eq!(
        sign(&[generated], "a", 1, "{\"name\":\"Zoë\"}".as_bytes()),
        "v1,a24E6x8tox4+Nf0oEB20pdOYcaU71LjxnIzLzauhf+Q="
    );
}

#[test]
fn signs_with_every_live_secret_in_order() {
    let other = SigningSecret::generate([3; 32]);
    let alone = sign(std::slice::from_ref(&other), ID, TIMESTAMP, BODY);
    assert_eq!(sign(&[secret(SECRET), other], ID, TIMESTAMP, BODY), format!("{SIGNATURE} {alone}"));
    assert_eq!(sign(&[], ID, TIMESTAMP, BODY), "");
}

#[test]
fn refuses_what_is_no_secret() {
    let too_short = format!("whsec_{}", STANDARD.encode([0_u8; 23]));
    let too_long = format!("whsec_{}", STANDARD.encode([0_u8; 65]));
    for (text, why) in [
        ("", InvalidSecret::Prefix),
        ("whpk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", InvalidSecret::Prefix),
        ("whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", InvalidSecret::Length),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", InvalidSecret::Base64),
        ("whsec_not base64", InvalidSecret::Base64),
        ("whsec_", InvalidSecret::Length),
        (&too_short, InvalidSecret::Length),
        (&too_long, InvalidSecret::Length),
    ] {
        assert_eq!(SigningSecret::parse(text).map(|secret| secret.reveal()), Err(why), "{text}");
    }
}

#[test]
fn shows_itself_only_where_asked() {
    assert_eq!(format!("{:?}", secret(SECRET)), "Secret(redacted)");
    assert_eq!(secret(SECRET).reveal(), SECRET);
}

proptest! {
    #[test]
    fn reveal_and_parse_are_inverse(random: [u8; 32]) {
        let secret = SigningSecret::generate(random);
        let again = SigningSecret::parse(&secret.reveal()).expect("what we reveal we read");
        prop_assert_eq!(again.reveal(), secret.reveal());
        prop_assert_eq!(sign(&[again], ID, TIMESTAMP, BODY), sign(&[secret], ID, TIMESTAMP, BODY));
    }
}
