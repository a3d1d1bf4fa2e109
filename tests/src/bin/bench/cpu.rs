//! One processor for what is measured.

use std::fs;

use anyhow::{Context as _, Result};
pub(crate) use gate_tests::cpu::{allowed, keep_to};

/// A processor that this process may use: the last one, since the first ones have the machine's interrupts.
pub(crate) fn choose() -> Result<usize> {
    let last = allowed()?.pop();
    last.context("this process may use no processor")
}

/// The id of the kernel's thread that takes over on `cpu` what interrupts leave too much of.
pub(crate) fn softirq_thread(cpu: usize) -> Result<u32> {
    let wanted = format!("ksoftirqd/{cpu}");
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        if fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == wanted) {
            let name = path.file_name().and_then(|it| it.to_str());
            return name
                .and_then(|it| it.parse().ok())
                .with_context(|| format!("{} is no process", path.display()));
        }
    }
    anyhow::bail!("there is no {wanted}: is this a container that hides the kernel's threads?")
}

/// How long a thread has been on its processor, in nanoseconds.
pub(crate) fn spent(thread: u32) -> Result<u64> {
    let path = format!("/proc/{thread}/schedstat");
    let text = fs::read_to_string(&path).with_context(|| {
        format!("cannot read {path}: was the kernel built without CONFIG_SCHED_INFO?")
    })?;
    first(&text).with_context(|| format!("unexpected text in {path}: {text}"))
}

fn first(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_number_is_the_time() {
        assert_eq!(first("746654 672192 2\n"), Some(746_654));
        assert_eq!(first(""), None);
    }
}
