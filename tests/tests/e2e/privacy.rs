//! What is kept of sources, for how long, and who is told; and that where subscribers connect to is kept nowhere.
//!
//! Time cannot be set that sources are aged by, so that an entry is made older instead: the trial writes into the map, which the gate never does.

#![expect(
    clippy::indexing_slicing,
    reason = "what is not in a JSON value is null, which no check here takes"
)]

use std::{
    collections::BTreeMap,
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use gate_common::{
    Addr,
    abi::{SourceSet, maps, moment},
};
use gate_tests::{
    gate::{Config, Counters, Limit, Packets},
    interrupt,
    lab::{Family, Who},
    pin,
};
use gate_user::{
    pins::Pins,
    sys::{Access, Map},
};
use libtest_mimic::Trial;
use serde_json::Value;

use crate::bench::{Bench, Found};

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("privacy::a_source_goes_when_its_time_is_over", retention),
        found.lab_trial("privacy::what_is_over_is_not_shown_without_a_daemon", dead),
        found.lab_trial("privacy::a_reload_deletes_what_is_not_to_be_kept", reload),
        found.lab_trial("privacy::a_source_is_cut_and_limits_are_not", cut),
        found.lab_trial(
            "privacy::where_subscribers_connect_to_is_kept_nowhere",
            destination,
        ),
        found.lab_trial("privacy::every_pin_is_told_of", told),
        found.lab_trial("privacy::a_source_is_forgotten_on_request", forgotten),
    ]
}

/// Much longer than the daemon takes to look again.
const PATIENCE: Duration = Duration::from_secs(40);

fn kept(bench: &Bench<'_>, tables: &'static str) -> Result<Config> {
    Ok(Config {
        tables,
        ..bench.config()?
    })
}

/// Tries port 25 from both lines, over both families.
fn traffic(bench: &Bench<'_>) -> Result<()> {
    for who in [Who::Subscriber, Who::Neighbour] {
        bench.refused(who, Who::OtherMail, 25)?;
    }
    Ok(())
}

/// The octets of an address as maps have them: the two words of an [`Addr`], of which the upper one of IPv4 says nothing.
fn octets(address: IpAddr) -> Vec<u8> {
    let Addr { hi, lo } = Addr::from(address);
    match address {
        IpAddr::V4(_) => lo.to_ne_bytes().to_vec(),
        IpAddr::V6(_) => [hi.to_ne_bytes(), lo.to_ne_bytes()].concat(),
    }
}

fn has(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|it| it == wanted)
}

/// Whether the map of sources has this line's address anywhere in its memory, of either family.
fn in_memory(bench: &Bench<'_>, who: Who) -> Result<bool> {
    let dumped = pin::dump(&Pins::new(bench.lab.pins())?.map(maps::SOURCES))?;
    let found = Family::ALL.map(|family| Ok(has(&dumped, &octets(source(bench, who, family)?))));
    let found: Vec<bool> = found.into_iter().collect::<Result<_>>()?;
    Ok(found.contains(&true))
}

/// The address of a line as it is counted: whole in IPv4, the first 64 bits in IPv6.
fn source(bench: &Bench<'_>, who: Who, family: Family) -> Result<IpAddr> {
    Ok(match bench.lab.address(who, family)? {
        IpAddr::V6(it) => IpAddr::V6((it.to_bits() >> 64 << 64).into()),
        it @ IpAddr::V4(_) => it,
    })
}

/// Waits until this machine has been up for so long, that what came before could be that old.
fn up_for(seconds: u64) -> Result<()> {
    let up = || -> Result<bool> {
        let uptime = fs::read_to_string("/proc/uptime")?;
        let whole = uptime.split('.').next().unwrap_or_default();
        Ok(whole.parse::<u64>()? > seconds)
    };
    while !up()? {
        interrupt::sleep(Duration::from_secs(1))?;
    }
    Ok(())
}

/// Makes what is known of a line so much older.
fn age(bench: &Bench<'_>, who: Who, seconds: u64) -> Result<()> {
    let map = Map::open(
        &Pins::new(bench.lab.pins())?.map(maps::SOURCES),
        Access::Write,
    )?;
    let wanted: Vec<Addr> = Family::ALL
        .iter()
        .map(|family| Ok(source(bench, who, *family)?.into()))
        .collect::<Result<_>>()?;
    let mut found = 0;
    for (number, mut set) in (0u32..).zip(map.read_all::<SourceSet>()?) {
        for way in &mut set.ways {
            if way.tag.is_live() && wanted.contains(&way.address) {
                found += 1;
                way.first = way
                    .first
                    .checked_sub(moment(seconds * 1_000_000_000))
                    .context("this machine has not been up for that long")?;
            }
        }
        if set.ways.iter().any(|way| wanted.contains(&way.address)) {
            map.update(&number, &set)?;
        }
    }
    ensure!(found > 0, "{who} has no entry");
    Ok(())
}

