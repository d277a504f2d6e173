//! JSON text, read once without building a tree.

use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::NotJson;

/// The raw JSON text at the member path `members` of the document `json`.
///
/// The whole of `json` is checked: what follows the member counts too, and a
/// text that is not one JSON document is [`NotJson`]. Of members with the same
/// name the last one counts. No members name the document itself. Costs one
/// pass and allocates only for names spelled with escapes.
///
/// Nesting deeper than 128 is not followed below the member path's own objects.
///
/// ```
/// let names = ["data".to_owned(), "room".to_owned()];
/// let raw = jsonpath::scan_member(r#"{"data":{"room": 7}}"#, &names);
/// assert_eq!(raw.unwrap().unwrap().get(), "7");
/// ```
pub fn scan_member<'j>(json: &'j str, members: &[String]) -> Result<Option<&'j RawValue>, NotJson> {
    let mut reader = serde_json::Deserializer::from_str(json);
    let raw = Member(members).deserialize(&mut reader).map_err(|_| NotJson)?;
    reader.end().map_err(|_| NotJson)?;
    Ok(raw)
}

/// Looks for a member path in the next value.
struct Member<'m>(&'m [String]);

impl<'j> DeserializeSeed<'j> for Member<'_> {
    type Value = Option<&'j RawValue>;

    fn deserialize<D: serde::Deserializer<'j>>(self, reader: D) -> Result<Self::Value, D::Error> {
        if self.0.is_empty() {
            return <&RawValue as serde::Deserialize>::deserialize(reader).map(Some);
        }
        reader.deserialize_any(self)
    }
}

impl<'j> Visitor<'j> for Member<'_> {
    type Value = Option<&'j RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'j>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Some((wanted, rest)) = self.0.split_first() else { return Ok(None) };
        let mut found = None;
        while let Some(is_wanted) = map.next_key_seed(Name(wanted))? {
            if is_wanted {
                found = map.next_value_seed(Member(rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'j>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// Whether the next member name is the wanted one.
struct Name<'m>(&'m str);

impl<'j> DeserializeSeed<'j> for Name<'_> {
    type Value = bool;

    fn deserialize<D: serde::Deserializer<'j>>(self, reader: D) -> Result<bool, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}
