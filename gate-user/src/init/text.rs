//! The text of a configuration to begin with.

use std::fmt::Write as _;

use ipnet::IpNet;

use super::{
    guess::{Guess, Interface, nature},
    pools::{POOL_MAX, Pool, pools},
};

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
            "has no default route: subscribers may be there",
            "",
        );
    }
    // An uplink without classes has nothing to do.
    let is_idle = guess.databases.is_empty();
    for it in &guess.uplinks {
        let comment = if is_idle { "# " } else { "" };
        let why = if it.has_default {
            "has the default route: the Internet seems to be there"
        } else {
            "has routes to a large part of the Internet: that seems to be there"
        };
        interface(&mut text, it, "uplink", why, comment);
    }
    text.push_str(PORT25);
    for (index, (it, found)) in guess.access.iter().zip(pools(&guess.access)).enumerate() {
        pool(&mut text, index, it, &found);
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
    let addresses = match addresses.as_slice() {
        [] => "it has no address but those of its link".to_owned(),
        addresses => addresses.join(", "),
    };
    let _ = write!(
        text,
        "\n# {} {why}: {addresses}\n{comment}[[interface]]\n{comment}name = {:?}\n{comment}role = \"{role}\"\n{comment}mode = \"auto\"        # \"native\" once `gate doctor` says that the driver has it\n",
        it.name, it.name
    );
}

/// The pool of those who are behind this interface, the one of this number.
fn pool(text: &mut String, index: usize, it: &Interface, pool: &Pool) {
    let Pool {
        prefixes,
        more,
        elsewhere,
        within,
    } = pool;
    let name = &it.name;
    text.push('\n');
    for (net, owner) in elsewhere.iter().take(SAID) {
        let _ = writeln!(
            text,
            "# {net} is behind {name} as well as {owner}, and in the pool of that: a prefix is in one pool."
        );
    }
    for (net, owner) in within.iter().take(SAID) {
        let _ = writeln!(
            text,
            "# {net} lies in a network of {owner}: the longest prefix says whose a source is."
        );
    }
    let unsaid = elsewhere.len().saturating_sub(SAID) + within.len().saturating_sub(SAID);
    if unsaid > 0 {
        let _ = writeln!(text, "# So it is with {unsaid} more of its prefixes.");
    }
    if *more > 0 {
        let _ = writeln!(
            text,
            "# {more} more prefixes are behind {name}, of which this holds the {} largest (a pool at most {POOL_MAX}): write all, one a line, to a file, and name it in\n# `files`.              Until then port 25 of sources that are in none is open, and they count as `unlisted`. `ip route show dev {name}` and `ip -6 route show dev {name}` have them.",
            prefixes.len()
        );
    }
    if prefixes.is_empty() {
        let _ = writeln!(
            text,
            "# No network behind {name} is known that is not in another pool: make a pool of those of its subscribers."
        );
        return;
    }
    // Interfaces can be called what pools cannot.
    let fits = |it: char| it.is_ascii_alphanumeric() || matches!(it, '.' | '_' | '-');
    let called = if name.chars().all(fits) {
        name.clone()
    } else {
        format!("access_{index}_interface")
    };
    let _ = write!(
        text,
        "[[access]]             # the networks of {name} itself, and those that are routed to it\nname     = {called:?}\npolicy   = \"restrict\"\nprefixes = {}\n",
        list(prefixes)
    );
}

/// How many prefixes that are of two interfaces are told of each.
const SAID: usize = 8;

fn list(prefixes: &[IpNet]) -> String {
    let quoted: Vec<String> = prefixes.iter().map(|net| format!("\"{net}\"")).collect();
    if quoted.len() <= 4 {
        format!("[{}]", quoted.join(", "))
    } else {
        format!("[\n    {},\n]", quoted.join(",\n    "))
    }
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
        let one = |name: &str, nets: &[&str]| {
            Interface::new(name, nets.iter().map(|it| it.parse().unwrap()).collect())
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
    fn what_a_pool_does_not_hold_is_said() {
        let routes = |second: u8, count: u8| -> Vec<IpNet> {
            (0..count)
                .map(|it| format!("10.{second}.{it}.0/24").parse().unwrap())
                .collect()
        };
        let interface = |name: &str, routed| Interface {
            routed,
            ..Interface::new(name, Vec::new())
        };
        let text = text(&Guess {
            access: vec![
                interface("eth1", routes(1, 80)),
                interface("eth@2", vec!["10.0.0.0/8".parse().unwrap()]),
                interface("eth3", routes(1, 20)),
            ],
            ..Guess::default()
        });
        let config = parsed(&text);
        assert_eq!(config.pools.len(), 2, "{text}");
        assert_eq!(text.matches("/24\",\n").count(), 64, "{text}");
        for said in [
            "\n# 16 more prefixes are behind eth1, of which this holds the 64 largest ",
            "\n# 10.1.0.0/24 lies in a network of eth@2: ",
            "\n# So it is with 56 more of its prefixes.\n",
            "\n# 10.1.0.0/24 is behind eth3 as well as eth1, ",
            "\n# No network behind eth3 is known that is not in another pool",
            "\nname     = \"access_1_interface\"\n",
        ] {
            assert!(text.contains(said), "{said}\n{text}");
        }
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