fn shown(counters: &Counters, bench: &Bench<'_>, who: Who) -> Result<bool> {
    let names: Vec<String> = Family::ALL
        .iter()
        .map(|family| {
            let length = if *family == Family::V4 { 32 } else { 64 };
            Ok(format!("{}/{length}", source(bench, who, *family)?))
        })
        .collect::<Result<_>>()?;
    let mut entries = counters.sources.entries.iter();
    Ok(entries.any(|it| names.contains(&it.source)))
}

/// Every packet that was judged is in an entry, expired, or other; by verdict.
fn adds_up(counters: &Counters) -> Result<()> {
    let Packets {
        passed,
        refused,
        observed,
        tagged,
        ..
    } = counters.verdicts;
    let parts = |of: fn(&Packets) -> u64| {
        let entries = counters.sources.entries.iter();
        entries.map(|it| of(&it.packets)).sum::<u64>()
            + of(&counters.sources.expired)
            + of(&counters.sources.other)
    };
    let found = [
        parts(|it| it.passed),
        parts(|it| it.refused),
        parts(|it| it.observed),
        parts(|it| it.tagged),
    ];
    ensure!(
        found == [passed, refused, observed, tagged]
            && counters.sources.other == Packets::default(),
        "{found:?}: {counters:#?}"
    );
    Ok(())
}

/// Packets of a line that is not shown any more, which the trial knows from before.
fn refused(counters: &Counters) -> u64 {
    counters.sources.expired.refused
}

fn retention(bench: &Bench<'_>) -> Result<()> {
    up_for(61)?;
    let daemon = bench.run(&kept(bench, "retention = \"1m\"\n")?)?;
    traffic(bench)?;
    let before = bench.gate().counters()?;
    ensure!(
        before.sources.retention_seconds == 60
            && shown(&before, bench, Who::Subscriber)?
            && in_memory(bench, Who::Subscriber)?
            && refused(&before) == 0,
        "{before:#?}"
    );
    adds_up(&before)?;
    age(bench, Who::Subscriber, 61)?;
    // At once, whenever the daemon comes to it.
    let over = bench.gate().counters()?;
    ensure!(
        !shown(&over, bench, Who::Subscriber)? && shown(&over, bench, Who::Neighbour)?,
        "{over:#?}"
    );
    adds_up(&over)?;
    ensure!(refused(&over) > 0, "{over:#?}");
    let mut error = None;
    let gone = interrupt::wait_until(PATIENCE, || match in_memory(bench, Who::Subscriber) {
        Ok(found) => !found,
        Err(found) => {
            error = Some(found);
            true
        }
    })?;
    error.map_or(Ok(()), Err)?;
    ensure!(gone, "it is still in the map: {}", daemon.said());
    // On a slow machine its time was over meanwhile as well.
    bench.refused(Who::Neighbour, Who::OtherMail, 25)?;
    let after = bench.gate().counters()?;
    ensure!(
        shown(&after, bench, Who::Neighbour)? && refused(&after) >= refused(&over),
        "{after:#?}"
    );
    adds_up(&after)?;
    // Who goes on begins anew, and what expired stays so.
    bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
    let again = bench.gate().counters()?;
    ensure!(
        shown(&again, bench, Who::Subscriber)? && refused(&again) >= refused(&after),
        "{again:#?}"
    );
    adds_up(&again)
}

fn dead(bench: &Bench<'_>) -> Result<()> {
    up_for(61)?;
    let config = kept(bench, "retention = \"1m\"\n")?;
    let daemon = bench.run(&config)?;
    traffic(bench)?;
    daemon.kill()?;
    age(bench, Who::Subscriber, 61)?;
    let counters = bench.gate().counters()?;
    ensure!(!shown(&counters, bench, Who::Subscriber)?, "{counters:#?}");
    adds_up(&counters)?;
    // Honest about what is still there.
    ensure!(in_memory(bench, Who::Subscriber)?, "who deleted it?");
    let privacy = json(bench, &["privacy"])?;
    ensure!(
        privacy["daemon"] == false && store(&privacy, "sources")?["over"] == 2,
        "{privacy:#}"
    );
    let _daemon = bench.run(&config)?;
    ensure!(!in_memory(bench, Who::Subscriber)?, "a start leaves it");
    let after = bench.gate().counters()?;
    ensure!(refused(&after) >= refused(&counters), "{after:#?}");
    adds_up(&after)
}

