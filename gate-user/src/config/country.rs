//! Country codes that a class can name.

use gate_common::Country;

use super::fault::Fault;

/// The assigned two-letter codes of ISO 3166-1 as of 2023-04-05 (ISO/TC 46 N1108), in order: the first column of
/// `iso3166.tab` of the tz database, release 2025b, which is in the public domain.
const ISO_3166_1: [&str; 249] = [
    "AD", "AE", "AF", "AG", "AI", "AL", "AM", "AO", "AQ", "AR", "AS", "AT", "AU", "AW", "AX", "AZ",
    "BA", "BB", "BD", "BE", "BF", "BG", "BH", "BI", "BJ", "BL", "BM", "BN", "BO", "BQ", "BR", "BS",
    "BT", "BV", "BW", "BY", "BZ", "CA", "CC", "CD", "CF", "CG", "CH", "CI", "CK", "CL", "CM", "CN",
    "CO", "CR", "CU", "CV", "CW", "CX", "CY", "CZ", "DE", "DJ", "DK", "DM", "DO", "DZ", "EC", "EE",
    "EG", "EH", "ER", "ES", "ET", "FI", "FJ", "FK", "FM", "FO", "FR", "GA", "GB", "GD", "GE", "GF",
    "GG", "GH", "GI", "GL", "GM", "GN", "GP", "GQ", "GR", "GS", "GT", "GU", "GW", "GY", "HK", "HM",
    "HN", "HR", "HT", "HU", "ID", "IE", "IL", "IM", "IN", "IO", "IQ", "IR", "IS", "IT", "JE", "JM",
    "JO", "JP", "KE", "KG", "KH", "KI", "KM", "KN", "KP", "KR", "KW", "KY", "KZ", "LA", "LB", "LC",
    "LI", "LK", "LR", "LS", "LT", "LU", "LV", "LY", "MA", "MC", "MD", "ME", "MF", "MG", "MH", "MK",
    "ML", "MM", "MN", "MO", "MP", "MQ", "MR", "MS", "MT", "MU", "MV", "MW", "MX", "MY", "MZ", "NA",
    "NC", "NE", "NF", "NG", "NI", "NL", "NO", "NP", "NR", "NU", "NZ", "OM", "PA", "PE", "PF", "PG",
    "PH", "PK", "PL", "PM", "PN", "PR", "PS", "PT", "PW", "PY", "QA", "RE", "RO", "RS", "RU", "RW",
    "SA", "SB", "SC", "SD", "SE", "SG", "SH", "SI", "SJ", "SK", "SL", "SM", "SN", "SO", "SR", "SS",
    "ST", "SV", "SX", "SY", "SZ", "TC", "TD", "TF", "TG", "TH", "TJ", "TK", "TL", "TM", "TN", "TO",
    "TR", "TT", "TV", "TW", "TZ", "UA", "UG", "UM", "US", "UY", "UZ", "VA", "VC", "VE", "VG", "VI",
    "VN", "VU", "WF", "WS", "YE", "YT", "ZA", "ZM", "ZW",
];

/// Codes that are none of ISO 3166-1's and that databases use: the European Union and Asia/Pacific as a whole,
/// Kosovo, anonymous proxy, satellite provider, other, and "no country".
const DATABASE_CODES: [&str; 7] = ["EU", "AP", "XK", "A1", "A2", "O1", "ZZ"];

/// What people write for countries whose code is another one.
const MISTAKEN: [(&str, &str); 5] = [
    ("UK", "GB"),
    ("EL", "GR"),
    ("EN", "GB"),
    ("JA", "JP"),
    ("KO", "KR"),
];

/// Reads a country code in either case.
pub(super) fn parse(text: &str) -> Result<Country, Fault> {
    let code = text.to_ascii_uppercase();
    let known =
        ISO_3166_1.binary_search(&code.as_str()).is_ok() || DATABASE_CODES.contains(&code.as_str());
    Country::from_code(&code)
        .filter(|_| known)
        .ok_or_else(|| unknown(text, &code))
}

/// Reads a country code of the command line; what is wrong, in one line.
pub fn country_code(text: &str) -> Result<Country, String> {
    parse(text).map_err(|fault| format!("{}: {}", fault.message, fault.hint))
}

fn unknown(text: &str, code: &str) -> Fault {
    let meant = MISTAKEN.iter().find(|(mistaken, _)| *mistaken == code);
    Fault::new(
        format!("`{text}` is no country code"),
        match meant {
            Some((_, meant)) => format!("did you mean `{meant}`?"),
            None => format!(
                "write an assigned two-letter code of ISO 3166-1, such as \"JP\", or one of {} as databases have them",
                DATABASE_CODES.join(", ")
            ),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_well_formed() {
        assert!(ISO_3166_1.is_sorted_by(|a, b| a < b));
        for code in ISO_3166_1.iter().chain(&DATABASE_CODES) {
            assert_eq!(
                parse(code).unwrap().code().unwrap().to_string(),
                *code,
                "{code}"
            );
        }
        for (mistaken, meant) in MISTAKEN {
            assert!(parse(mistaken).is_err());
            assert!(parse(meant).is_ok());
        }
    }

    #[test]
    fn either_case_is_accepted() {
        assert_eq!(parse("jp"), parse("JP"));
    }

    #[test]
    fn what_is_no_code_is_refused() {
        for text in ["", "J", "JPN", "XX", "QQ", "日本", "--"] {
            let fault = parse(text).unwrap_err();
            assert_eq!(fault.message, format!("`{text}` is no country code"));
            assert!(fault.hint.contains("ISO 3166-1"), "{text}");
        }
        assert_eq!(parse("uk").unwrap_err().hint, "did you mean `GB`?");
    }
}
