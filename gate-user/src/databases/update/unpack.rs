//! A database out of what providers pack it into: gzip, tar, both, or nothing.
//!
//! No name that an archive has is ever the name of a file here: what is unpacked goes into one file, which is open.

use std::{
    fs::File,
    io::{self, BufReader, Cursor, Read, Write},
};

use flate2::bufread::MultiGzDecoder;
use tar::Archive;

/// What a gzip file begins with (RFC 1952).
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// The length of a header of a tar archive, where it says that it is one, and what it says there.
const TAR_HEADER: usize = 512;
const TAR_MAGIC: (std::ops::Range<usize>, &[u8]) = (257..262, b"ustar");
/// What the file in an archive that is the database is called.
const DATABASE: &[u8] = b".mmdb";

/// Why there is no database in it.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// It is longer than anybody wants it.
    #[error("it unpacks to more than the {limit} octets that are taken")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// It is damaged.
    #[error("it is packed, and damaged or cut short")]
    Damaged,
    /// It is a page for people.
    #[error("it is a web page (HTML), not a database")]
    Page,
    /// There is nothing in it.
    #[error("it is an archive without a file *.mmdb")]
    None,
    /// There are several.
    #[error("it is an archive with more than one file *.mmdb")]
    Several,
    /// What is unpacked cannot be written.
    #[error("it cannot be unpacked: {0}")]
    Write(io::Error),
}

/// Writes the database in `packed` into `into`, if it has at most `limit` octets.
pub(super) fn unpack(packed: File, into: &mut File, limit: u64) -> Result<(), UnpackError> {
    let mut packed = BufReader::new(packed);
    let start = front(&mut packed, GZIP.len())?;
    let is_packed = start == GZIP;
    let all = Cursor::new(start).chain(packed);
    let plain: Box<dyn Read> = if is_packed {
        Box::new(MultiGzDecoder::new(BufReader::new(all)))
    } else {
        Box::new(all)
    };
    let mut plain = Bounded {
        plain,
        left: limit,
        over: false,
    };
    let unpacked = plain_file(&mut plain, into);
    match unpacked {
        // Whatever the reader of archives makes of it.
        Err(UnpackError::Damaged) if plain.over => Err(UnpackError::TooLarge { limit }),
        other => other,
    }
}

fn plain_file(plain: &mut impl Read, into: &mut File) -> Result<(), UnpackError> {
    let start = front(plain, TAR_HEADER)?;
    let (range, magic) = TAR_MAGIC;
    let is_archive = start.get(range).is_some_and(|it| it == magic);
    if start.trim_ascii_start().first() == Some(&b'<') {
        return Err(UnpackError::Page);
    }
    let mut all = Cursor::new(start).chain(plain);
    if !is_archive {
        return copy(&mut all, into).map(drop);
    }
    let mut found = false;
    let mut archive = Archive::new(all);
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        if !entry.header().entry_type().is_file() || !entry.path_bytes().ends_with(DATABASE) {
            continue;
        }
        if found {
            return Err(UnpackError::Several);
        }
        found = true;
        let size = entry.size();
        if copy(&mut entry, into)? != size {
            return Err(UnpackError::Damaged);
        }
    }
    // An archive ends before its file does, and behind that is what tells damage.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(damaged)?;
    if found {
        Ok(())
    } else {
        Err(UnpackError::None)
    }
}

fn copy(from: &mut impl Read, into: &mut File) -> Result<u64, UnpackError> {
    let mut buffer = vec![0; 64 << 10];
    let mut copied: u64 = 0;
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok(copied),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(damaged(error)),
        };
        into.write_all(buffer.get(..count).unwrap_or_default())
            .map_err(UnpackError::Write)?;
        copied += u64::try_from(count).unwrap_or(u64::MAX);
    }
}

/// So many octets, or all there are.
fn front(from: &mut impl Read, count: usize) -> Result<Vec<u8>, UnpackError> {
    let mut start = Vec::new();
    from.by_ref()
        .take(count.try_into().unwrap_or(u64::MAX))
        .read_to_end(&mut start)
        .map_err(damaged)?;
    Ok(start)
}

/// What libraries say of damage may quote it.
fn damaged(_: io::Error) -> UnpackError {
    UnpackError::Damaged
}