fn reload(bench: &Bench<'_>) -> Result<()> {
    up_for(120)?;
    let config = kept(bench, "retention = \"24h\"\n")?;
    let _daemon = bench.run(&config)?;
    traffic(bench)?;
    age(bench, Who::Subscriber, 120)?;
    ensure!(
        shown(&bench.gate().counters()?, bench, Who::Subscriber)?,
        "too early"
    );
    let again = |from: &str, to: &str| -> Result<()> {
        let path = bench.lab.scratch().join("gate.toml");
        let text = fs::read_to_string(&path)?;
        ensure!(text.contains(from), "{text}");
        fs::write(&path, text.replace(from, to))?;
        let (code, reload) = bench.gate().reload(&[])?;
        ensure!(code == Some(0), "{reload:?}");
        Ok(())
    };
    again("retention = \"24h\"", "retention = \"1m\"")?;
    ensure!(
        !in_memory(bench, Who::Subscriber)?,
        "a shorter retention leaves it"
    );
    ensure!(
        in_memory(bench, Who::Neighbour)?,
        "what is not over is gone"
    );
    adds_up(&bench.gate().counters()?)?;
    // A prefix that keeps less.
    again(
        "retention = \"1m\"",
        "retention = \"1m\"\nsource_prefix = { v4 = 24, v6 = 48 }",
    )?;
    ensure!(
        !in_memory(bench, Who::Neighbour)?,
        "a shorter prefix leaves it"
    );
    adds_up(&bench.gate().counters()?)?;
    traffic(bench)?;
    let counters = bench.gate().counters()?;
    ensure!(counters.sources.entries.len() == 2, "{counters:#?}");
    adds_up(&counters)?;
    // None at all.
    again("sources = true", "sources = false")?;
    traffic(bench)?;
    let map = Map::open(
        &Pins::new(bench.lab.pins())?.map(maps::SOURCES),
        Access::Read,
    )?;
    let sets = map.read_all::<SourceSet>()?;
    let live = sets
        .iter()
        .flat_map(|it| it.ways)
        .filter(|it| it.tag.is_live());
    ensure!(live.count() == 0, "sources are counted");
    let counters = bench.gate().counters()?;
    ensure!(
        !counters.sources.counted && counters.sources.entries.is_empty(),
        "{counters:#?}"
    );
    let privacy = json(bench, &["privacy"])?;
    ensure!(store(&privacy, "sources")?["on"] == false, "{privacy:#}");
    Ok(())
}

/// Two lines in one /24 have one entry, and a limit each.
fn cut(bench: &Bench<'_>) -> Result<()> {
    let mut config = kept(bench, "source_prefix = { v4 = 24, v6 = 48 }\n")?;
    config.action = "throttle";
    config.throttle = Some(Limit {
        limit: 1,
        per: "day",
        burst: 1,
    });
    let _daemon = bench.run(&config)?;
    let both = [Who::Subscriber, Who::Neighbour];
    for who in both {
        bench.open(who, Who::OtherMail, 25)?;
        bench.refused(who, Who::OtherMail, 25)?;
    }
    let counters = bench.gate().counters()?;
    adds_up(&counters)?;
    let mut names: Vec<&str> = counters
        .sources
        .entries
        .iter()
        .map(|it| &*it.source)
        .collect();
    names.sort_unstable();
    let mut expected = Vec::new();
    for family in Family::ALL {
        let addresses = both.map(|who| bench.lab.address(who, family));
        let [one, other] = addresses.map(|it| it.map(network));
        let (one, other) = (one?, other?);
        ensure!(one == other, "{one} and {other}: these lines show nothing");
        expected.push(one);
    }
    expected.sort_unstable();
    ensure!(names == expected, "{names:?}, not {expected:?}");
    for who in both {
        ensure!(!in_memory(bench, who)?, "{who} is in the map");
    }
    Ok(())
}

