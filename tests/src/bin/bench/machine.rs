//! What the figures were measured on.

use std::fs;

use nix::sys::utsname::uname;

/// The kernel's release.
pub(crate) fn kernel() -> String {
    uname().map_or_else(
        |error| format!("unknown ({error})"),
        |name| name.release().to_string_lossy().into_owned(),
    )
}

/// The processor's name and how many of it there are.
pub(crate) fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let models: Vec<&str> = text
        .lines()
        .filter_map(|line| field(line, "model name"))
        .collect();
    match models.first() {
        Some(model) => format!("{} x {model}", models.len()),
        None => "unknown".to_owned(),
    }
}

/// How many cycles a second the first processor runs, as far as the kernel knows.
pub(crate) fn hertz() -> Option<f64> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let megahertz = text.lines().find_map(|line| field(line, "cpu MHz"))?;
    Some(megahertz.parse::<f64>().ok()? * 1e6)
}

/// How much memory there is.
pub(crate) fn memory() -> String {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    kibibytes(&text, "MemTotal").map_or_else(
        || "unknown".to_owned(),
        |bytes| format!("{} GiB", bytes >> 30),
    )
}

/// How much of the memory the kernel's own small objects take, in bytes. Tries are made of these.
pub(crate) fn slab() -> Option<u64> {
    kibibytes(&fs::read_to_string("/proc/meminfo").ok()?, "Slab")
}

/// How much of the memory the kernel itself takes, in bytes: its small objects that nothing frees for it, what it maps page by page,
/// and what each processor has of its own.
pub(crate) fn kernel_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let of = |name| kibibytes(&text, name);
    Some(of("SUnreclaim")? + of("VmallocUsed")? + of("Percpu")?)
}

/// The most memory that a process ever had, in bytes.
pub(crate) fn peak(process: u32) -> Option<u64> {
    kibibytes(
        &fs::read_to_string(format!("/proc/{process}/status")).ok()?,
        "VmHWM",
    )
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| field(line, name))?;
    let kibibytes: u64 = value.strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes << 10)
}

/// The value in a line `name: value`.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (found, value) = line.split_once(':')?;
    (found.trim() == name).then(|| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "SReclaimable:      1 kB\nSlab:              90432 kB\n";
        assert_eq!(kibibytes(text, "Slab"), Some(90_432 << 10));
        assert_eq!(kibibytes(text, "lab"), None);
        assert_eq!(
            field("model name\t: Example 9000", "model name"),
            Some("Example 9000")
        );
    }
}
