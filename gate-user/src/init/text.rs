//! The text of a configuration to begin with.

use std::{collections::BTreeSet, fmt::Write as _};

use ipnet::IpNet;

use super::guess::{Guess, Interface, nature};

const HEAD: &str = "\
# Written by `gate init` from the interfaces, addresses and routes of this machine. Every role below is a guess: correct it.
# It only observes: `gate counters` shows what would be refused, and refuses nothing. docs/config.md describes every key.
";

const PORT25: &str = "
[port25]
action = \"observe\"     # \"enforce\" once `gate counters` and `gate matrix` look right
relays = []            # own mail servers that subscribers may reach on port 25, such as \"192.0.2.25/32\"
";

const CLASSES: &str = "
[submission]
ports   = [587, 465]
servers = []           # own submission servers; empty: any destination

# [[class]]            # at home: name the country, and make it what unknown addresses are
# name      = \"domestic\"
# countries = [\"JP\"]

[[class]]
name    = \"foreign\"
default = true
";

/// The configuration for this machine.
pub(super) fn text(guess: &Guess) -> String {
    let mut text = HEAD.to_owned();
    if !guess.skipped.is_empty() {
        text.push_str("#\n# Left out:\n");
    }
    for (name, why) in &guess.skipped {
        let _ = writeln!(text, "#   {name} {why}");
    }
    for it in &guess.access {
        interface(
            &mut text,
            it,
            "access",
            "has addresses, and no default route: subscribers may be there",
            "",
        );
    }
    // An uplink without classes has nothing to do.
    let is_idle = guess.databases.is_empty();
    for it in &guess.uplinks {
        let comment = if is_idle { "# " } else { "" };
        interface(
            &mut text,
            it,
            "uplink",
            "has the default route: the Internet seems to be there",
            comment,
        );
    }
    text.push_str(PORT25);
    let mut seen = BTreeSet::new();
    for it in &guess.access {
        pool(&mut text, it, &mut seen);
    }
    text.push_str(&geoip(guess));
    text
}

fn interface(text: &mut String, it: &Interface, role: &str, why: &str, comment: &str) {
    let addresses: Vec<String> = it
        .addresses
        .iter()
        .map(|net| format!("{net} ({})", nature(net.addr())))
        .collect();
    let _ = write!(
        text,
        "\n# {} {why}: {}\n{comment}[[interface]]\n{comment}name = {:?}\n{comment}role = \"{role}\"\n{comment}mode = \"auto\"        # \"native\" once `gate doctor` says that the driver has it\n",
        it.name,
        addresses.join(", "),
        it.name
    );
}

/// The pool of those who are on the link of this interface.
fn pool(text: &mut String, it: &Interface, seen: &mut BTreeSet<IpNet>) {
    let nets: Vec<String> = it
        .addresses
        .iter()
        .map(IpNet::trunc)
        .filter(|net| seen.insert(*net))
        .map(|net| format!("\"{net}\""))
        .collect();
    if nets.is_empty() {
        return;
    }
    let _ = write!(
        text,
        "\n[[access]]             # the networks of {} itself; add those that are routed to it\nname     = {:?}\npolicy   = \"restrict\"\nprefixes = [{}]\n",
        it.name,
        it.name,
        nets.join(", ")
    );
}

fn geoip(guess: &Guess) -> String {
    if let [path, ..] = guess.databases.as_slice() {
        return format!(
            "\n[geoip]\ndatabases = [{:?}]\nunknown   = \"foreign\"    # the class of addresses that it does not know\ntunnels   = \"foreign\"\n{CLASSES}",
            path.display().to_string()
        );
    }
    let why = guess.unusable.as_ref().map_or_else(
        || "No country database is in /var/lib/GeoIP, /usr/share/GeoIP, /usr/local/share/GeoIP or /var/lib/gate".to_owned(),
        |why| format!("The country database cannot be used ({})", why.replace('\n', " ")),
    );
    let commented: String = CLASSES
        .lines()
        .map(|line| format!("# {}\n", line.trim_start_matches("# ")).replace("# \n", "\n"))
        .collect();
    format!(
        "\n# {why}.\n# With one, connections to submission servers get a class by the country that they come from: get one (`geoipupdate`, or DB-IP's\n# country lite), then take these comments away, and those of the uplinks.\n# [geoip]\n# databases = [\"/var/lib/GeoIP/GeoLite2-Country.mmdb\"]\n# unknown   = \"foreign\"\n# tunnels   = \"foreign\"\n{commented}"
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;

    fn guess() -> Guess {
        let one = |name: &str, nets: &[&str]| Interface {
            name: name.to_owned(),
            addresses: nets.iter().map(|it| it.parse().unwrap()).collect(),
        };
        Guess {
            access: vec![
                one("eth1", &["100.64.0.1/10", "2001:db8:1::1/64"]),
                one("eth2.100", &["100.64.0.1/10"]),
            ],
            uplinks: vec![one("eth0", &["192.0.2.1/24"])],
            skipped: vec![("lo".to_owned(), "is the loopback".to_owned())],
            ..Guess::default()
        }
    }

    fn parsed(text: &str) -> config::Config {
        let read = |_: &Path| Ok(text.to_owned());
        config::load(Path::new("gate.toml"), &read)
            .unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    #[test]
    fn it_is_a_configuration_with_and_without_a_database() {
        let without = text(&guess());
        let config = parsed(&without);
        assert_eq!(config.interfaces.len(), 2, "{without}");
        assert!(config.geoip.is_none());
        assert!(without.contains("\n#   lo is the loopback\n"));
        let with = text(&Guess {
            databases: vec!["/var/lib/GeoIP/GeoLite2-Country.mmdb".into()],
            ..guess()
        });
        let config = parsed(&with);
        assert_eq!(config.interfaces.len(), 3, "{with}");
        assert!(config.geoip.is_some());
    }

    #[test]
    fn taking_the_comments_away_gives_what_a_database_gives() {
        let without = text(&guess());
        let at = without.find("# [geoip]").unwrap();
        let (before, after) = without.split_at(at);
        let after: Vec<&str> = after
            .lines()
            .map(|line| line.trim_start_matches("# "))
            .collect();
        let before = before
            .replace("# [[interface]]", "[[interface]]")
            .replace("# name =", "name =")
            .replace("# role =", "role =")
            .replace("# mode =", "mode =");
        let config = parsed(&(before + &after.join("\n")));
        assert_eq!(config.interfaces.len(), 3);
        assert!(config.geoip.is_some());
    }
}
