//! What a record says about the country, in the schemas of all providers.
//!
//! | field | who writes it |
//! |---|---|
//! | `country.iso_code`, `registered_country.iso_code` | MaxMind, DB-IP |
//! | `country_code` | IPinfo Lite, ip-location-db |
//! | `country`, a text | IPinfo's older schema: the code. IPinfo Lite: the country's name, which is no code |
//!
//! The first field with two ASCII letters or digits is the country. Anything else there (`-`, an empty text, a number)
//! is what providers write for "none", and as good as absent.

use std::{collections::HashMap, fmt};

use gate_common::Country;
use maxminddb::{LookupResult, MaxMindDbError};
use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny},
};

use crate::config::CountryField;

/// How many fields of records are decoded: five million city records have no more. The library bounds what one record
/// costs, and not what a small file costs whose many records share one large map.
const FIELDS_MAX: u64 = 1 << 27;

/// What records say, each decoded once: a database has some thousands of them for a million networks.
pub(super) struct Records {
    field: CountryField,
    /// By the record's place in the file.
    known: HashMap<usize, Country>,
    /// How many fields may still be decoded.
    fields_left: u64,
}

impl Records {
    pub(super) fn new(field: CountryField) -> Self {
        Self {
            field,
            known: HashMap::new(),
            fields_left: FIELDS_MAX,
        }
    }

    /// The country of the network that was found; [`Country::NONE`] if it has no record, or one without a country.
    pub(super) fn read<S: AsRef<[u8]>>(
        &mut self,
        found: &LookupResult<'_, S>,
    ) -> Result<Country, MaxMindDbError> {
        let Some(offset) = found.offset() else {
            return Ok(Country::NONE);
        };
        if let Some(country) = self.known.get(&offset) {
            return Ok(*country);
        }
        let record = found.decode::<Record>()?.unwrap_or_default();
        self.fields_left = self.fields_left.checked_sub(record.fields).ok_or_else(|| {
            MaxMindDbError::invalid_database(format!(
                "its records have more than {FIELDS_MAX} fields"
            ))
        })?;
        let country = record.country(self.field);
        self.known.insert(offset, country);
        Ok(country)
    }

    /// The same, of a record that was read before.
    pub(super) fn country<S: AsRef<[u8]>>(
        &self,
        found: &LookupResult<'_, S>,
    ) -> Result<Country, MaxMindDbError> {
        let Some(offset) = found.offset() else {
            return Ok(Country::NONE);
        };
        self.known.get(&offset).copied().ok_or_else(|| {
            MaxMindDbError::invalid_database(
                "a look-up leads to a record that no network of the search tree has",
            )
        })
    }
}

/// The codes in a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Record {
    country: Field,
    registered_country: Field,
    country_code: Field,
    /// How many fields were decoded to find them.
    fields: u64,
}

/// A field that may hold a code, and how many fields were decoded to find it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Field {
    code: Code,
    fields: u64,
}

/// A code, and where it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Code {
    /// Absent, or something else.
    #[default]
    Nothing,
    /// A text.
    Text(Country),
    /// An object with an `iso_code`.
    Object(Country),
}

impl Record {
    fn country(self, first: CountryField) -> Country {
        let nested = |field: Field| match field.code {
            Code::Object(country) => Some(country),
            Code::Text(_) | Code::Nothing => None,
        };
        let flat = |field: Field| match field.code {
            Code::Text(country) => Some(country),
            Code::Object(_) | Code::Nothing => None,
        };
        let (located, registered) = (nested(self.country), nested(self.registered_country));
        let nested = match first {
            CountryField::Country => located.or(registered),
            CountryField::RegisteredCountry => registered.or(located),
        };
        nested
            .or(flat(self.country_code))
            .or(flat(self.country))
            .unwrap_or(Country::NONE)
    }
}

/// Takes whatever the type at hand has no use for: a record of another shape is one without a country.
macro_rules! nothing_from {
    ($($visit:ident($type:ty)),+) => {
        $(fn $visit<E: de::Error>(self, _: $type) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        })+
    };
}

macro_rules! nothing_else {
    () => {
        nothing_from!(
            visit_bool(bool),
            visit_i64(i64),
            visit_u64(u64),
            visit_u128(u128),
            visit_f32(f32),
            visit_f64(f64),
            visit_bytes(&[u8])
        );

        fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
            let mut fields = 1;
            while items.next_element::<IgnoredAny>()?.is_some() {
                fields += 1;
            }
            Ok(Self::Value {
                fields,
                ..Self::Value::default()
            })
        }
    };
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Record;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a record")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut fields: A) -> Result<Record, A::Error> {
                let mut record = Record::default();
                while let Some(name) = fields.next_key::<&str>()? {
                    record.fields += 1;
                    let field = match name {
                        "country" => &mut record.country,
                        "registered_country" => &mut record.registered_country,
                        "country_code" => &mut record.country_code,
                        _ => {
                            fields.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                    *field = fields.next_value()?;
                    record.fields += field.fields;
                }
                Ok(record)
            }

            nothing_from!(visit_str(&str));
            nothing_else!();
        }

        deserializer.deserialize_any(Visitor)
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Field;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a country")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Field, E> {
                Ok(Field {
                    code: Country::from_code(text).map_or(Code::Nothing, Code::Text),
                    fields: 1,
                })
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut fields: A) -> Result<Field, A::Error> {
                let mut found = Field::default();
                while let Some(name) = fields.next_key::<&str>()? {
                    found.fields += 1;
                    if name == "iso_code" {
                        let field: Field = fields.next_value()?;
                        found.fields += field.fields;
                        if let Code::Text(country) = field.code {
                            found.code = Code::Object(country);
                        }
                    } else {
                        fields.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(found)
            }

            nothing_else!();
        }

        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use ipnet::IpNet;
    use maxminddb::Reader;
    use mmdb_writer::Writer;
    use serde_json::{Value, json};

    use super::*;

    /// Reads the records of these networks, in order, while they have no more than `fields` together.
    fn read(networks: &[(&str, Value)], fields: u64) -> Result<Records, MaxMindDbError> {
        let mut writer = Writer::new("Test");
        for (network, record) in networks {
            let network: IpNet = network.parse().unwrap();
            writer.insert(network, record).unwrap();
        }
        let reader = Reader::from_source(writer.to_bytes().unwrap()).unwrap();
        let mut records = Records {
            fields_left: fields,
            ..Records::new(CountryField::Country)
        };
        for (network, _) in networks {
            let network: IpNet = network.parse().unwrap();
            let found = reader.lookup(network.addr()).unwrap();
            let country = records.read(&found)?;
            assert_eq!(records.country(&found).unwrap(), country);
        }
        Ok(records)
    }

    #[test]
    fn fields_of_all_records_are_counted_once() {
        // Three in the record, three in the country, and one in its code.
        let object = json!({
            "city": { "name": "Tokyo", "names": {} },
            "country": { "iso_code": "JP", "geoname_id": 1, "names": {} },
            "postal": 1
        });
        // Its name, and three with the list itself.
        let list = json!({ "country": [1, 2] });
        let networks = [
            ("20.0.0.0/8", object.clone()),
            ("22.0.0.0/8", object),
            ("24.0.0.0/8", list),
        ];
        let records = read(&networks, 11).unwrap();
        assert_eq!((records.known.len(), records.fields_left), (2, 0));
        let Err(error) = read(&networks, 10) else {
            panic!("one field too many");
        };
        assert!(error.to_string().contains("fields"), "{error}");
    }
}