fn network(address: IpAddr) -> String {
    match address {
        IpAddr::V4(it) => {
            let [a, b, c, _] = it.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(it) => {
            let network = it.to_bits() >> 80 << 80;
            format!("{}/48", std::net::Ipv6Addr::from(network))
        }
    }
}

/// Everything that the gate holds and says after subscribers connected to a host that no configuration names.
fn destination(bench: &Bench<'_>) -> Result<()> {
    let mut config = kept(
        bench,
        "[metrics]\nlisten = [\"127.0.0.1:25587\"]\nsources = 100\n",
    )?;
    config.action = "throttle";
    config.throttle = Some(Limit {
        limit: 1,
        per: "day",
        burst: 2,
    });
    let daemon = bench.run(&config)?;
    let marked = Who::OtherMail;
    for port in [25, 25, 25, 465, 587] {
        for family in Family::ALL {
            for who in [Who::Subscriber, Who::Static, Who::Unlisted] {
                bench.lab.connect(who, marked, family, port)?;
            }
        }
    }
    // The control of what is looked for: a connection from the Internet, of which both ends are kept.
    for family in Family::ALL {
        bench.lab.connect(Who::Foreign, Who::OwnMail, family, 587)?;
    }
    let dumped = everything(bench)?;
    let mut said = vec![("log".to_owned(), daemon.said())];
    for arguments in [
        &["counters"][..],
        &["status"],
        &["privacy"],
        &["matrix"],
        &["--format", "json", "counters"],
        &["--format", "json", "status"],
        &["--format", "json", "privacy"],
    ] {
        let output = bench.gate().output(arguments)?;
        said.push((arguments.join(" "), output.stdout + &output.stderr));
    }
    said.push(("metrics".to_owned(), metrics(bench)?));
    for family in Family::ALL {
        let address = bench.lab.address(marked, family)?;
        let wire = match address {
            IpAddr::V4(it) => it.octets().to_vec(),
            IpAddr::V6(it) => it.octets().to_vec(),
        };
        for (name, bytes) in &dumped {
            ensure!(
                !has(bytes, &octets(address))
                    && !has(bytes, &wire)
                    && !has(bytes, address.to_string().as_bytes()),
                "{} has {address}",
                name.display()
            );
        }
        for (name, text) in &said {
            ensure!(
                !text.contains(&address.to_string()),
                "`{name}` has {address}: {text}"
            );
        }
        // The same search finds who sent, and a server of ours.
        let control = |map: &str, address: IpAddr| {
            let name = PathBuf::from("maps").join(map);
            let found = dumped
                .get(&name)
                .is_some_and(|it| has(it, &octets(address)));
            ensure!(found, "{map} has no {address}: the search finds nothing");
            Ok(())
        };
        control(maps::SOURCES, source(bench, Who::Subscriber, family)?)?;
        control(maps::BUCKETS, source(bench, Who::Subscriber, family)?)?;
        control(maps::FLOWS, bench.lab.address(Who::OwnMail, family)?)?;
    }
    let control = source(bench, Who::Subscriber, Family::V4)?.to_string();
    for (name, text) in said {
        let tells = name.contains("counters") || name == "metrics";
        ensure!(
            text.contains(&control) == tells,
            "`{name}` and {control}: {text}"
        );
    }
    Ok(())
}

/// What is in every map that is pinned, by its path. Tables of prefixes were frozen before there was a packet, and that of the countries is data in which
/// any four octets may stand.
fn everything(bench: &Bench<'_>) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let directory = Pins::new(bench.lab.pins())?.directory();
    let mut dumped = BTreeMap::new();
    for found in pin::list(&directory)? {
        let name = found.path.to_string_lossy().into_owned();
        if matches!(found.object, pin::Object::Map(_)) && !name.contains("COUNTRIES_") {
            dumped.insert(found.path.clone(), pin::dump(&directory.join(&found.path))?);
        }
    }
    ensure!(dumped.len() > maps::STATES.len(), "{:?}", dumped.keys());
    Ok(dumped)
}

fn metrics(bench: &Bench<'_>) -> Result<String> {
    use std::io::{Read as _, Write as _};
    bench.lab.router().run(|| {
        let mut stream = std::net::TcpStream::connect("127.0.0.1:25587")?;
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    })?
}

fn json(bench: &Bench<'_>, arguments: &[&str]) -> Result<Value> {
    let text = bench
        .gate()
        .text(&[&["--format", "json"], arguments].concat())?;
    Ok(serde_json::from_str(&text)?)
}

fn store<'v>(privacy: &'v Value, name: &str) -> Result<&'v Value> {
    let stores = privacy["stores"].as_array().context("no stores")?;
    let found = stores.iter().find(|it| it["store"] == name);
    found.with_context(|| format!("no store {name}: {privacy:#}"))
}

