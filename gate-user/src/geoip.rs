//! Country databases in MaxMind DB format: which country each network is in.
//!
//! The file is read into memory whole: a mapped file that is replaced in place kills its reader.

use std::{
    collections::{BTreeSet, HashMap},
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use gate_common::Country;
use ipnet::IpNet;
use jiff::Timestamp;
use maxminddb::{MaxMindDbError, Reader, WithinOptions};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::{
    config::{CountryField, Geoip},
    generation::{Prefix, PrefixTable, manifest::Database},
    hex,
};

/// The country of every network that the configured databases know.
#[derive(Clone, Debug)]
pub struct Countries {
    /// Networks and the numbers of their countries.
    pub table: Arc<PrefixTable>,
    /// Where they come from.
    pub databases: Vec<Database>,
    /// The words that the databases' licences ask for wherever results are shown.
    pub attribution: Vec<String>,
}

/// A database that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {cause}", path = path.display())]
pub struct GeoipError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub cause: Cause,
}

/// What is wrong with a database.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// It cannot be read.
    #[error("the country database cannot be read: {0}")]
    Unreadable(io::Error),
    /// It is empty.
    #[error("the country database is an empty file")]
    Empty,
    /// It is not a MaxMind DB file, or not all of one.
    #[error("the country database is not a MaxMind DB file, or is damaged or cut short: {0}")]
    Damaged(MaxMindDbError),
    /// It has no network with a country.
    #[error("the database (type \"{kind}\") has no country in any of its {networks} networks")]
    NoCountries {
        /// What it calls itself.
        kind: String,
        /// How many networks it has.
        networks: usize,
    },
    /// Two databases know the same family.
    #[error("the database has {family} networks, and so has {other}", other = other.display())]
    SameFamily {
        /// The family.
        family: &'static str,
        /// The database before.
        other: PathBuf,
    },
}

impl GeoipError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match &self.cause {
            Cause::Unreadable(error) if error.kind() == io::ErrorKind::NotFound => {
                "check `databases` under [geoip]; `geoipupdate` writes to /var/lib/GeoIP by default"
                    .to_owned()
            }
            Cause::Unreadable(_) => {
                "check the permissions of the file and of the directories above it".to_owned()
            }
            Cause::Empty | Cause::Damaged(_) => {
                "fetch the file again and compare its size and checksum with the provider's"
                    .to_owned()
            }
            Cause::NoCountries { .. } => {
                "use a country or city edition; ASN and domain editions have no countries"
                    .to_owned()
            }
            Cause::SameFamily { .. } => {
                "name either one database for both families, or one for each".to_owned()
            }
        }
    }
}

impl Countries {
    /// Reads the databases; `progress` hears how many of how many networks of the file are done.
    pub fn read(geoip: &Geoip, progress: &mut dyn FnMut(&Path, usize)) -> Result<Self, GeoipError> {
        let mut table = PrefixTable::default();
        let mut databases: Vec<Database> = Vec::new();
        for path in &geoip.databases {
            let fail = |cause| GeoipError {
                path: path.clone(),
                cause,
            };
            let database = read(path, geoip.country, &mut table, progress).map_err(fail)?;
            let clash = databases.iter().find_map(|other| {
                let families = [
                    ("IPv4", database.networks_v4, other.networks_v4),
                    ("IPv6", database.networks_v6, other.networks_v6),
                ];
                let (family, ..) = families
                    .into_iter()
                    .find(|(_, mine, theirs)| *mine > 0 && *theirs > 0)?;
                Some(Cause::SameFamily {
                    family,
                    other: other.path.clone(),
                })
            });
            if let Some(cause) = clash {
                return Err(fail(cause));
            }
            databases.push(database);
        }
        let known = databases
            .iter()
            .filter_map(|it| known_attribution(&it.kind))
            .map(str::to_owned);
        let attribution: BTreeSet<String> =
            geoip.attribution.iter().cloned().chain(known).collect();
        Ok(Self {
            table: Arc::new(table.shielded()),
            databases,
            attribution: attribution.into_iter().collect(),
        })
    }
}

/// What the provider of a database of this type asks for.
fn known_attribution(kind: &str) -> Option<&'static str> {
    kind.starts_with("DBIP-")
        .then_some("IP Geolocation by DB-IP (https://db-ip.com), CC BY 4.0")
}

