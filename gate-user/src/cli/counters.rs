//! `gate counters`.

use std::io;

use clap::{
    CommandFactory as _,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
    error::ErrorKind,
};
use gate_user::{
    Exit,
    bypass::Span,
    export::{self, Form, Kind, Sort, Wanted},
    filter::Filter,
    forget,
    pins::Pins,
    report,
};
use ipnet::IpNet;

use super::{Cli, Format, filter, interval, show};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Delete what is known of the sources in this prefix, or that have it; `0.0.0.0/0` and `::/0` are all
    #[arg(long, value_name = "PREFIX", conflicts_with_all = ["by", "pool", "class", "country", "verdict", "prefix", "interface", "sort", "top", "interval"])]
    forget: Option<IpNet>,
    /// What rows are about, several times or with commas [default: sources; with --interface, interfaces]
    #[arg(long, value_name = "KIND", value_parser = kinds(), value_delimiter = ',')]
    by: Vec<Kind>,
    #[command(flatten)]
    filter: filter::Arguments,
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

fn orders() -> impl TypedValueParser<Value = Sort> {
    PossibleValuesParser::new(Sort::all().map(|(name, _)| name)).try_map(|word| {
        let found = Sort::all().find(|(name, _)| *name == word);
        found.map(|(_, sort)| sort).ok_or("is no order")
    })
}

impl Arguments {
    pub(super) fn run(self, pins: &Pins, format: Format) -> anyhow::Result<Exit> {
        let Self {
            forget,
            by,
            filter,
            sort,
            top,
            interval,
            count,
        } = self;
        if let Some(prefix) = forget {
            let forgotten = forget::forget(pins, prefix)?;
            show(&forgotten, format)?;
            return Ok(forgotten.exit());
        }
        let filter = Filter::from(filter);
        let wants_rows = matches!(format, Format::Csv | Format::Ndjson)
            || !by.is_empty()
            || filter.is_some()
            || sort.is_some()
            || top.is_some()
            || interval.is_some();
        if !wants_rows {
            return show(&report::counters(pins)?, format);
        }
        let form = match format {
            Format::Json => Form::Json,
            Format::Ndjson => Form::Ndjson,
            Format::Csv => Form::Csv,
            Format::Text | Format::Markdown | Format::Html => Form::Table,
        };
        let wanted = Wanted {
            kinds: by.into_iter().collect(),
            filter,
            sort: sort.unwrap_or_default(),
            top,
            interval: interval.map(|Span(length)| length),
            count,
        };
        if let Err(error) = wanted.check() {
            let message = format!("{error}\n  hint: {}", error.hint());
            Cli::command()
                .error(ErrorKind::ArgumentConflict, message)
                .exit();
        }
        export::export(pins, &wanted, form, &mut io::stdout().lock())?;
        Ok(Exit::Ok)
    }
}
