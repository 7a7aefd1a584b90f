use super::*;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value as Json, json};

const SECRET: &[u8] = b"a secret of at least 32 octets!!";
const NOW: Duration = Duration::from_secs(1_800_000_000);

fn in_seconds(seconds: i64) -> i64 {
    1_800_000_000 + seconds
}

fn claims() -> Json {
    json!({"sub": "joe", "role": "user", "exp": in_seconds(60)})
}

fn signed(claims: &Json) -> String {
    encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(SECRET)).expect("a token")
}

fn config() -> JwtConfig {
    JwtConfig::new(KeyRing::new(vec![JwtKey::secret(SECRET)]))
}

/// The claims with one of them changed; null takes it out.
fn with(key: &str, value: Json) -> String {
    let mut claims = claims();
    claims[key] = value;
    claims.as_object_mut().expect("claims").retain(|_, value| !value.is_null());
    signed(&claims)
}

#[test]
fn good_tokens_are_read() {
    let bearer = config().read(&signed(&claims()), NOW).expect("a good token");
    assert_eq!((&*bearer.authid, bearer.grant.role.as_deref(), bearer.grant.realm), ("joe", Some("user"), None));
    assert_eq!(bearer.expires, Some(NOW + Duration::from_secs(90)));
    let mut mapped = config();
    mapped.authid_claim = "email".into();
    mapped.role = Some("guest".into());
    mapped.realm_claim = Some("tenant".into());
    mapped.extra_claims = vec!["floor".into(), "none".into()];
    let claims = json!({"email": "joe@x", "tenant": "realm7", "floor": {"number": [3, -1, 0.5]}, "exp": in_seconds(1)});
    let bearer = mapped.read(&signed(&claims), NOW).expect("a good token");
    assert_eq!((&*bearer.authid, bearer.grant.role.as_deref()), ("joe@x", Some("guest")));
    assert_eq!(bearer.grant.realm.as_deref(), Some("realm7"));
    let floor = Dict::new().with("number", Value::List(vec![3.into(), Value::Int(-1), Value::Float(0.5)]));
    assert_eq!(bearer.grant.extra, Dict::new().with("floor", floor));
}

#[test]
fn times_are_kept() {
    let good = |key: &str, value: Json| config().read(&with(key, value), NOW).is_some();
    for (key, value, is_good) in [
        ("exp", json!(in_seconds(-29)), true),
        ("exp", json!(in_seconds(-30)), false),
        ("exp", json!(1_800_000_000.5), true),
        ("exp", json!("1800000060"), false),
        ("exp", json!(-1), false),
        ("exp", json!(1e300), false),
        ("exp", Json::Null, false),
        ("nbf", json!(in_seconds(30)), true),
        ("nbf", json!(in_seconds(31)), false),
        ("iat", json!(in_seconds(31)), false),
        ("iat", json!(in_seconds(-1000)), true),
    ] {
        assert_eq!(good(key, value.clone()), is_good, "{key} {value}");
    }
    let free = JwtConfig { expiry_required: false, ..config() };
    assert_eq!(free.read(&with("exp", Json::Null), NOW).map(|bearer| bearer.expires), Some(None));
    assert!(free.read(&with("exp", json!(in_seconds(-31))), NOW).is_none());
}

#[test]
fn tokens_are_for_us_or_refused() {
    let ours = JwtConfig { issuer: Some("me".into()), audience: Some("corebar".into()), ..config() };
    let good = |config: &JwtConfig, iss: Json, aud: Json| {
        let mut claims = claims();
        (claims["iss"], claims["aud"]) = (iss, aud);
        claims.as_object_mut().expect("claims").retain(|_, value| !value.is_null());
        config.read(&signed(&claims), NOW).is_some()
    };
    assert!(good(&ours, json!("me"), json!("corebar")) && good(&ours, json!("me"), json!(["x", "corebar"])));
    for (iss, aud) in [
        (json!("you"), json!("corebar")),
        (Json::Null, json!("corebar")),
        (json!("me"), json!("other")),
        (json!("me"), json!(["other"])),
        (json!("me"), Json::Null),
        (json!(["me"]), json!("corebar")),
    ] {
        assert!(!good(&ours, iss.clone(), aud.clone()), "{iss} {aud}");
    }
    assert!(good(&config(), json!("any"), Json::Null) && !good(&config(), Json::Null, json!("other")));
}

#[test]
fn who_is_not_named_is_refused() {
    for (key, value) in
        [("sub", Json::Null), ("sub", json!("")), ("sub", json!(7)), ("role", Json::Null), ("role", json!(["user"]))]
    {
        assert!(config().read(&with(key, value.clone()), NOW).is_none(), "{key} {value}");
    }
    let tenants = JwtConfig { realm_claim: Some("tenant".into()), ..config() };
    assert!(tenants.read(&signed(&claims()), NOW).is_none(), "a realm is demanded");
}

/// A key pair made by another library: its private key, and its public key in PEM.
fn pair(algorithm: &'static rcgen::SignatureAlgorithm) -> (rcgen::KeyPair, String) {
    let key = rcgen::KeyPair::generate_for(algorithm).expect("a key");
    let public = key.public_key_pem();
    (key, public)
}