fn told(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    config.readers = Some("mail");
    let _daemon = bench.run(&config)?;
    traffic(bench)?;
    bench
        .lab
        .connect(Who::Foreign, Who::OwnMail, Family::V4, 587)?;
    let privacy = json(bench, &["privacy"])?;
    ensure!(
        privacy["unknown"].as_array().is_some_and(Vec::is_empty) && privacy["daemon"] == true,
        "{privacy:#}"
    );
    let count = |name: &str| -> Result<(Value, Value)> {
        let store = store(&privacy, name)?;
        Ok((store["entries"].clone(), store["readers"].clone()))
    };
    // Who can read it is what the file system says: by stat, and by nothing of the gate.
    let maps_of = Pins::new(bench.lab.pins())?.maps();
    for (name, map, entries, group_reads) in [
        ("sources", maps::SOURCES, Some(5), false),
        ("flows", maps::FLOWS, Some(1), true),
        ("buckets", maps::BUCKETS, None, false),
    ] {
        let (found, readers) = count(name)?;
        let stat = stat(&maps_of.join(map))?;
        ensure!(
            entries.is_none_or(|it| found == it)
                && readers["group_reads"] == group_reads
                && stat
                    == format!(
                        "{} {} {}",
                        text(&readers["owner"]),
                        text(&readers["group"]),
                        text(&readers["mode"])
                    ),
            "{name}: {stat}, {privacy:#}"
        );
    }
    let since = store(&privacy, "flows")?["oldest"]
        .as_str()
        .context("no time")?;
    let age = jiff::Timestamp::now().duration_since(since.parse()?);
    ensure!((0..60).contains(&age.as_secs()), "{since}");
    // A pin that nobody knows is said to be one.
    let strange = maps_of.join("ELSE");
    Map::open(&maps_of.join(maps::TOTALS), Access::Write)?.pin(&strange)?;
    let privacy = json(bench, &["privacy"])?;
    ensure!(
        privacy["unknown"][0] == strange.display().to_string(),
        "{privacy:#}"
    );
    fs::remove_file(strange)?;
    let shown = bench.gate().text(&["privacy"])?;
    ensure!(
        shown.contains("root and members of mail (root:mail 0640)") && !shown.contains("\n! "),
        "{shown}"
    );
    Ok(())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn stat(path: &Path) -> Result<String> {
    let mut command = std::process::Command::new("stat");
    command.arg("--format=%U %G 0%a").arg(path);
    let output = gate_tests::exec::output(&mut command, "", PATIENCE)?;
    Ok(output.stdout.trim().to_owned())
}

fn forgotten(bench: &Bench<'_>) -> Result<()> {
    let daemon = bench.run(&bench.config()?)?;
    traffic(bench)?;
    // Whoever asks needs no daemon.
    daemon.terminate()?;
    let address = bench.lab.address(Who::Subscriber, Family::V4)?.to_string();
    let forget = |prefix: &str| json(bench, &["counters", "--forget", prefix]);
    let found = forget(&format!("{address}/32"))?;
    ensure!(found["sources"] == 1 && found["left"] == 0, "{found}");
    let found = forget(&format!("{address}/32"))?;
    ensure!(found["sources"] == 0, "{found}");
    let counters = bench.gate().counters()?;
    ensure!(
        counters.sources.entries.len() == 3 && refused(&counters) > 0,
        "{counters:#?}"
    );
    adds_up(&counters)?;
    // An address of a line is its line's; and a network is all that is in it.
    let v6 = bench.lab.address(Who::Subscriber, Family::V6)?;
    let found = forget(&format!("{v6}/128"))?;
    ensure!(found["sources"] == 1, "{found}");
    ensure!(!in_memory(bench, Who::Subscriber)?, "it is still there");
    forget("0.0.0.0/0")?;
    forget("::/0")?;
    let counters = bench.gate().counters()?;
    ensure!(counters.sources.entries.is_empty(), "{counters:#?}");
    adds_up(&counters)?;
    Ok(())
}
