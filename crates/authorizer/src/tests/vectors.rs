//! Examples of the RFCs, typed in: [RFC 7515] appendices A and E, [RFC 7520] section 4, [RFC 7797]
//! section 4, [RFC 8037] appendix A.
//!
//! Only the payload of RFC 7515 A.1–A.3 is claims. It expired in 2011, so the decision is asked for
//! a time before that; of the others the signature is checked by itself. And the forms of an ECDSA
//! signature that a library may take, but JWS does not have.
//!
//! [RFC 7515]: https://www.rfc-editor.org/rfc/rfc7515#appendix-A
//! [RFC 7520]: https://www.rfc-editor.org/rfc/rfc7520#section-4
//! [RFC 7797]: https://www.rfc-editor.org/rfc/rfc7797#section-4
//! [RFC 8037]: https://www.rfc-editor.org/rfc/rfc8037#appendix-A

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

/// RFC 7515 A.4.
const A4_KEY: &str = r#"{"kty":"EC","crv":"P-521","x":"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk","y":"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"}"#;

/// RFC 7520 3.1, 3.3 and 3.5.
const EC_KEY: &str = r#"{"kty":"EC","kid":"bilbo.baggins@hobbiton.example","use":"sig","crv":"P-521","x":"AHKZLLOsCOzz5cY97ewNUajB957y-C-U88c3v13nmGZx6sYl_oJXu9A5RkTKqjqvjyekWF-7ytDyRXYgCF5cj0Kt","y":"AdymlHvOiLxXkEhayXQnNCvDX4h9htZaCJN34kfmC6pV5OhQHiraVySsUdaQkAgDPrwQrJmbnX9cwlGfP-HqHZR1"}"#;
const RSA_KEY: &str = r#"{"kty":"RSA","kid":"bilbo.baggins@hobbiton.example","use":"sig","n":"n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw","e":"AQAB"}"#;
const HMAC_KEY: &str = r#"{"kty":"oct","kid":"018c0ae5-4d9b-471b-bfd6-eef314bc7037","use":"sig","alg":"HS256","k":"hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg"}"#;

/// The payload of RFC 7520 section 4.
const FRODO: &str = "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4";
/// Protected header and signature of RFC 7520 4.4, and of its detached form 4.5.
const HMAC_HEADER: &str =
    "eyJhbGciOiJIUzI1NiIsImtpZCI6IjAxOGMwYWU1LTRkOWItNDcxYi1iZmQ2LWVlZjMxNGJjNzAzNyJ9";
const HMAC_SIGNATURE: &str = "s0h6KThzkfBBBkLspW1h84VsJZFTsPPqMDA7g1Md7p0";
/// Signatures of RFC 7520 4.8 by the RSA and the EC key, and of 4.6.
const RSA_SIGNATURE: &str = "MIsjqtVlOpa71KE-Mss8_Nq2YH4FGhiocsqrgi5NvyG53uoimic1tcMdSg-qptrzZc7CG6Svw2Y13TDIqHzTUrL_lR2ZFcryNFiHkSw129EghGpwkpxaTn_THJTCglNbADko1MZBCdwzJxwqZc-1RlpO2HibUYyXSwO97BSe0_evZKdjvvKSgsIqjytKSeAMbhMBdMma622_BG5t4sdbuCHtFjp9iJmkio47AIwqkZV1aIZsv33uPUqBBCXbYoQJwt7mxPftHmNlGoOSMxR_3thmXTCm4US-xiNOyhbm8afKK64jU6_TPtQHiJeQJxz9G3Tx-083B745_AfYOnlC9w";
const EC_SIGNATURE: &str = "ARcVLnaJJaUWG8fG-8t5BREVAuTY8n8YHjwDO1muhcdCoFZFFjfISu0Cdkn9Ybdlmi54ho0x924DUz8sK7ZXkhc7AFM8ObLfTvNCrqcI3Jkl2U5IX3utNhODH6v7xgy1Qahsn0fyb4zSAkje8bAWz4vIfj5pCMYxxm4fgV3q7ZYhm5eD";
const PARTLY_PROTECTED_SIGNATURE: &str = "bWUSVaxorn7bEF1djytBd0kHv70Ly5pvbomzMWSOr20";

/// Protected header and signature of RFC 7797 4.2 over the payload `$.02` as it is.
const UNENCODED_HEADER: &str = "eyJhbGciOiJIUzI1NiIsImI2NCI6ZmFsc2UsImNyaXQiOlsiYjY0Il19";
const UNENCODED_SIGNATURE: &str = "A5dxf2s96_n5FLueVuW1Z_vh161FwXZC4YLPff6dmDY";

