//! `gate counters`.

use std::io;

use clap::{
    CommandFactory as _,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
    error::ErrorKind,
};
use gate_common::Verdict;
use gate_user::{
    Exit,
    bypass::Span,
    config::country_code,
    export::{self, Form, Kind, Sort, Wanted},
    forget,
    pins::Pins,
    report,
};
use ipnet::IpNet;

use super::{Cli, Format, interval, show};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Delete what is known of the sources in this prefix, or that have it; `0.0.0.0/0` and `::/0` are all
    #[arg(long, value_name = "PREFIX", conflicts_with_all = ["by", "pool", "class", "country", "verdict", "prefix", "interface", "sort", "top", "interval"])]
    forget: Option<IpNet>,
    /// What rows are about, several times or with commas [default: sources; with --interface, interfaces]
    #[arg(long, value_name = "KIND", value_parser = kinds(), value_delimiter = ',')]
    by: Vec<Kind>,
    /// Only rows of this pool
    #[arg(long, value_name = "NAME")]
    pool: Option<String>,
    /// Only rows of this class
    #[arg(long, value_name = "NAME")]
    class: Option<String>,
    /// Only rows of this country; `-` is that of addresses which no database knows
    #[arg(long, value_name = "CODE", value_parser = country, allow_hyphen_values = true)]
    country: Option<String>,
    /// Only rows with packets of this verdict
    #[arg(long, value_parser = verdicts())]
    verdict: Option<&'static str>,
    /// Only sources, prefixes and relays in this prefix
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<IpNet>,
    /// Only rows of this interface
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
    /// What comes first: the largest, but for names [default: packets]
    #[arg(long, value_parser = orders())]
    sort: Option<Sort>,
    /// So many rows of each kind
    #[arg(long, value_name = "COUNT")]
    top: Option<usize>,
    /// What is counted in each interval, again and again: 1s, 10s, 1m; the first one is waited for
    #[arg(long, value_name = "TIME", value_parser = interval)]
    interval: Option<Span>,
    /// So many intervals [default: until it is ended]
    #[arg(long, value_name = "COUNT", requires = "interval", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

fn kinds() -> impl TypedValueParser<Value = Kind> {
    let all = Kind::ALL.iter().map(|(kind, meaning)| {
        let meaning = meaning.trim_start().trim_end_matches('.');
        PossibleValue::new(kind.name()).help(meaning)
    });
    PossibleValuesParser::new(all).try_map(|word| {
        let mut all = Kind::ALL.iter().map(|(kind, _)| *kind);
        all.find(|it| it.name() == word).ok_or("is no kind of rows")
    })
}

pub(super) fn verdicts() -> impl TypedValueParser<Value = &'static str> {
    let names = || Verdict::ALL.iter().map(|it| it.name());
    PossibleValuesParser::new(names())
        .try_map(move |word| names().find(|it| *it == word).ok_or("is no verdict"))
}

fn orders() -> impl TypedValueParser<Value = Sort> {
    PossibleValuesParser::new(Sort::all().map(|(name, _)| name)).try_map(|word| {
        let found = Sort::all().find(|(name, _)| *name == word);
        found.map(|(_, sort)| sort).ok_or("is no order")
    })
}

impl Arguments {
    /// Whether rows are asked for, and not the whole.
    fn wants_rows(&self, format: Format) -> bool {
        let Self {
            forget: _,
            by,
            pool,
            class,
            country,
            verdict,
            prefix,
            interface,
            sort,
            top,
            interval,
            count: _,
        } = self;
        matches!(format, Format::Csv | Format::Ndjson)
            || !by.is_empty()
            || [pool, class, country, interface]
                .iter()
                .any(|it| it.is_some())
            || verdict.is_some()
            || prefix.is_some()
            || sort.is_some()
            || top.is_some()
            || interval.is_some()
    }

    pub(super) fn run(self, pins: &Pins, format: Format) -> anyhow::Result<Exit> {
        if let Some(prefix) = self.forget {
            let forgotten = forget::forget(pins, prefix)?;
            show(&forgotten, format)?;
            return Ok(forgotten.exit());
        }
        if !self.wants_rows(format) {
            return show(&report::counters(pins)?, format);
        }
        let form = match format {
            Format::Json => Form::Json,
            Format::Ndjson => Form::Ndjson,
            Format::Csv => Form::Csv,
            Format::Text | Format::Markdown | Format::Html => Form::Table,
        };
        let wanted = self.wanted();
        if let Err(error) = wanted.check() {
            let message = format!("{error}\n  hint: {}", error.hint());
            Cli::command()
                .error(ErrorKind::ArgumentConflict, message)
                .exit();
        }
        export::export(pins, &wanted, form, &mut io::stdout().lock())?;
        Ok(Exit::Ok)
    }

    fn wanted(self) -> Wanted {
        Wanted {
            kinds: self.by.into_iter().collect(),
            pool: self.pool,
            class: self.class,
            country: self.country,
            verdict: self.verdict,
            prefix: self.prefix,
            interface: self.interface,
            sort: self.sort.unwrap_or_default(),
            top: self.top,
            interval: self.interval.map(|Span(length)| length),
            count: self.count,
        }
    }
}

/// A country as rows have it.
pub(super) fn country(text: &str) -> Result<String, String> {
    if text == "-" {
        return Ok(text.to_owned());
    }
    let country = country_code(text)?;
    Ok(country
        .code()
        .map_or_else(|| "-".to_owned(), |code| code.to_string()))
}
