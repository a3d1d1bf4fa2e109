//! `cargo xtask coverage`: the lines of the packet path that the fuzzing corpora and the property tests reach.
//!
//! Unit tests in the sources are left out: their own lines would count as lines that are reached.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{command, say, workspace::Workspace};

/// The least part of the lines that must be reached, in per cent.
const LEAST: usize = 95;
/// What is measured, in gate-common/src.
const MEASURED: [&str; 5] = ["parse/", "decide.rs", "decide/", "answer.rs", "limit.rs"];
/// What reaches it.
const TESTS: [&str; 4] = ["properties", "corpora", "shapes", "decisions"];

/// Lines by number, and how often each was run.
type Lines = BTreeMap<u32, u64>;
/// Files by their names below the sources.
type Files = BTreeMap<String, Lines>;

/// The subcommand.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let tools = tools(workspace)?;
    let directory = workspace.target.join("coverage");
    let profiles = directory.join("profiles");
    // Those of other sources would not fit.
    let _ = fs::remove_dir_all(&profiles);
    let mut files = Files::new();
    // One after the other: of a function that one program has and another has not, llvm-cov would take the latter's word.
    for (program, number) in build(workspace, &directory)?.iter().zip(1..) {
        let profile = profiles.join(format!("{number}.profraw"));
        command::capture(
            Command::new(program)
                .env("LLVM_PROFILE_FILE", &profile)
                .current_dir(workspace.root.join("gate-common")),
        )?;
        let merged = profile.with_extension("profdata");
        command::capture(
            Command::new(tools.join("llvm-profdata"))
                .args(["merge", "--sparse", "--output"])
                .args([&merged, &profile]),
        )?;
        let text = command::capture(
            Command::new(tools.join("llvm-cov"))
                .args(["export", "--format=lcov", "--instr-profile"])
                .args([&merged, program]),
        )?;
        add(&mut files, &text, &workspace.root.join("gate-common/src"));
    }
    report(&files)
}

/// The directory of the compiler's own LLVM tools: another LLVM may not read its profiles.
fn tools(workspace: &Workspace) -> Result<PathBuf> {
    let rustc = |arguments: &[&str]| {
        let mut rustc = Command::new("rustc");
        command::capture(rustc.args(arguments).current_dir(&workspace.root))
    };
    let sysroot = rustc(&["--print", "sysroot"])?;
    let version = rustc(&["-vV"])?;
    let field = |name| version.lines().find_map(|line| line.strip_prefix(name));
    let host = field("host: ").context("`rustc -vV` names no host")?;
    let component = Path::new(sysroot.trim_end()).join(format!("lib/rustlib/{host}/bin"));
    let is_there = |directory: &Path| command::is_executable(&directory.join("llvm-cov"));
    if is_there(&component) {
        return Ok(component);
    }
    if command::find("rustup").is_some() {
        say::step("adding llvm-tools: the coverage is read with them");
        command::run(
            Command::new("rustup")
                .args(["component", "add", "llvm-tools"])
                .current_dir(&workspace.root),
        )?;
    }
    if !is_there(&component) {
        bail!(
            "this rustc has no llvm-tools in {}: rustup component add llvm-tools",
            component.display()
        );
    }
    Ok(component)
}

/// The test programs, which write down what they run.
fn build(workspace: &Workspace, directory: &Path) -> Result<Vec<PathBuf>> {
    let mut test = workspace.cargo();
    test.args(["test", "--no-run", "--package", "gate-common"]);
    for name in TESTS {
        test.args(["--test", name]);
    }
    let flags = env::var("RUSTFLAGS").unwrap_or_default();
    test.args(["--message-format", "json-render-diagnostics"])
        .arg("--target-dir")
        .arg(directory)
        .env("RUSTFLAGS", format!("{flags} -Cinstrument-coverage"))
        // Build scripts write profiles too.
        .env("LLVM_PROFILE_FILE", directory.join("build/%p.profraw"));
    let messages = command::capture(&mut test)?;
    let programs: Vec<PathBuf> = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?)))
        .collect();
    ensure!(
        programs.len() == TESTS.len(),
        "`{}` built {} programs instead of {}",
        command::describe(&test),
        programs.len(),
        TESTS.len()
    );
    Ok(programs)
}

/// Adds what an export of llvm-cov says of the files that count.
fn add(files: &mut Files, text: &str, sources: &Path) {
    let mut current = None;
    for line in text.lines() {
        if let Some(path) = line.strip_prefix("SF:") {
            let name = Path::new(path).strip_prefix(sources).ok();
            let name = name.map(|name| name.to_string_lossy().into_owned());
            current = name.filter(|name| MEASURED.iter().any(|it| name.starts_with(it)));
        } else if let (Some(name), Some(counted)) = (&current, line.strip_prefix("DA:"))
            && let Some((number, count)) = counted.split_once(',')
            && let (Ok(number), Ok(count)) = (number.parse(), count.parse::<u64>())
        {
            *files
                .entry(name.clone())
                .or_default()
                .entry(number)
                .or_default() += count;
        }
    }
}

fn report(files: &Files) -> Result<()> {
    let (mut all, mut reached) = (0, 0);
    let mut poor = Vec::new();
    for (name, lines) in files {
        let missed: Vec<String> = lines
            .iter()
            .filter(|(_, count)| **count == 0)
            .map(|(number, _)| number.to_string())
            .collect();
        let here = lines.len() - missed.len();
        all += lines.len();
        reached += here;
        let missing = if missed.is_empty() {
            String::new()
        } else {
            format!("; not reached: {}", missed.join(", "))
        };
        say::line(format_args!(
            "{name:<22} {here:>4} of {:>4} lines{missing}",
            lines.len()
        ));
        if here * 100 < lines.len() * LEAST {
            poor.push(name.as_str());
        }
    }
    ensure!(all > 0, "no line of {} was measured", MEASURED.join(", "));
    say::line(format_args!(
        "{:<22} {reached:>4} of {all:>4} lines, {}.{} %",
        "all",
        reached * 100 / all,
        reached * 1000 / all % 10
    ));
    ensure!(
        poor.is_empty(),
        "less than {LEAST} % of the lines are reached in {}: add what reaches them to fuzz/corpus",
        poor.join(", ")
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_packet_path_are_counted() {
        let text = "SF:/g/src/decide.rs\nDA:1,5\nDA:2,0\nend_of_record\n\
                    SF:/g/src/addr.rs\nDA:1,0\nend_of_record\n\
                    SF:/g/src/parse/mod.rs\nDA:7,1\nend_of_record\n";
        let sources = Path::new("/g/src");
        let mut files = Files::new();
        add(&mut files, text, sources);
        let expected = [
            ("decide.rs".to_owned(), Lines::from([(1, 5), (2, 0)])),
            ("parse/mod.rs".to_owned(), Lines::from([(7, 1)])),
        ];
        assert_eq!(files, expected.into());
        assert!(report(&files).is_err());
        // What one program does not reach, another may.
        add(&mut files, "SF:/g/src/decide.rs\nDA:2,1\n", sources);
        assert!(report(&files).is_ok());
        assert!(report(&Files::new()).is_err());
    }
}