/// Payloads that are no claims: section, algorithm, key, protected header, payload, signature.
const OTHER_PAYLOADS: [[&str; 6]; 12] = [
    [
        "7515 A.4",
        "ES512",
        A4_KEY,
        "eyJhbGciOiJFUzUxMiJ9",
        "UGF5bG9hZA",
        "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn",
    ],
    [
        "7520 4.1",
        "RS256",
        RSA_KEY,
        "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9",
        FRODO,
        "MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx996ivp83xuglII7PNDi84wnB-BDkoBwA78185hX-Es4JIwmDLJK3lfWRa-XtL0RnltuYv746iYTh_qHRD68BNt1uSNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnHXFxnt8Is9UzpERV0ePPQdLuW3IS_de3xyIrDaLGdjluPxUAhb6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_fcIe8u9ipH84ogoree7vjbU5y18kDquDg",
    ],
    [
        "7520 4.2",
        "PS384",
        RSA_KEY,
        "eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9",
        FRODO,
        "cu22eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-tPid6VrklHkqsGqDqHCdP6O8TTB5dDDItllVo6_1OLPpcbUrhiUSMxbbXUvdvWXzg-UD8biiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqrYRXe8P_ijQ7p8Vdz0TTrxUeT3lm8d9shnr2lfJT8ImUjvAA2Xez2Mlp8cBE5awDzT0qI0n6uiP1aCN_2_jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6GYmJUAfmWjwZ6oD4ifKo8DYM-X72Eaw",
    ],
    [
        "7520 4.3",
        "ES512",
        EC_KEY,
        "eyJhbGciOiJFUzUxMiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9",
        FRODO,
        "AE_R_YZCChjn4791jSQCrdPZCNYqHXCTZH0-JZGYNlaAjP2kqaluUIIUnC9qvbu9Plon7KRTzoNEuT4Va2cmL1eJAQy3mtPBu_u_sDDyYjnAMDxXPn7XrT0lw-kvAD890jl8e2puQens_IEKBpHABlsbEPX6sFY8OcGDqoRuBomu9xQ2",
    ],
    ["7520 4.4", "HS256", HMAC_KEY, HMAC_HEADER, FRODO, HMAC_SIGNATURE],
    ["7520 4.6", "HS256", HMAC_KEY, "eyJhbGciOiJIUzI1NiJ9", FRODO, PARTLY_PROTECTED_SIGNATURE],
    // Nothing of the header is protected.
    ["7520 4.7", "HS256", HMAC_KEY, "", FRODO, "xuLifqLGiblpv9zBpuZczWhNj1gARaLV3UxvxhJxZuk"],
    ["7520 4.8, first", "RS256", RSA_KEY, "eyJhbGciOiJSUzI1NiJ9", FRODO, RSA_SIGNATURE],
    ["7520 4.8, second", "ES512", EC_KEY, "", FRODO, EC_SIGNATURE],
    [
        "7797 4.1",
        "HS256",
        A1_KEY,
        "eyJhbGciOiJIUzI1NiJ9",
        "JC4wMg",
        "5mvfOroL-g7HyqJoozehmsaqmvTYGEq5jTI1gVvoEoQ",
    ],
    ["7797 4.2", "HS256", A1_KEY, UNENCODED_HEADER, "$.02", UNENCODED_SIGNATURE],
    [
        "8037 A.4",
        "EdDSA",
        ED_KEY,
        "eyJhbGciOiJFZERTQSJ9",
        "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    ],
];

fn config_with(jwk: &str, algorithm: &str) -> Value {
    json!({
        "sources": ["header:Authorization"],
        "principal_claim": "iss",
        "issuers": [{
            "issuer": "joe", "audience": "any", "algorithms": [algorithm],
            "keys": [format!("jwk:env:{jwk}")],
        }],
    })
}

fn gate(jwk: &str, algorithm: &str) -> Gate {
    Gate::new(config_with(jwk, algorithm))
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
fn signatures_over_other_payloads_verify_and_are_no_token() {
    for [section, algorithm, jwk, header, payload, signature] in OTHER_PAYLOADS {
        let gate = gate(jwk, algorithm);
        let key = gate.keys.find(0, Algorithm::parse(algorithm).unwrap(), None).unwrap();
        let signed = format!("{header}.{payload}");
        let raw = URL_SAFE_NO_PAD.decode(signature).unwrap();
        assert!(key.verify(signed.as_bytes(), &raw), "{section}");
        assert!(!key.verify(&signed.as_bytes()[1..], &raw), "{section}");
        let refused = reason(ask(&gate, &format!("{signed}.{signature}"), 0));
        assert_eq!(refused, Some(Denial::TokenMalformed), "{section}");
    }
}

/// RFC 7515 A.5 and E, and RFC 7797 4.2 with its payload encoded, whatever the key.
#[test]
fn unsecured_and_unknown_critical_examples_are_refused() {
    let claims = A1_TOKEN.split('.').nth(1).unwrap();
    let unsecured = format!("eyJhbGciOiJub25lIn0.{claims}.");
    let undefined = "eyJhbGciOiJub25lIiwNCiAiY3JpdCI6WyJodHRwOi8vZXhhbXBsZS5jb20vVU5ERUZJTkVEIl0sDQogImh0dHA6Ly9leGFtcGxlLmNvbS9VTkRFRklORUQiOnRydWUNCn0.RkFJTA.";
    let unencoded = format!("{UNENCODED_HEADER}.JC4wMg.{UNENCODED_SIGNATURE}");
    for (jwk, algorithm) in
        [(A1_KEY, "HS256"), (A2_KEY, "RS256"), (A3_KEY, "ES256"), (ED_KEY, "EdDSA")]
    {
        let gate = gate(jwk, algorithm);
        let ask = |token: &str| reason(ask(&gate, token, EXP - 1));
        assert_eq!(ask(&unsecured), Some(Denial::TokenAlgorithm), "{algorithm}");
        assert_eq!(ask(undefined), Some(Denial::TokenCritical), "{algorithm}");
        assert_eq!(ask(&unencoded), Some(Denial::TokenCritical), "{algorithm}");
    }
}

/// RFC 7520 4.5 and RFC 7797 4.2; RFC 7515 A.6 and A.7, RFC 7520 4.6 to 4.8.
#[test]
fn detached_and_json_forms_are_no_tokens() {
    let (a2, a3) = (A2_TOKEN.split('.'), A3_TOKEN.split('.'));
    let (a2, a3) = (a2.collect::<Vec<_>>(), a3.collect::<Vec<_>>());
    let by_rsa =
        json!({ "protected": a2[0], "header": { "kid": "2010-12-29" }, "signature": a2[2] });
    let ec_kid = json!({ "kid": "e9bc097a-ce51-4036-9562-d2ade882db0d" });
    let by_ec = json!({ "protected": a3[0], "header": ec_kid, "signature": a3[2] });
    let partly = json!({
        "payload": FRODO,
        "protected": "eyJhbGciOiJIUzI1NiJ9",
        "header": { "kid": "018c0ae5-4d9b-471b-bfd6-eef314bc7037" },
        "signature": PARTLY_PROTECTED_SIGNATURE,
    });
    let bilbo = "bilbo.baggins@hobbiton.example";
    let several = json!({ "payload": FRODO, "signatures": [
        { "protected": "eyJhbGciOiJSUzI1NiJ9", "header": { "kid": bilbo }, "signature": RSA_SIGNATURE },
        { "header": { "alg": "ES512", "kid": bilbo }, "signature": EC_SIGNATURE },
        { "protected": HMAC_HEADER, "signature": HMAC_SIGNATURE },
    ]});
    let tokens = [
        format!("{HMAC_HEADER}..{HMAC_SIGNATURE}"),
        format!("{UNENCODED_HEADER}..{UNENCODED_SIGNATURE}"),
        json!({ "payload": a3[1], "signatures": [by_rsa, by_ec] }).to_string(),
        merged(json!({ "payload": a3[1] }), by_ec).to_string(),
        partly.to_string(),
        several.to_string(),
    ];
    let keys = [
        (A1_KEY, "HS256"),
        (A2_KEY, "RS256"),
        (A3_KEY, "ES256"),
        (HMAC_KEY, "HS256"),
        (RSA_KEY, "RS256"),
        (EC_KEY, "ES512"),
    ];
    for (jwk, algorithm) in keys {
        let gate = gate(jwk, algorithm);
        for token in &tokens {
            let refused = reason(ask(&gate, token, EXP - 1));
            assert_eq!(refused, Some(Denial::TokenMalformed), "{algorithm}: {token}");
        }
    }
}

/// RFC 8037 A.1, A.6 and A.7: a private key, and keys for agreement.
#[test]
fn keys_that_are_not_for_checking_signatures_are_refused() {
    for jwk in [
        r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
        r#"{"kty":"OKP","crv":"X25519","kid":"Bob","x":"3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08"}"#,
        r#"{"kty":"OKP","crv":"X448","kid":"Dave","x":"PreoKbDNIPW8_AtZm2_sz22kYnEHvbDU80W0MCfYuXL8PjT7QjKhPQcG3LV67D2uB73BxnvzNgk"}"#,
    ] {
        assert!(Gate::try_new(&config_with(jwk, "EdDSA")).is_err(), "{jwk}");
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
