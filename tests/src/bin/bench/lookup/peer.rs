//! What the peers that are commands have in common: a directory of files, a bounded run, and proof of their answers.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{BufWriter, Read as _, Seek as _, Write as _},
    net::IpAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use gate_tests::{exec, interrupt, lab::NetNs};
use gate_user::table::Family;
use serde_json::Value;

use super::{
    addresses::Set,
    live::{self, Link, Round, Source},
};
use crate::machine;

/// What takes longer is given up.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);
/// How often a command's memory is looked at.
const PAUSE: Duration = Duration::from_millis(2);

/// What a command took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Took {
    pub(crate) seconds: f64,
    /// The most memory that it had.
    pub(crate) peak: u64,
}

/// Runs a command in `netns` with a file as its standard input, and measures it.
pub(crate) fn run(netns: &NetNs, command: &mut Command, input: &Path) -> Result<Took> {
    let what = format!("{} < {}", exec::describe(command), input.display());
    netns.contain(command);
    let mut errors = tempfile::tempfile()?;
    command
        .stdin(File::open(input).with_context(|| format!("cannot open {}", input.display()))?)
        .stdout(Stdio::null())
        .stderr(errors.try_clone()?);
    let start = Instant::now();
    let mut child = exec::spawn(command).with_context(|| format!("cannot start `{what}`"))?;
    let mut peak = 0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        // Gone once it has ended: what was seen before stands.
        peak = machine::peak(child.id()).unwrap_or(0).max(peak);
        if start.elapsed() > PATIENCE || interrupt::check().is_err() {
            child.kill()?;
            child.wait()?;
            interrupt::check()?;
            bail!("`{what}` did not end within {PATIENCE:?}");
        }
        thread::sleep(PAUSE);
    };
    let seconds = start.elapsed().as_secs_f64();
    let mut said = String::new();
    errors.rewind()?;
    errors.take(4096).read_to_string(&mut said)?;
    ensure!(
        status.success(),
        "`{what}` failed ({status}): {}",
        said.trim()
    );
    Ok(Took { seconds, peak })
}

/// Runs a short command in `netns`, with text as its standard input, and returns what it printed.
pub(crate) fn tool(netns: &NetNs, words: &[&str], input: &str) -> Result<String> {
    let (program, arguments) = words.split_first().context("no command")?;
    let mut command = Command::new(program);
    command.args(arguments);
    netns.contain(&mut command);
    exec::tool(&mut command, input)
}

/// Whether there is such a command.
pub(crate) fn is_there(program: &str) -> bool {
    let found = exec::output(
        Command::new(program).arg("--version"),
        "",
        Duration::from_secs(5),
    );
    found.is_ok_and(|output| output.status.success())
}

/// Writes a file for a command.
pub(crate) fn write(
    directory: &Path,
    name: &str,
    content: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
) -> Result<PathBuf> {
    let path = directory.join(name);
    let written = File::create(&path).and_then(|file| {
        let mut file = BufWriter::new(file);
        content(&mut file)?;
        file.flush()
    });
    written.with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// How much memory the kernel takes, once it has freed what it was about to.
pub(crate) fn settled() -> Result<u64> {
    const STEADY: u64 = 1 << 20;
    const TRIES: u32 = 10;
    let memory =
        || machine::kernel_memory().context("/proc/meminfo does not say what the kernel takes");
    let mut before = memory()?;
    for _ in 0..TRIES {
        interrupt::sleep(Duration::from_millis(200))?;
        let now = memory()?;
        if now.abs_diff(before) < STEADY {
            return Ok(now);
        }
        before = now;
    }
    Ok(before)
}

/// Makes sure that whatever sets marks at the receiving end of `link` gives every one of the first `size` addresses its number. It
/// has to let the frames through: a table of our own behind it takes down each address with its mark.
pub(crate) fn prove(
    link: &Link,
    source: &mut Source,
    (family, set, round): (Family, &Set, Round),
    subject: &str,
) -> Result<()> {
    let netns = &link.receiver;
    let ip = match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    };
    let table = format!(
        "table {ip} answers {{\n\
         set seen {{ typeof {ip} saddr . meta mark; size {}; flags dynamic; }}\n\
         chain judge {{ type filter hook prerouting priority 0; policy drop;\n\
         udp dport 587 add @seen {{ {ip} saddr . meta mark }}\n}}\n\
         }}\n",
        2 * round.size
    );
    tool(netns, &["nft", "-f", "-"], &table)?;
    live::send(link, source, family, round)?;
    let text = tool(
        netns,
        &["nft", "-j", "list", "set", ip, "answers", "seen"],
        "",
    )?;
    tool(netns, &["nft", "delete", "table", ip, "answers"], "")?;
    let seen = marks(&text)?;
    for (address, number) in set.answers(round.size) {
        let found = seen.get(&address).map(Vec::as_slice).unwrap_or_default();
        ensure!(
            found == [u32::from(number)],
            "{subject} gives {address} {found:?} and should {number}: no figure of this run counts"
        );
    }
    Ok(())
}

