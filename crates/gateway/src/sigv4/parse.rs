//! Reading of the signature's parts.

use std::borrow::Cow;

use http::HeaderMap;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;

use super::refusal::{Incomplete, Refusal};
use super::{ALGORITHM, EXPIRES_SECONDS_MAX, Received};

/// Where the signature stood.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    Header,
    Query { expires_seconds: Option<i64> },
}

/// A signature whose parts have the right form; nothing is verified yet.
pub(super) struct Signature<'a> {
    pub(super) form: Form,
    pub(super) key_id: String,
    pub(super) day: String,
    pub(super) region: String,
    pub(super) service: String,
    pub(super) terminator: String,
    /// Lower case, sorted, distinct.
    pub(super) signed_headers: Vec<&'a str>,
    pub(super) value: [u8; 32],
    /// `YYYYMMDDThhmmssZ`.
    pub(super) time: String,
    pub(super) epoch: i64,
    /// The header that `time` came from.
    pub(super) date_header: Option<&'static str>,
    pub(super) session_token: Option<Cow<'a, [u8]>>,
}

/// Reads the one signature of a request.
pub(super) fn signature<'a>(received: &Received<'a>) -> Result<Signature<'a>, Refusal> {
    let authorization = one_header(received.headers, "authorization")?;
    for name in ["host", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"] {
        one_header(received.headers, name)?;
    }
    let in_query = pairs(received.raw_query).any(|(name, _)| {
        matches!(&*decoded(name), b"X-Amz-Algorithm" | b"X-Amz-Credential" | b"X-Amz-Signature")
    });
    match (authorization, in_query) {
        (None, false) => Err(Refusal::MissingAuthenticationToken),
        (Some(_), true) => Err(Incomplete::Duplicate.into()),
        (Some(header), false) => in_header(received, header),
        (None, true) => in_query_string(received),
    }
}

fn in_header<'a>(received: &Received<'a>, header: &'a [u8]) -> Result<Signature<'a>, Refusal> {
    let header = std::str::from_utf8(header).map_err(|_| Incomplete::Part)?;
    let (algorithm, parts) = header.trim().split_once(' ').ok_or(Incomplete::Part)?;
    if algorithm != ALGORITHM {
        return Err(Incomplete::Algorithm.into());
    }
    let (mut credential, mut signed_headers, mut value) = (None, None, None);
    for part in parts.split(',') {
        let (name, text) = part.trim().split_once('=').ok_or(Incomplete::Part)?;
        let slot = match name {
            "Credential" => &mut credential,
            "SignedHeaders" => &mut signed_headers,
            "Signature" => &mut value,
            _ => return Err(Incomplete::Part.into()),
        };
        if slot.replace(text).is_some() {
            return Err(Incomplete::Duplicate.into());
        }
    }
    let amz_date = one_header(received.headers, "x-amz-date")?;
    let (date_header, (time, epoch)) = match amz_date {
        Some(text) => ("x-amz-date", iso_date(text)?),
        None => ("date", any_date(one_header(received.headers, "date")?.ok_or(Incomplete::Date)?)?),
    };
    let [key_id, day, region, service, terminator] =
        credential_parts(credential.ok_or(Incomplete::Part)?)?;
    Ok(Signature {
        form: Form::Header,
        key_id,
        day,
        region,
        service,
        terminator,
        signed_headers: header_list(signed_headers.ok_or(Incomplete::Part)?)?,
        value: signature_value(value.ok_or(Incomplete::Part)?)?,
        time,
        epoch,
        date_header: Some(date_header),
        session_token: one_header(received.headers, "x-amz-security-token")?.map(Cow::Borrowed),
    })
}

fn in_query_string<'a>(received: &Received<'a>) -> Result<Signature<'a>, Refusal> {
    let parameter = |wanted: &str| {
        let mut values = pairs(received.raw_query)
            .filter(|(name, _)| *decoded(name) == *wanted.as_bytes())
            .map(|(_, value)| value);
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(Incomplete::Duplicate),
        }
    };
    let text = |name: &str| -> Result<String, Refusal> {
        let value = parameter(name)?.ok_or(Incomplete::Part)?;
        Ok(String::from_utf8(decoded(value).into_owned()).map_err(|_| Incomplete::Part)?)
    };
    if text("X-Amz-Algorithm")? != ALGORITHM {
        return Err(Incomplete::Algorithm.into());
    }
    let expires_seconds = match parameter("X-Amz-Expires")? {
        None => None,
        Some(value) => Some(expires(value).ok_or(Incomplete::Expires)?),
    };
    let date = parameter("X-Amz-Date")?.ok_or(Incomplete::Date)?;
    let (time, epoch) = iso_date(&decoded(date))?;
    let [key_id, day, region, service, terminator] = credential_parts(&text("X-Amz-Credential")?)?;
    // Names of headers need no escape but that of the semicolon between them.
    let listed = parameter("X-Amz-SignedHeaders")?.ok_or(Incomplete::Part)?;
    let signed_headers =
        listed.split(';').flat_map(|part| part.split("%3B")).flat_map(|part| part.split("%3b"));
    Ok(Signature {
        form: Form::Query { expires_seconds },
        key_id,
        day,
        region,
        service,
        terminator,
        signed_headers: checked_headers(signed_headers.collect())?,
        value: signature_value(&text("X-Amz-Signature")?)?,
        time,
        epoch,
        date_header: None,
        session_token: parameter("X-Amz-Security-Token")?.map(decoded),
    })
}

