//! Credentials, which are in a file of their own, so that nobody has to show them with the configuration.

use std::{
    fmt, io,
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper::header::HeaderValue;

use crate::file;

/// The longest file of credentials.
const LENGTH_MAX: u64 = 4096;
/// What users who are neither the owner nor of the group may do.
const OTHERS: u32 = 0o007;

/// What a request says of who asks.
#[derive(Clone)]
pub(crate) struct Credentials(HeaderValue);

/// Credentials that cannot be used. It does not quote them.
#[derive(Debug, thiserror::Error)]
#[error("the credentials in {path} {fault}", path = path.display())]
pub struct CredentialsError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub fault: CredentialsFault,
}

/// What is wrong with credentials.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsFault {
    /// They cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
    /// Everybody can read them.
    #[error("can be read or written by everybody on this machine (mode {0:04o})")]
    Open(u32),
    /// They are of no known form.
    #[error("are neither `ACCOUNT:KEY` nor `Bearer TOKEN`, on one line")]
    Form,
}

impl CredentialsError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        let path = self.path.display();
        match &self.fault {
            CredentialsFault::Unreadable(_) => format!(
                "`ls -l {path}` shows who may read it; `credentials` under [[geoip.update]] names it"
            ),
            CredentialsFault::Open(_) => format!("`chmod o= {path}`"),
            CredentialsFault::Form => format!(
                "write the account's number, a colon and the licence key into {path}, or `Bearer` and a token"
            ),
        }
    }
}

impl Credentials {
    /// Reads those in the file at `path`.
    pub(crate) fn read(path: &Path) -> Result<Self, CredentialsError> {
        Self::take(path).map_err(|fault| CredentialsError {
            path: path.to_owned(),
            fault,
        })
    }

    fn take(path: &Path) -> Result<Self, CredentialsFault> {
        let file = file::open(path, LENGTH_MAX).map_err(CredentialsFault::Unreadable)?;
        // Of the file that is open, not of what has the name by now.
        let found = file.metadata().map_err(CredentialsFault::Unreadable)?;
        let mode = found.permissions().mode() & 0o7777;
        if mode & OTHERS != 0 {
            return Err(CredentialsFault::Open(mode));
        }
        let mut text = Vec::new();
        file.take(LENGTH_MAX)
            .read_to_end(&mut text)
            .map_err(CredentialsFault::Unreadable)?;
        let text = String::from_utf8(text).map_err(|_| CredentialsFault::Form)?;
        Self::parse(text.trim()).ok_or(CredentialsFault::Form)
    }

    fn parse(text: &str) -> Option<Self> {
        if text.contains(char::is_control) {
            return None;
        }
        let words = text.split_once(' ');
        let header = match words {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && text.is_ascii() => {
                format!("Bearer {}", token.trim())
            }
            _ if text.contains(':') => format!("Basic {}", STANDARD.encode(text)),
            _ => return None,
        };
        let mut header = HeaderValue::try_from(header).ok()?;
        header.set_sensitive(true);
        Some(Self(header))
    }

    pub(super) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use tempfile::tempdir;

    use super::*;

    fn of(text: &str, mode: u32) -> Result<String, CredentialsError> {
        let directory = tempdir().unwrap();
        let path = directory.path().join("secret");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let read = Credentials::read(&path)?;
        assert_eq!(format!("{read:?}"), "Credentials");
        assert!(read.header().is_sensitive());
        Ok(read.header().to_str().unwrap().to_owned())
    }

    #[test]
    fn an_account_and_a_key_or_a_token() {
        // RFC 7617, section 2.
        let basic = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
        for (text, expected) in [
            ("Aladdin:open sesame\n", basic),
            ("  Aladdin:open sesame", basic),
            ("Bearer canary\n", "Bearer canary"),
            ("bearer  canary", "Bearer canary"),
        ] {
            assert_eq!(of(text, 0o640).unwrap(), expected);
        }
        for text in [
            "",
            "\n",
            "canary",
            "canary:a\ncanary:b",
            "can\0ary:a",
            "Bearer \u{e9}",
        ] {
            let error = of(text, 0o600).unwrap_err();
            assert!(matches!(error.fault, CredentialsFault::Form), "{text:?}");
            let told = format!("{error}\n{}\n{error:?}", error.hint());
            assert!(!told.contains("canary"), "{told}");
        }
    }

    #[test]
    fn what_everybody_can_read_is_no_secret() {
        for mode in [0o604, 0o644, 0o602, 0o601] {
            let error = of("a:canary", mode).unwrap_err();
            assert!(matches!(error.fault, CredentialsFault::Open(found) if found == mode));
            assert!(!format!("{error} {error:?}").contains("canary"));
        }
    }
}