/// The marks of each address in what `nft -j list set` says.
fn marks(text: &str) -> Result<HashMap<IpAddr, Vec<u32>>> {
    let root: Value = serde_json::from_str(text).context("nft does not print JSON")?;
    let objects = root.get("nftables").and_then(Value::as_array);
    let set = objects
        .into_iter()
        .flatten()
        .find_map(|it| it.get("set"))
        .context("nft does not print the set")?;
    let mut marks: HashMap<IpAddr, Vec<u32>> = HashMap::new();
    let elements = set.get("elem").and_then(Value::as_array);
    for element in elements.into_iter().flatten() {
        let plain = element.pointer("/elem/val").unwrap_or(element);
        let pair = plain.get("concat").and_then(Value::as_array);
        let Some([address, mark]) = pair.map(Vec::as_slice) else {
            bail!("an element of the set is no pair: {element}");
        };
        let address = address.as_str().and_then(|it| it.parse().ok());
        let mark = mark.as_u64().and_then(|it| u32::try_from(it).ok());
        let (Some(address), Some(mark)) = (address, mark) else {
            bail!("an element of the set is no address with a mark: {element}");
        };
        marks.entry(address).or_default().push(mark);
    }
    Ok(marks)
}

/// The first lines of a file, and how many more there are.
pub(crate) fn abbreviated(path: &Path, lines: usize) -> Result<String> {
    let text = fs::read_to_string(path)?;
    Ok(first_lines(text.lines(), lines))
}

/// The same of lines.
pub(crate) fn first_lines<'a>(
    lines: impl Iterator<Item = &'a str> + Clone,
    shown: usize,
) -> String {
    let total = lines.clone().count();
    let mut text: Vec<String> = lines.take(shown).map(str::to_owned).collect();
    if total > shown {
        text.push(format!("... {} more lines ...", total - shown));
    }
    text.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_those_of_their_addresses() {
        let text = r#"{"nftables": [{"metainfo": {}}, {"set": {"name": "seen", "elem": [
            {"concat": ["192.0.2.1", 7]}, {"elem": {"val": {"concat": ["2001:db8::1", 9]}}}, {"concat": ["192.0.2.1", 8]}]}}]}"#;
        let marks = marks(text).unwrap();
        assert_eq!(marks[&"192.0.2.1".parse::<IpAddr>().unwrap()], [7, 8]);
        assert_eq!(marks[&"2001:db8::1".parse::<IpAddr>().unwrap()], [9]);
        assert_eq!(marks.len(), 2);
    }

    #[test]
    fn long_files_are_shown_by_their_beginning() {
        let directory = tempfile::tempdir().unwrap();
        let path = write(directory.path(), "list", |file| writeln!(file, "a\nb\nc")).unwrap();
        assert_eq!(abbreviated(&path, 2).unwrap(), "a\nb\n... 1 more lines ...");
        assert_eq!(abbreviated(&path, 3).unwrap(), "a\nb\nc");
    }
}
