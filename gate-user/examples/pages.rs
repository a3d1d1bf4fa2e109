//! Writes what belongs to the command line, from its own definition: man pages and completions for shells.
//!
//! ```text
//! cargo run -p gate-user --example pages -- DIR
//! ```
//!
//! makes `DIR/man/gate.1` and one page for each subcommand, and `DIR/completions/gate.bash`, `_gate` (zsh) and `gate.fish`.

#![allow(
    unused_crate_dependencies,
    reason = "the lint looks at each target alone"
)]

#[path = "../src/cli/mod.rs"]
#[allow(
    dead_code,
    reason = "this is the program's own command line, of which only the definition is used here"
)]
mod cli;

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use clap::{Command, CommandFactory as _, ValueHint};
use clap_complete::{Shell, generate_to};
use clap_mangen::Man;

fn main() -> Result<()> {
    let directory = env::args_os().nth(1).context("usage: pages DIR")?;
    write(&PathBuf::from(directory))
}

/// Writes everything under this directory.
fn write(directory: &Path) -> Result<()> {
    let (man, completions) = (directory.join("man"), directory.join("completions"));
    for made in [&man, &completions] {
        fs::create_dir_all(made)
            .with_context(|| format!("cannot make the directory {}", made.display()))?;
    }
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(
            shell,
            &mut hinted(cli::Cli::command()),
            "gate",
            &completions,
        )
        .with_context(|| format!("cannot write the completion for {shell}"))?;
    }
    let mut command = helpless(cli::Cli::command());
    command.build();
    pages(&command, &man).with_context(|| format!("cannot write pages to {}", man.display()))
}

/// The page of a command, and those of its subcommands.
fn pages(command: &Command, directory: &Path) -> io::Result<()> {
    Man::new(command.clone())
        .manual("gate manual")
        .generate_to(directory)?;
    command
        .get_subcommands()
        .filter(|it| !it.is_hide_set())
        .try_for_each(|it| pages(it, directory))
}

/// The same, where shells complete the names of files for what is one.
fn hinted(command: Command) -> Command {
    let command = command.mut_args(|argument| {
        let names = argument.get_value_names().unwrap_or_default();
        let hint = match names.first().map(clap::builder::Str::as_str) {
            Some("FILE" | "CAPTURE") => ValueHint::FilePath,
            Some("DIR") => ValueHint::DirPath,
            Some(_) | None => return argument,
        };
        argument.value_hint(hint)
    });
    command.mut_subcommands(hinted)
}

/// The same without the subcommands `help`, of which nobody needs pages.
fn helpless(command: Command) -> Command {
    command
        .disable_help_subcommand(true)
        .mut_subcommands(helpless)
}

#[cfg(test)]
mod tests {
    use std::process;

    use super::*;

    /// The names of the pages of this command and those below it.
    fn names(command: &Command, before: &str) -> Vec<String> {
        let name = format!("{before}{}", command.get_name());
        let below = command
            .get_subcommands()
            .flat_map(|it| names(it, &format!("{name}-")));
        [format!("{name}.1")].into_iter().chain(below).collect()
    }

    #[test]
    fn every_subcommand_has_a_page() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path()).unwrap();
        let mut expected = names(&cli::Cli::command(), "");
        for known in ["gate.1", "gate-run.1", "gate-bypass-off.1"] {
            assert!(expected.iter().any(|it| it == known), "{expected:?}");
        }
        let mut found: Vec<String> = fs::read_dir(directory.path().join("man"))
            .unwrap()
            .map(|it| it.unwrap().file_name().into_string().unwrap())
            .collect();
        expected.sort();
        found.sort();
        assert_eq!(found, expected);
        for name in &found {
            let text = fs::read_to_string(directory.path().join("man").join(name)).unwrap();
            assert!(
                text.contains(".SH NAME") && text.contains(".SH OPTIONS"),
                "{name}"
            );
        }
    }

    #[test]
    fn bash_completes_with_it() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path()).unwrap();
        let script = directory.path().join("completions/gate.bash");
        // What bash would offer after `gate rel`.
        let asks = "source \"$1\" && COMP_WORDS=(gate rel) COMP_CWORD=1 && _gate gate rel gate && echo \"${COMPREPLY[@]}\"";
        let output = process::Command::new("bash")
            .args(["-c", asks, "bash"])
            .arg(&script)
            .output()
            .unwrap();
        let offered = String::from_utf8_lossy(&output.stdout);
        assert_eq!(offered.trim(), "reload", "{output:?}");
    }
}