fn read(
    path: &Path,
    field: CountryField,
    table: &mut PrefixTable,
    progress: &mut dyn FnMut(&Path, usize),
) -> Result<Database, Cause> {
    let bytes = fs::read(path).map_err(Cause::Unreadable)?;
    if bytes.is_empty() {
        return Err(Cause::Empty);
    }
    let sha256 = hex(&Sha256::digest(&bytes));
    let reader = Reader::from_source(bytes).map_err(Cause::Damaged)?;
    let mut database = Database {
        path: path.to_owned(),
        kind: reader.metadata().database_type.clone(),
        built: built(reader.metadata().build_epoch),
        sha256,
        networks_v4: 0,
        networks_v6: 0,
        countries: 0,
    };
    let mut countries = BTreeSet::new();
    // Networks share records: a country database has some hundreds of records for a million networks.
    let mut decoded: HashMap<usize, Option<Country>> = HashMap::new();
    let mut networks = 0;
    // Networks that alias IPv4 (6to4, Teredo, IPv4-mapped) are left out: their own class is the configuration's matter.
    for result in reader
        .networks(WithinOptions::default())
        .map_err(Cause::Damaged)?
    {
        let result = result.map_err(Cause::Damaged)?;
        networks += 1;
        if networks % 65_536 == 0 {
            progress(path, networks);
        }
        let known = result.offset().and_then(|offset| decoded.get(&offset));
        let country = if let Some(country) = known {
            *country
        } else {
            let record: Option<Record<'_>> = result.decode().map_err(Cause::Damaged)?;
            let country = record.and_then(|record| record.country(field));
            decoded.extend(result.offset().map(|offset| (offset, country)));
            country
        };
        let Some(country) = country else { continue };
        let network = result.network().map_err(Cause::Damaged)?;
        match network.ip() {
            IpAddr::V4(_) => database.networks_v4 += 1,
            IpAddr::V6(_) => database.networks_v6 += 1,
        }
        countries.insert(country);
        if let Ok(net) = IpNet::new(network.ip(), network.prefix()) {
            table.insert(Prefix::from(net), u32::from(country.number()));
        }
    }
    progress(path, networks);
    database.countries = countries.len();
    if countries.is_empty() {
        return Err(Cause::NoCountries {
            kind: database.kind,
            networks,
        });
    }
    Ok(database)
}

fn built(epoch: u64) -> Timestamp {
    i64::try_from(epoch)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A record, as far as countries go, of whichever provider.
#[derive(Deserialize)]
struct Record<'a> {
    /// MaxMind, DB-IP: an object; older IPinfo: the code; IPinfo Lite: the country's name.
    #[serde(borrow)]
    country: Option<Named<'a>>,
    #[serde(borrow)]
    registered_country: Option<Named<'a>>,
    /// IPinfo Lite and repackaged databases.
    country_code: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Named<'a> {
    Object {
        #[serde(borrow)]
        iso_code: Option<&'a str>,
    },
    Text(&'a str),
}

impl Named<'_> {
    fn code(&self) -> Option<Country> {
        match self {
            Self::Object { iso_code } => iso_code.and_then(Country::from_code),
            // A name is no code; `from_code` takes two characters only.
            Self::Text(text) => Country::from_code(text),
        }
    }
}

