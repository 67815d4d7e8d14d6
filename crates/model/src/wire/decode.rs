//! JSON as Go's `encoding/json` decodes it, which every client of the API was written against: keys in any case, `null`
//! for absent, the last of two equal keys, unknown keys ignored, and only what is of the right type.
//!
//! No message tells a value, which may be a secret.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A type whose optional fields are read one by one; see [`go_object`].
pub(super) trait Object: Default {
    /// Reads the value of `key` into its field, or past it when there is no such field.
    fn read_field<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error>;
}

/// Names the keys of a type all of whose fields are options, and makes it one that serde can read. A field that is
/// forgotten does not compile.
macro_rules! go_object {
    ($type:ident { $($field:ident: $key:literal),+ $(,)? }) => {
        impl $crate::wire::decode::Object for $type {
            fn read_field<'de, A: serde::de::MapAccess<'de>>(
                &mut self,
                key: &str,
                map: &mut A,
            ) -> Result<(), A::Error> {
                let Self { $($field),+ } = self;
                $(if key == $key {
                    return $crate::wire::decode::read_value($key, $field, map);
                })+
                $(if key.eq_ignore_ascii_case($key) {
                    return $crate::wire::decode::read_value($key, $field, map);
                })+
                map.next_value::<serde::de::IgnoredAny>().map(drop)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let mut slot = None;
                $crate::wire::decode::read(&mut slot, deserializer)?;
                Ok(slot.unwrap_or_default())
            }
        }
    };
}
pub(super) use go_object;

/// What may stand for a field: the slot holds what came for the same key before.
pub(super) trait Value: Sized {
    const WHAT: &'static str;

    /// Go leaves numbers and text as they are, and clears what is a reference.
    fn null(_slot: &mut Option<Self>) {}

    fn truth(_truth: bool) -> Option<Self> {
        None
    }

    fn number(_number: u64) -> Option<Self> {
        None
    }

    fn text(_text: &str) -> Option<Self> {
        None
    }

    fn list<'de, A: SeqAccess<'de>>(_slot: &mut Option<Self>, _list: A) -> Result<(), A::Error> {
        Err(refusal::<Self, _>("a list"))
    }

    fn object<'de, A: MapAccess<'de>>(_slot: &mut Option<Self>, _map: A) -> Result<(), A::Error> {
        Err(refusal::<Self, _>("an object"))
    }
}

impl Value for bool {
    const WHAT: &'static str = "true or false";

    fn truth(truth: bool) -> Option<Self> {
        Some(truth)
    }
}

impl Value for u64 {
    const WHAT: &'static str = "a whole number that is not negative";

    fn number(number: u64) -> Option<Self> {
        Some(number)
    }
}

impl Value for String {
    const WHAT: &'static str = "text";

    fn text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl Value for BTreeMap<String, String> {
    const WHAT: &'static str = "an object";

    fn null(slot: &mut Option<Self>) {
        *slot = None;
    }

    fn object<'de, A: MapAccess<'de>>(slot: &mut Option<Self>, mut map: A) -> Result<(), A::Error> {
        let entries = slot.get_or_insert_default();
        while let Some(key) = map.next_key::<String>()? {
            let mut value = None;
            map.next_value_seed(Read(&mut value))?;
            entries.insert(key, value.unwrap_or_default());
        }
        Ok(())
    }
}

impl<T: Value + Default> Value for Vec<T> {
    const WHAT: &'static str = "a list";

    fn null(slot: &mut Option<Self>) {
        *slot = None;
    }

    fn list<'de, A: SeqAccess<'de>>(slot: &mut Option<Self>, mut list: A) -> Result<(), A::Error> {
        let mut values = Vec::new();
        let mut value = None;
        while list.next_element_seed(Read(&mut value))?.is_some() {
            values.push(value.take().unwrap_or_default());
        }
        *slot = Some(values);
        Ok(())
    }
}

impl<T: Object> Value for T {
    const WHAT: &'static str = "an object";

    fn null(slot: &mut Option<Self>) {
        *slot = None;
    }

    fn object<'de, A: MapAccess<'de>>(slot: &mut Option<Self>, mut map: A) -> Result<(), A::Error> {
        let object = slot.get_or_insert_default();
        while let Some(key) = map.next_key::<String>()? {
            object.read_field(&key, &mut map)?;
        }
        Ok(())
    }
}

/// Reads a value over what is in the slot.
pub(super) fn read<'de, T: Value, D: Deserializer<'de>>(
    slot: &mut Option<T>,
    deserializer: D,
) -> Result<(), D::Error> {
    Read(slot).deserialize(deserializer)
}

/// The same for a field, whose name the error then tells.
pub(super) fn read_value<'de, T: Value, A: MapAccess<'de>>(
    key: &'static str,
    slot: &mut Option<T>,
    map: &mut A,
) -> Result<(), A::Error> {
    map.next_value_seed(Read(slot)).map_err(|error| A::Error::custom(format_args!("{key}: {error}")))
}

struct Read<'a, T>(&'a mut Option<T>);

impl<'de, T: Value> DeserializeSeed<'de> for Read<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<T: Value> Read<'_, T> {
    fn set<E: Error>(self, value: Option<T>, kind: &str) -> Result<(), E> {
        *self.0 = Some(value.ok_or_else(|| refusal::<T, E>(kind))?);
        Ok(())
    }
}

impl<'de, T: Value> Visitor<'de> for Read<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::WHAT)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        T::null(self.0);
        Ok(())
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<(), E> {
        self.set(T::truth(truth), "true or false")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.set(T::number(number), "a number")
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Err(refusal::<T, E>("a negative number"))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Err(refusal::<T, E>("a number with a fraction or beyond 64 bits"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.set(T::text(text), "text")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<(), A::Error> {
        T::list(self.0, list)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        T::object(self.0, map)
    }
}

fn refusal<T: Value, E: Error>(kind: &str) -> E {
    E::custom(format_args!("is {kind}; it must be {}", T::WHAT))
}
