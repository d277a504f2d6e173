use aws_lc_rs::{hmac, rand};
use jsonwebtoken::{EncodingKey, Header, encode, get_current_timestamp};
use serde_json::json;

pub fn mint(user: &str, jwt_key: &str, csrf_key: &str) -> (String, String) {
    let (mut bytes, iat) = ([0; 48], get_current_timestamp());
    rand::fill(&mut bytes).expect("the system has randomness");
    let (sid, random) = (hex::encode(&bytes[..16]), hex::encode(&bytes[16..]));
    let claims = json!({ "iss": "https://login.example.com", "aud": "chat", "sub": user, "sid": sid, "iat": iat, "exp": iat + 900 });
    let jwt = encode(&Header::default(), &claims, &EncodingKey::from_secret(jwt_key.as_bytes()));
    let message = format!("{}!{sid}!{}!{random}", sid.len(), random.len());
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, csrf_key.as_bytes()), message.as_bytes());
    (jwt.expect("HS256 signs any claims"), format!("{}.{random}", hex::encode(mac)))
}
