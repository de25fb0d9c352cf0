//! A digest of one manager's fields, made while they are read: the trees themselves are the largest part of an
//! object's metadata.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::digest::{Digest, mix};

/// The fields that one manager owns, as `fieldsV1` lists them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// The sum over the hashes of all paths, so that their order does not matter.
    sum: u64,
    /// Whether `.spec.replicas` is among them.
    pub owns_replicas: bool,
}

impl Fields {
    /// The digest of these fields as they were last written at `time`.
    pub fn digest_at(self, time: &str) -> u64 {
        Digest::new().number(self.sum).text(time).finish()
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Self::default();
        Walk {
            fields: &mut fields,
            path: 0,
            place: Place::Root,
        }
        .deserialize(deserializer)?;
        Ok(fields)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Spec,
    Elsewhere,
}

struct Walk<'a> {
    fields: &'a mut Fields,
    path: u64,
    place: Place,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tree of fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let path = mix(self.path ^ Digest::new().text(&key).finish());
            self.fields.sum = self.fields.sum.wrapping_add(path);
            if self.place == Place::Spec && key == "f:replicas" {
                self.fields.owns_replicas = true;
            }
            map.next_value_seed(Walk {
                fields: self.fields,
                path,
                place: if self.place == Place::Root && key == "f:spec" {
                    Place::Spec
                } else {
                    Place::Elsewhere
                },
            })?;
        }
        Ok(())
    }

    // What is not a map does not occur in `fieldsV1`; nothing that a server sends may stop a watch.
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::Fields;

    fn fields(json: &str) -> Fields {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn the_order_of_keys_does_not_matter_and_their_place_does() {
        let one = fields(r#"{"f:a": {"f:b": {}}, "f:c": {}}"#);
        assert_eq!(one, fields(r#"{"f:c": {}, "f:a": {"f:b": {}}}"#));
        assert_ne!(one, fields(r#"{"f:a": {}, "f:c": {"f:b": {}}}"#));
        assert_ne!(one, fields(r#"{"f:a": {"f:b": {}}}"#));
    }

    #[test]
    fn only_the_replicas_of_the_spec_are_replicas() {
        assert!(fields(r#"{"f:spec": {"f:replicas": {}}}"#).owns_replicas);
        assert!(!fields(r#"{"f:status": {"f:replicas": {}}}"#).owns_replicas);
        assert!(!fields(r#"{"f:spec": {"f:template": {"f:replicas": {}}}}"#).owns_replicas);
    }

    #[test]
    fn the_time_of_the_last_write_is_part_of_the_digest() {
        let some = fields(r#"{"f:a": {}}"#);
        assert_eq!(some.digest_at("1"), some.digest_at("1"));
        assert_ne!(some.digest_at("1"), some.digest_at("2"));
    }

    #[test]
    fn junk_is_no_error() {
        assert_eq!(fields("[1, {}]"), Fields::default());
    }
}
