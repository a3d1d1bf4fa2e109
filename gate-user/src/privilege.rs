//! The capabilities that the gate needs, and nothing else of root.

use std::{fs, io};

use crate::error::Error;

/// Their names; `CAP_SYS_ADMIN` stands for `CAP_BPF` and `CAP_PERFMON` (capabilities(7)).
pub const NEEDED: [&str; 3] = ["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"];

/// Their numbers in the kernel's `include/uapi/linux/capability.h`.
const NUMBERS: [u32; 3] = [39, 12, 38];
const NET_ADMIN: u32 = 12;
const SYS_ADMIN: u32 = 21;

/// Fails, naming what is missing, unless this process has them all.
pub fn check() -> Result<(), Error> {
    let status =
        fs::read_to_string("/proc/self/status").map_err(Error::system("read /proc/self/status"))?;
    let effective = effective(&status)
        .ok_or_else(|| io::Error::other("no CapEff line"))
        .map_err(Error::system("read /proc/self/status"))?;
    let missing = missing(effective);
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Error::Privilege { missing })
    }
}

/// What the process with this id lacks of them.
pub fn missing_of(process: u32) -> io::Result<Vec<&'static str>> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let effective = effective(&status).ok_or_else(|| io::Error::other("no CapEff line"))?;
    Ok(missing(effective))
}

fn effective(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn missing(effective: u64) -> Vec<&'static str> {
    let has = |number: u32| effective >> number & 1 == 1;
    let lacks = |number: u32| !has(number) && (number == NET_ADMIN || !has(SYS_ADMIN));
    NEEDED
        .into_iter()
        .zip(NUMBERS)
        .filter(|(_, number)| lacks(*number))
        .map(|(name, _)| name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_is_missing() {
        assert_eq!(missing(0), NEEDED);
        assert_eq!(missing(u64::MAX), Vec::<&str>::new());
        assert_eq!(missing(1 << 39 | 1 << 12), ["CAP_PERFMON"]);
        assert_eq!(missing(1 << SYS_ADMIN), ["CAP_NET_ADMIN"]);
    }

    #[test]
    fn reads_the_kernel_s_format() {
        assert_eq!(
            effective("Name:\tgate\nCapEff:\t000001ffffffffff\n"),
            Some(0x1ff_ffff_ffff)
        );
        assert_eq!(effective("Name:\tgate\n"), None);
    }
}
