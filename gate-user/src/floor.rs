//! The oldest kernel that the gate runs on.

use aya::util::KernelVersion;

use crate::error::Error;

/// Linux 6.1, of Debian 12: the oldest on which program and maps are tested.
const OLDEST: (u8, u8, u16) = (6, 1, 0);

/// Fails, naming both versions, unless this kernel is new enough.
pub fn check() -> Result<(), Error> {
    let found = KernelVersion::current().map_err(|error| {
        Error::system("find the kernel's version")(std::io::Error::other(error))
    })?;
    new_enough(found)
}

fn new_enough(found: KernelVersion) -> Result<(), Error> {
    let (major, minor, patch) = OLDEST;
    if found >= KernelVersion::new(major, minor, patch) {
        Ok(())
    } else {
        let code = found.code();
        Err(Error::OldKernel {
            major: code >> 16,
            minor: code >> 8 & 0xff,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Exit;

    #[test]
    fn older_kernels_are_refused_by_name() {
        assert!(new_enough(KernelVersion::new(6, 1, 0)).is_ok());
        assert!(new_enough(KernelVersion::new(6, 18, 44)).is_ok());
        let error = new_enough(KernelVersion::new(5, 15, 200)).unwrap_err();
        assert_eq!(error.exit(), Exit::Failed);
        assert!(error.to_string().contains("6.1"), "{error}");
        assert!(error.hint().is_some());
    }
}
