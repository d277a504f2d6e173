//! Examples of the RFCs, typed in: [RFC 7515 A.1–A.3], [RFC 8037 A.4].
//!
//! The tokens of RFC 7515 expired in 2011, so the decision is asked for a time before that; the
//! payload of RFC 8037 is no JSON, so its signature is checked by itself.
//!
//! [RFC 7515 A.1–A.3]: https://www.rfc-editor.org/rfc/rfc7515#appendix-A
//! [RFC 8037 A.4]: https://www.rfc-editor.org/rfc/rfc8037#appendix-A.4

use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

/// `exp` of the payload of RFC 7515 A.1.1.
const EXP: u64 = 1_300_819_380;

const A1_KEY: &str = r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#;
const A1_TOKEN: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

const A2_KEY: &str = r#"{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}"#;
const A2_TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";

const A3_KEY: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
const A3_TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

const ED_KEY: &str =
    r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
const ED_TOKEN: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

fn gate(jwk: &str, algorithm: &str) -> Gate {
    Gate::new(json!({
        "sources": ["header:Authorization"],
        "principal_claim": "iss",
        "issuers": [{
            "issuer": "joe", "audience": "any", "algorithms": [algorithm],
            "keys": [format!("jwk:env:{jwk}")],
        }],
    }))
}

fn ask(gate: &Gate, token: &str, now: u64) -> Result<Grant, Denial> {
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_bytes())];
    let request = Request { headers: &headers, query: &[], method_arn: "" };
    gate.authorizer.authorize(&request, &gate.keys, now)
}

#[test]
fn rfc_7515_examples_pass_until_they_expire() {
    for (jwk, algorithm, token) in
        [(A1_KEY, "HS256", A1_TOKEN), (A2_KEY, "RS256", A2_TOKEN), (A3_KEY, "ES256", A3_TOKEN)]
    {
        let gate = gate(jwk, algorithm);
        let grant = ask(&gate, token, EXP - 1).unwrap();
        assert_eq!((grant.principal_id.as_str(), grant.deadline), ("joe", EXP + 5));
        assert_eq!(reason(ask(&gate, token, EXP + 5)), Some(Denial::TokenExpired));
        let tampered = token.replacen(".eyJpc3MiOiJqb2Ui", ".eyJpc3MiOiJqb2Ug", 1);
        assert_ne!(tampered, token);
        assert!(ask(&gate, &tampered, EXP - 1).is_err());
    }
}

#[test]
fn rfc_8037_signature_verifies() {
    let gate = gate(ED_KEY, "EdDSA");
    let key = gate.keys.find(0, Algorithm::Ed25519, None).unwrap();
    let (message, signature) = ED_TOKEN.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    assert!(key.verify(message.as_bytes(), &signature));
    assert!(!key.verify(&message.as_bytes()[1..], &signature));
    assert_eq!(reason(ask(&gate, ED_TOKEN, 0)), Some(Denial::TokenMalformed));
}
