//! The filters of `gate counters` and `gate events`.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use gate_common::Verdict;
use gate_user::{
    config::country_code,
    filter::{Filter, UNKNOWN_COUNTRY},
};
use ipnet::IpNet;

/// What is shown, and what is left out.
#[derive(Debug, clap::Args)]
#[group(id = "filter")]
pub(super) struct Arguments {
    /// Only what is of this pool
    #[arg(long, value_name = "NAME")]
    pool: Option<String>,
    /// Only what is of this class
    #[arg(long, value_name = "NAME")]
    class: Option<String>,
    /// Only what is of this country; `-` is that of addresses which no database knows
    #[arg(long, value_name = "CODE", value_parser = country, allow_hyphen_values = true)]
    country: Option<String>,
    /// Only what has this verdict
    #[arg(long, value_parser = verdicts())]
    verdict: Option<&'static str>,
    /// Only sources, prefixes and relays in this prefix
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<IpNet>,
    /// Only what is of this interface
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
}

impl From<Arguments> for Filter {
    fn from(arguments: Arguments) -> Self {
        let Arguments {
            pool,
            class,
            country,
            verdict,
            prefix,
            interface,
        } = arguments;
        Self {
            pool,
            class,
            country,
            verdict,
            prefix,
            interface,
        }
    }
}

fn verdicts() -> impl TypedValueParser<Value = &'static str> {
    let names = || Verdict::ALL.iter().map(|it| it.name());
    PossibleValuesParser::new(names())
        .try_map(move |word| names().find(|it| *it == word).ok_or("is no verdict"))
}

/// A country as it is shown.
fn country(text: &str) -> Result<String, String> {
    if text == UNKNOWN_COUNTRY {
        return Ok(text.to_owned());
    }
    let country = country_code(text)?;
    Ok(country
        .code()
        .map_or_else(|| UNKNOWN_COUNTRY.to_owned(), |code| code.to_string()))
}
