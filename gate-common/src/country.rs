//! Country codes as small numbers.

use core::fmt;

/// How many values one character of a code can have: `0` to `9` and `A` to `Z`.
const RADIX: u16 = 36;

/// A country, by its two-character code as GeoIP databases write it: ISO 3166-1 alpha-2 codes, and the non-countries
/// that databases add to them (`EU`, `AP`, `XK`, `A1`, `A2`, `O1`).
///
/// The number is a function of the code, so that counters and tags mean the same in every generation: 0 is no country,
/// else `1 + 36 * first + second` with digits counted 0 to 9 and letters 10 to 35.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country(u16);

impl Country {
    /// The country of an address that no database knows.
    pub const NONE: Self = Self(0);
    /// One more than the largest number that a country has.
    pub const COUNT: usize = 1 + (RADIX * RADIX) as usize;

    /// The country with this two-character code, in either case; `None` if it is not two ASCII letters or digits.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        let &[first, second] = code.as_bytes() else {
            return None;
        };
        Some(Self(1 + RADIX * digit(first)? + digit(second)?))
    }

    /// The country with this number; [`Country::NONE`] for 0 and for numbers that are none.
    #[inline(always)]
    #[must_use]
    pub const fn from_number(number: u16) -> Self {
        if (number as usize) < Self::COUNT {
            Self(number)
        } else {
            Self::NONE
        }
    }

    /// Every country, and [`Country::NONE`] first.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..).take(Self::COUNT).map(Self)
    }

    /// The number, below [`Country::COUNT`].
    #[inline(always)]
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The code in capitals; `None` for [`Country::NONE`].
    #[must_use]
    pub fn code(self) -> Option<Code> {
        let index = self.0.checked_sub(1)?;
        Some(Code([character(index / RADIX), character(index % RADIX)]))
    }
}

/// The two characters of a country's code; shows as them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code([u8; 2]);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([first, second]) = *self;
        f.write_str(core::str::from_utf8(&[first, second]).map_err(|_| fmt::Error)?)
    }
}

fn digit(character: u8) -> Option<u16> {
    match character {
        b'0'..=b'9' => Some(u16::from(character - b'0')),
        b'A'..=b'Z' => Some(u16::from(character - b'A') + 10),
        b'a'..=b'z' => Some(u16::from(character - b'a') + 10),
        _ => None,
    }
}

fn character(digit: u16) -> u8 {
    const DIGITS: &[u8; RADIX as usize] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    DIGITS.get(usize::from(digit)).copied().unwrap_or(b'?')
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{collections::BTreeSet, string::ToString as _};

    use super::*;

    #[test]
    fn every_code_has_its_own_number_and_comes_back() {
        let mut seen = BTreeSet::new();
        for first in ('0'..='9').chain('A'..='Z') {
            for second in ('0'..='9').chain('A'..='Z') {
                let code = std::format!("{first}{second}");
                let country = Country::from_code(&code).unwrap();
                assert!(usize::from(country.number()) < Country::COUNT);
                assert!(seen.insert(country.number()));
                assert_eq!(country.code().unwrap().to_string(), code);
            }
        }
        assert_eq!(seen.len(), Country::COUNT - 1);
        assert!(!seen.contains(&Country::NONE.number()));
    }

    #[test]
    fn refuses_what_is_no_code() {
        for text in ["", "J", "JPN", "j!", "日"] {
            assert_eq!(Country::from_code(text), None, "{text}");
        }
        assert_eq!(Country::from_code("jp"), Country::from_code("JP"));
        assert_eq!(Country::from_number(u16::MAX), Country::NONE);
        assert_eq!(Country::NONE.code(), None);
    }
}