impl Record<'_> {
    fn country(&self, field: CountryField) -> Option<Country> {
        let located = self.country.as_ref().and_then(Named::code);
        let registered = self.registered_country.as_ref().and_then(Named::code);
        let nested = match field {
            CountryField::Country => located.or(registered),
            CountryField::RegisteredCountry => registered.or(located),
        };
        nested.or_else(|| self.country_code.and_then(Country::from_code))
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, net::IpAddr};

    use mmdb_writer::Writer;
    use serde_json::{Value, json};
    use tempfile::NamedTempFile;

    use super::*;

    /// A database file with these networks and records.
    fn database(kind: &str, networks: &[(&str, Value)]) -> NamedTempFile {
        let mut writer = Writer::new(kind);
        for (network, record) in networks {
            writer
                .insert(network.parse::<IpNet>().unwrap(), record)
                .unwrap();
        }
        file(&writer.to_bytes().unwrap())
    }

    fn file(bytes: &[u8]) -> NamedTempFile {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn geoip(files: &[&NamedTempFile]) -> Geoip {
        Geoip {
            databases: files.iter().map(|file| file.path().to_owned()).collect(),
            country: CountryField::Country,
            attribution: None,
        }
    }

    fn countries(files: &[&NamedTempFile]) -> Result<Countries, GeoipError> {
        Countries::read(&geoip(files), &mut |_, _| {})
    }

    fn code(countries: &Countries, addr: &str) -> Option<String> {
        let (_, number) = countries
            .table
            .longest(addr.parse::<IpAddr>().unwrap().into())?;
        let country = Country::from_number(number.try_into().unwrap());
        country.code().map(|code| code.to_string())
    }

    #[test]
    fn reads_every_schema_in_the_same_way() {
        let nested = json!({ "country": { "iso_code": "JP", "names": { "en": "Japan" } } });
        let registered =
            json!({ "registered_country": { "iso_code": "KR" }, "continent": { "code": "AS" } });
        let both =
            json!({ "country": { "iso_code": "DE" }, "registered_country": { "iso_code": "FR" } });
        let flat = json!({ "country_code": "us" });
        let lite = json!({ "country": "New Zealand", "country_code": "NZ" });
        let older = json!({ "country": "BR", "country_name": "Brazil" });
        let nothing = json!({ "traits": { "is_anycast": true } });
        let file = database(
            "Test-Country",
            &[
                ("1.0.0.0/8", nested),
                ("2.0.0.0/8", registered),
                ("3.0.0.0/8", both),
                ("4.0.0.0/8", flat),
                ("5.0.0.0/8", lite),
                ("6.0.0.0/8", older),
                ("7.0.0.0/8", nothing),
            ],
        );
        let countries = countries(&[&file]).unwrap();
        for (addr, expected) in [
            ("1.2.3.4", Some("JP")),
            ("2.2.3.4", Some("KR")),
            ("3.2.3.4", Some("DE")),
            ("4.2.3.4", Some("US")),
            ("5.2.3.4", Some("NZ")),
            ("6.2.3.4", Some("BR")),
            ("7.2.3.4", None),
            ("8.2.3.4", None),
        ] {
            assert_eq!(code(&countries, addr).as_deref(), expected, "{addr}");
        }
        let [database] = &countries.databases[..] else {
            panic!("one database")
        };
        assert_eq!(
            (
                database.networks_v4,
                database.networks_v6,
                database.countries
            ),
            (6, 0, 6)
        );
    }

    #[test]
    fn the_registered_country_can_come_first() {
        let record =
            json!({ "country": { "iso_code": "DE" }, "registered_country": { "iso_code": "FR" } });
        let file = database("Test-Country", &[("3.0.0.0/8", record)]);
        let geoip = Geoip {
            country: CountryField::RegisteredCountry,
            ..geoip(&[&file])
        };
        let countries = Countries::read(&geoip, &mut |_, _| {}).unwrap();
        assert_eq!(code(&countries, "3.0.0.1").as_deref(), Some("FR"));
    }

    #[test]
    fn one_file_for_each_family_or_one_for_both() {
        let v4 = database("Test", &[("1.0.0.0/8", json!({ "country_code": "JP" }))]);
        let v6 = database(
            "Test",
            &[("2001:200::/32", json!({ "country_code": "JP" }))],
        );
        let both = countries(&[&v4, &v6]).unwrap();
        assert_eq!(code(&both, "1.0.0.1").as_deref(), Some("JP"));
        assert_eq!(code(&both, "2001:200::1").as_deref(), Some("JP"));
        let error = countries(&[&v4, &v4]).unwrap_err();
        assert!(
            matches!(error.cause, Cause::SameFamily { family: "IPv4", .. }),
            "{error}"
        );
    }

    #[test]
    fn what_is_no_database_is_refused_with_its_cause() {
        let whole = database("Test", &[("1.0.0.0/8", json!({ "country_code": "JP" }))]);
        let bytes = fs::read(whole.path()).unwrap();
        let cut = file(&bytes[..bytes.len() / 2]);
        assert!(matches!(
            countries(&[&cut]).unwrap_err().cause,
            Cause::Damaged(_)
        ));
        assert!(matches!(
            countries(&[&file(b"")]).unwrap_err().cause,
            Cause::Empty
        ));
        assert!(matches!(
            countries(&[&file(b"<html>")]).unwrap_err().cause,
            Cause::Damaged(_)
        ));
        let asn = database(
            "Test-ASN",
            &[("1.0.0.0/8", json!({ "autonomous_system_number": 64496 }))],
        );
        let error = countries(&[&asn]).unwrap_err();
        assert!(
            matches!(&error.cause, Cause::NoCountries { kind, networks: 1 } if kind == "Test-ASN"),
            "{error}"
        );
        let missing = Geoip {
            databases: vec!["/nonexistent.mmdb".into()],
            ..geoip(&[])
        };
        let error = Countries::read(&missing, &mut |_, _| {}).unwrap_err();
        assert!(
            error.to_string().starts_with("/nonexistent.mmdb: "),
            "{error}"
        );
        assert!(error.hint().contains("[geoip]"));
    }

    #[test]
    fn attribution_comes_with_the_database_or_from_the_operator() {
        let file = database(
            "DBIP-Country-Lite",
            &[("1.0.0.0/8", json!({ "country": { "iso_code": "JP" } }))],
        );
        assert!(countries(&[&file]).unwrap().attribution[0].contains("DB-IP"));
        let other = database("Other", &[("1.0.0.0/8", json!({ "country_code": "JP" }))]);
        let geoip = Geoip {
            attribution: Some("Thank you".to_owned()),
            ..geoip(&[&other])
        };
        assert_eq!(
            Countries::read(&geoip, &mut |_, _| {}).unwrap().attribution,
            ["Thank you"]
        );
    }
}