#[test]
fn each_algorithm_has_its_keys() {
    let (ec, ec_public) = pair(&rcgen::PKCS_ECDSA_P256_SHA256);
    let (ed, ed_public) = pair(&rcgen::PKCS_ED25519);
    let ec_key = EncodingKey::from_ec_pem(ec.serialize_pem().as_bytes()).expect("a key");
    let ed_key = EncodingKey::from_ed_pem(ed.serialize_pem().as_bytes()).expect("a key");
    let token = |algorithm, key| encode(&Header::new(algorithm), &claims(), key).expect("a token");
    let (by_ec, by_ed) = (token(Algorithm::ES256, &ec_key), token(Algorithm::EdDSA, &ed_key));
    let reads = |algorithm, public: &str, token: &str| {
        let key = JwtKey::pem(algorithm, public.as_bytes()).expect("a public key");
        JwtConfig::new(KeyRing::new(vec![key])).read(token, NOW).is_some()
    };
    assert!(reads(Algorithm::ES256, &ec_public, &by_ec) && reads(Algorithm::EdDSA, &ed_public, &by_ed));
    assert!(!reads(Algorithm::ES256, &ec_public, &by_ed) && !reads(Algorithm::EdDSA, &ed_public, &by_ec));
    let (_, other) = pair(&rcgen::PKCS_ED25519);
    assert!(!reads(Algorithm::EdDSA, &other, &by_ed));
    assert!(JwtKey::pem(Algorithm::RS256, ed_public.as_bytes()).is_err(), "another kind of key");
    let (_, longer) = pair(&rcgen::PKCS_ECDSA_P384_SHA384);
    assert!(JwtKey::pem(Algorithm::ES256, longer.as_bytes()).is_err(), "another curve");
    assert!(JwtKey::pem(Algorithm::HS256, ed_public.as_bytes()).is_err(), "a public key is no secret");
    // Whoever knows the public key must not be able to sign with it as with a secret.
    let confused = token(Algorithm::HS256, &EncodingKey::from_secret(ec_public.as_bytes()));
    assert!(!reads(Algorithm::ES256, &ec_public, &confused));
    let only_ed = JwtConfig { algorithms: vec![Algorithm::EdDSA], ..config() };
    assert!(only_ed.read(&signed(&claims()), NOW).is_none(), "HS256 is not accepted");
}

/// Signed by OpenSSL 3 with a key of 2048 bits: `{"sub":"joe","role":"user","exp":1800000060}`.
#[test]
fn rsa_signatures_are_verified() {
    let public = include_bytes!("rsa.pem");
    // 2040 bits.
    assert!(JwtKey::pem(Algorithm::RS256, include_bytes!("short.pem")).is_err(), "a key that is too short");
    let set = |bits: usize| {
        let modulus = data_encoding::BASE64URL_NOPAD.encode(&vec![0xff; bits / 8]);
        JwtKey::set(&json!({"keys": [{"kty": "RSA", "n": modulus, "e": "AQAB"}]}).to_string())
    };
    assert!(set(2048).is_ok() && set(2040).is_err());
    let token = include_str!("rsa.token").trim();
    let config = JwtConfig::new(KeyRing::new(vec![JwtKey::pem(Algorithm::RS256, public).expect("a key")]));
    assert!(config.read(token, NOW).is_some());
    let (head, signature) = token.rsplit_once('.').expect("three parts");
    let other: String = signature.chars().rev().collect();
    assert!(config.read(&format!("{head}.{other}"), NOW).is_none());
}

#[test]
fn garbage_is_refused() {
    let good = signed(&claims());
    let parts: Vec<&str> = good.split('.').collect();
    let none = data_encoding::BASE64URL_NOPAD.encode(br#"{"alg":"none"}"#);
    let critical = data_encoding::BASE64URL_NOPAD.encode(br#"{"alg":"HS256","crit":["exp"]}"#);
    let huge = with("more", json!("x".repeat(20_000)));
    for token in [
        String::new(),
        "..".into(),
        "a.b.c".into(),
        format!("{none}.{}.", parts[1]),
        format!("{none}.{}.{}", parts[1], parts[2]),
        format!("{critical}.{}.{}", parts[1], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{good}.x"),
        format!("{good} "),
        huge,
    ] {
        assert!(config().read(&token, NOW).is_none(), "{token:.80}");
    }
    let other = encode(&Header::default(), &claims(), &EncodingKey::from_secret(b"another secret")).expect("a token");
    assert!(config().read(&other, NOW).is_none());
}

#[test]
fn keys_are_chosen_by_name_and_replaced() {
    let secret = |text: &[u8]| data_encoding::BASE64URL_NOPAD.encode(text);
    let set = |keys: Json| JwtKey::set(&json!({"keys": keys}).to_string());
    let key = |kid: &str, text: &[u8]| json!({"kty": "oct", "kid": kid, "alg": "HS256", "k": secret(text)});
    let ring = KeyRing::new(
        set(json!([key("old", b"an old secret of at least 32 octets"), key("new", SECRET)])).expect("keys"),
    );
    let config = JwtConfig::new(ring.clone());
    let token = |kid: Option<&str>| {
        let header = Header { kid: kid.map(str::to_owned), ..Header::new(Algorithm::HS256) };
        encode(&header, &claims(), &EncodingKey::from_secret(SECRET)).expect("a token")
    };
    let reads = |kid: Option<&str>| config.read(&token(kid), NOW).is_some();
    assert_eq!([Some("new"), Some("old"), Some("other"), None].map(reads), [true, false, false, true]);
    ring.replace(set(json!([key("newest", SECRET)])).expect("a key"));
    assert_eq!([Some("new"), Some("newest")].map(reads), [false, true]);
    for unusable in [
        json!([]),
        json!([{"kty": "oct", "k": secret(SECRET), "use": "enc"}]),
        json!([{"kty": "oct", "k": secret(SECRET), "alg": "HS512"}]),
        json!([{"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"}]),
        json!([{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]),
        json!([{"kty": "OKP", "crv": "Ed25519", "x": "AA"}]),
        json!([{"kty": "oct", "k": secret(b"short")}]),
    ] {
        assert!(set(unusable.clone()).is_err(), "{unusable}");
    }
    assert!(JwtKey::set("{").is_err());
}