/// So many octets and not one more: what is longer is an error, where `Read::take` would say that it ends there.
struct Bounded<R> {
    plain: R,
    left: u64,
    over: bool,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.plain.read(buffer)?;
        let taken = count.try_into().unwrap_or(u64::MAX);
        if taken > self.left {
            self.over = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.left -= taken;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Seek as _;

    use flate2::{Compression, write::GzEncoder};
    use tar::{Builder, EntryType, Header};
    use tempfile::tempfile;

    use super::*;

    const LIMIT: u64 = 1 << 20;

    fn unpacked(packed: &[u8]) -> Result<Vec<u8>, UnpackError> {
        let (mut from, mut into) = (tempfile().unwrap(), tempfile().unwrap());
        from.write_all(packed).unwrap();
        from.rewind().unwrap();
        unpack(from, &mut into, LIMIT)?;
        let mut content = Vec::new();
        into.rewind().unwrap();
        into.read_to_end(&mut content).unwrap();
        Ok(content)
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(content).unwrap();
        gzip.finish().unwrap()
    }

    fn tar(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
        let mut archive = Builder::new(Vec::new());
        for (name, kind, content) in entries {
            let mut header = Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_size(content.len() as u64);
            // Names that lead outside are what `set_path` refuses to write.
            let place = &mut header.as_gnu_mut().unwrap().name;
            place[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            archive.append(&header, *content).unwrap();
        }
        archive.into_inner().unwrap()
    }

    #[test]
    fn what_is_packed_is_what_comes_out() {
        let content = b"country".repeat(1000);
        let archive = tar(&[
            ("GeoLite2-Country_1/", EntryType::Directory, b""),
            ("GeoLite2-Country_1/COPYRIGHT.txt", EntryType::Regular, b"c"),
            (
                "GeoLite2-Country_1/GeoLite2-Country.mmdb",
                EntryType::Regular,
                &content,
            ),
        ]);
        for packed in [
            content.clone(),
            gzip(&content),
            archive.clone(),
            gzip(&archive),
            // Two members are one file (RFC 1952, section 2.2).
            [gzip(&content[..70]), gzip(&content[70..])].concat(),
        ] {
            assert_eq!(unpacked(&packed).unwrap(), content);
        }
        assert_eq!(unpacked(b"").unwrap(), b"");
        assert_eq!(unpacked(b"x").unwrap(), b"x");
    }

    #[test]
    fn names_lead_nowhere() {
        let outside = "../../../../../../../../../../../../tmp/gate-outside.mmdb";
        let archive = tar(&[(outside, EntryType::Regular, b"content")]);
        assert_eq!(unpacked(&archive).unwrap(), b"content");
        assert!(!std::path::Path::new("/tmp/gate-outside.mmdb").exists());
        for kind in [
            EntryType::Symlink,
            EntryType::Link,
            EntryType::Char,
            EntryType::Fifo,
        ] {
            let archive = tar(&[("a.mmdb", kind, b"")]);
            assert!(
                matches!(unpacked(&archive), Err(UnpackError::None)),
                "{kind:?}"
            );
        }
    }

    #[test]
    fn what_is_no_database_is_named() {
        let file = |name| (name, EntryType::Regular, &b"content"[..]);
        let content = gzip(&b"content".repeat(1000));
        let archive = gzip(&tar(&[file("a.mmdb")]));
        // An octet of the checksum, which lies before the length (RFC 1952, section 2.3).
        let mut flipped = archive.clone();
        let checksum = flipped.len() - 8;
        flipped[checksum] ^= 1;
        for (packed, expected) in [
            (tar(&[file("a.txt")]), "archive without"),
            (tar(&[file("a.mmdb"), file("b/b.mmdb")]), "more than one"),
            (
                content[..content.len() / 2].to_vec(),
                "damaged or cut short",
            ),
            (
                content[..content.len() - 1].to_vec(),
                "damaged or cut short",
            ),
            (
                [&content[..20], &content[21..]].concat(),
                "damaged or cut short",
            ),
            (gzip(&tar(&[file("a.mmdb")])[..600]), "damaged or cut short"),
            (
                archive[..archive.len() - 1].to_vec(),
                "damaged or cut short",
            ),
            (flipped, "damaged or cut short"),
            (b"<!DOCTYPE html>".to_vec(), "web page"),
            (gzip(b"\r\n <html>"), "web page"),
        ] {
            let error = unpacked(&packed).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}, should be {expected}");
        }
    }

    #[test]
    fn a_bomb_is_left_at_the_limit() {
        let limit = usize::try_from(LIMIT).unwrap();
        assert_eq!(unpacked(&gzip(&vec![0; limit])).unwrap().len(), limit);
        let bomb = vec![0; limit + 1];
        let before = tar(&[
            ("a.txt", EntryType::Regular, &bomb),
            ("a.mmdb", EntryType::Regular, b"content"),
        ]);
        for packed in [
            gzip(&bomb),
            bomb.clone(),
            gzip(&tar(&[("a.mmdb", EntryType::Regular, &bomb)])),
            gzip(&before),
        ] {
            let error = unpacked(&packed).unwrap_err();
            assert!(
                matches!(error, UnpackError::TooLarge { limit: LIMIT }),
                "{error}"
            );
        }
    }
}