/// The header's value; two lines of it are an error.
fn one_header<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a [u8]>, Incomplete> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value.map(http::HeaderValue::as_bytes)),
        (_, Some(_)) => Err(Incomplete::Duplicate),
    }
}

fn credential_parts(text: &str) -> Result<[String; 5], Incomplete> {
    let mut parts = text.split('/').map(str::to_owned);
    let taken = std::array::from_fn(|_| parts.next().unwrap_or_default());
    let well_formed = parts.next().is_none() && taken.iter().all(|part| !part.is_empty());
    if well_formed { Ok(taken) } else { Err(Incomplete::Credential) }
}

fn header_list(text: &str) -> Result<Vec<&str>, Incomplete> {
    checked_headers(text.split(';').collect())
}

/// Sorted and distinct names: one header can be named, and so hashed, only once.
fn checked_headers(names: Vec<&str>) -> Result<Vec<&str>, Incomplete> {
    let token = |b: u8| b.is_ascii_graphic() && !b.is_ascii_uppercase() && b != b':';
    let well_formed = names.is_sorted_by(|a, b| a < b)
        && names.iter().all(|name| !name.is_empty() && name.bytes().all(token));
    if well_formed { Ok(names) } else { Err(Incomplete::SignedHeaders) }
}

fn signature_value(text: &str) -> Result<[u8; 32], Incomplete> {
    let mut value = [0; 32];
    hex::decode_to_slice(text, &mut value).map_err(|_| Incomplete::Signature)?;
    Ok(value)
}

fn expires(value: &str) -> Option<i64> {
    let digits = !value.is_empty() && value.len() <= 6 && value.bytes().all(|b| b.is_ascii_digit());
    let seconds = digits.then(|| value.parse().ok())??;
    (1..=EXPIRES_SECONDS_MAX).contains(&seconds).then_some(seconds)
}

/// `YYYYMMDDThhmmssZ`, as itself and in epoch seconds.
fn iso_date(text: &[u8]) -> Result<(String, i64), Incomplete> {
    let text = std::str::from_utf8(text).map_err(|_| Incomplete::Date)?.trim();
    let well_formed = text.len() == 16
        && text.bytes().enumerate().all(|(at, b)| match at {
            8 => b == b'T',
            15 => b == b'Z',
            _ => b.is_ascii_digit(),
        });
    let time = well_formed
        .then(|| DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok())
        .flatten()
        .and_then(|time| time.to_zoned(TimeZone::UTC).ok())
        .ok_or(Incomplete::Date)?;
    Ok((text.to_owned(), time.timestamp().as_second()))
}

/// A `Date` header: `YYYYMMDDThhmmssZ`, or the date format of mail and HTTP.
fn any_date(text: &[u8]) -> Result<(String, i64), Incomplete> {
    iso_date(text).or_else(|_| {
        let time: Timestamp =
            rfc2822::DateTimeParser::new().parse_timestamp(text).map_err(|_| Incomplete::Date)?;
        Ok((time.strftime("%Y%m%dT%H%M%SZ").to_string(), time.as_second()))
    })
}

/// The parameters of a query string, undecoded.
pub(super) fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Decodes percent escapes and `+`; what is not an escape stays as it is.
pub(super) fn decoded(text: &str) -> Cow<'_, [u8]> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text.as_bytes());
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let mut escaped = [0];
        let digits = bytes.get(at + 1..at + 3);
        if byte == b'%' && digits.is_some_and(|d| hex::decode_to_slice(d, &mut escaped).is_ok()) {
            out.push(escaped[0]);
            at += 3;
        } else {
            out.push(if byte == b'+' { b' ' } else { byte });
            at += 1;
        }
    }
    Cow::Owned(out)
}
