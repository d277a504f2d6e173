//! Examples of the RFCs, typed in: [RFC 7515 A.1–A.3], [RFC 8037 A.4].
//!
//! The tokens of RFC 7515 expired in 2011, so the decision is asked for a time before that; the
//! payload of RFC 8037 is no JSON, so its signature is checked by itself. And the forms of
//! signatures that a library may take, but JWS does not have.
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

/// A key of OpenSSL's making, and signatures of it over `PSS_SIGNED` with salts of several lengths.
const PSS_KEY: &str = r#"{"kty":"RSA","e":"AQAB","n":"vA6Qa1yfXoqv80T3JSvgK-1q6s-HCkYy37bUxG56w7OYLXQADdWzavwPzTeKWGn-5pPWuiz1NfcVMQAvfsIsy_4TR1dFV21V0mj6E7DsMIqeuVS9aIonyduKEFCp3ZjKxjf1bxsJHdkdnc0aiCr8aiyKFxTX8cjlERhkmsdOkzGyBLyoLfA0WYtFgSAaPB5jTSoNxQdvixC_62KWcKybwoPQRldW_bnwKDk21pdqDt_2MoMd1l27xK-Bc60aBvxhtAUcZNgoxu862l5PLJQAXVr97P7DUQoWtkM3jlkvuG6uY8eZjfSDOyOclc4gMUqlL0RoKekTtVKPpIKwq0yUqw"}"#;
const PSS_SIGNED: &str = "eyJhbGciOiJQUzI1NiJ9.eyJpc3MiOiJqb2UiLCJleHAiOjEzMDA4MTkzODB9";
/// The salt is as long as the hash, as RFC 7518 §3.5 demands.
const PSS_SALT_32: &str = "OGDp6Fk_mc1ctzbfEjHtmQWJob7Mq5mvPOABFRvB6zkNXK7dxyYsAsxy9dESTjZfKSlJYeBi1Vc0JQEaWelHM-2bQx3_2U9bPkPDi677pZu__k10zjgXBIyhsIb2jpUvPgQGjWbr9f5AZ5b2Fzq6Q8JMAhAffSCyubE1qITBEMFumhW-qGT_NI6MNx_pzQ53hTwKPJlY91FbAoQFH7MGYRMQwNP9XPg0r1bhzhMNjhT1PXTg7yeQ8KezJ2t6eeTMNa9uNe4agrSiQjCZfQd0KQbDXPh2VSSiP7wHhR7i9IDqBy-G2siJGP_nUlBfn0-DH2pFTreO32wOec0Q-lEDYw";
/// Salts of 0, 20 and 222 bytes, and one of 32 bytes with SHA-1 in the mask.
const PSS_OTHERS: [&str; 4] = [
    "Fv76XA5zhpXp8YNlj2Rs7r7WspmLVfT332icI5gbNXl4YwZKrDt3dgFoboj0UJv_n_NigxyugxVM99g3UiD_yAGyW5kUkC_8XReNDXpfwIfKxl_LmW5bqGbItdlt5niYrFgrWMk72M04yW1mh0rC8nMbE3P-NPX4Wi_QJZ2iKmby2IzJIwWDdxrLzSScZ2n6IQw6-35l0utLqx048sFW-nANAIZzDVK-zpH6-MmpzzC1Q1GEwxSF8T4mQPCM8gGOFZXw9h6JrQK_nrsgQ_Y4IEpRzGYzQlpPJyzVwXOf1DCke9MHv9pEtXmA7iC96SyDZpk0dnJjhaOkeRDCcto-dg",
    "aJsuVKRyLSvLqeklua6mYNah-1ksogFZ7vq1tVh9D0Zfw--L_ppe29Ky2yUolXgaht281gqbfBFg6Cortyuj6tNQC_45rh5I4weRbkEC_h7Zx5gK1vbjvjWtYsmlaLzJLEJyCMWi0_8KDb_6w2idtT69otjZCDyhf8ozYxMGzoCMBRLPibv1PCFHArcZ_5OKm_iyscdKEFZFCWsqavfpqYbp7MZmXO48e6hiecMsuBd0EWZ6omSHJK5kNWrzc-x5wXtVgAEm00lA6UXf-p84P3XeFb74HOT7HkUayvY4LXUB_kE3-3hYmnzln8_8m02tlgPa0gToveMlM24TeGnorA",
    "UCx5NUmOItiigJf9zLw4zQsbJ0FudV2yKPweh-Lnjx-FvBAPsJWsRq2CytU1NSPeFckRLI9YBevf4R3Tf3ET_nE5NIP0GLqv-TqtaB_XHPcWMuVueP6J3-diMtRB53dQQKlKWGkfFzI_ejYHUrNWktFwOskwdW4kUufz-Kh40At6TEI5di6Thd30dntd3pZ-Rqumuwlvua8hmtfdZPEB5uZrq4s5urOsp0rNWnUQz0r_FuQChFWio85-b5_hIF6TchBlh8ujWSkeAYZ5AxwNWllq0G4CGKce-lbpUlSQn946PShUEUxltRonb5tpVvSDwpMSUH96UKTJGO9sEXCRGg",
    "aIJtpfHt3FIpA6ppqYZa0D4RCQ5989k_nJsPWk4d04NhpinTB-IslqVIFnbAFoz81c_lUi1fakc6wGKUAWPRD_ZkgkhMk-imemqINuAPAURZV_eCn1e2dGWJCSjt5YxHz9uNOhaG2u7hqux_rjyZcxWXs6sqp6fRSnH3vrZ7iQclP-3HR21woCCaHPaJJF5lycn7rbGivCAEk5r4BSg8WyEtuZX26bxOZlppke_urnkL9CTb5g1EMlC-a8NftCdwC1TyYOKYWZKcSozRJ3EGSICM86khkil3inHAOflXMRejxvdiA6CGUzhDIBO8uCYdmgolw4FnicfR9OpD5tNmyQ",
];

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

#[test]
fn the_salt_of_pss_is_as_long_as_the_hash() {
    let gate = gate(PSS_KEY, "PS256");
    let ask = |signature: &str| reason(ask(&gate, &format!("{PSS_SIGNED}.{signature}"), EXP - 1));
    assert_eq!(ask(PSS_SALT_32), None);
    for signature in PSS_OTHERS {
        assert_eq!(ask(signature), Some(Denial::TokenSignature));
    }
}

#[test]
fn ecdsa_signatures_have_one_form() {
    let gate = gate(A3_KEY, "ES256");
    let (signed, signature) = A3_TOKEN.rsplit_once('.').unwrap();
    let raw = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let (r, s) = raw.split_at(32);
    let zeros = [0; 32];
    let order = hex::decode("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    let order = order.unwrap();
    // Both have their high bit clear or get a zero in front, as DER wants it.
    let integer = |n: &[u8]| {
        let padded = [&[0][..usize::from(n[0] >> 7)], n].concat();
        [&[2, padded.len() as u8], padded.as_slice()].concat()
    };
    let body = [integer(r), integer(s)].concat();
    for forged in [
        [&[0x30, body.len() as u8], body.as_slice()].concat(),
        [&[0], r, &[0], s].concat(),
        [&[0], r, s].concat(),
        [r, s, &[0]].concat(),
        [s, r].concat(),
        [&zeros[..], s].concat(),
        [r, &zeros[..]].concat(),
        [order.as_slice(), s].concat(),
        [r, order.as_slice()].concat(),
        r.to_vec(),
    ] {
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(&forged));
        assert_eq!(reason(ask(&gate, &token, EXP - 1)), Some(Denial::TokenSignature), "{forged:?}");
    }
}
