//! The words of the table, in each language.

use jiff::{Timestamp, tz::TimeZone};

use super::{Cell, Destination, Row};

/// A language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// Japanese.
    Japanese,
}

impl Language {
    /// Its tag (BCP 47).
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Japanese => "ja",
        }
    }

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::English => "Outbound mail connections from subscribers",
            Self::Japanese => "OP25B（Outbound Port 25 Blocking）によるメール送信の制限",
        }
    }

    pub(super) const fn heads(self) -> [&'static str; 6] {
        match self {
            Self::English => ["from", "to", "port 25", "port 587", "port 465", "changes"],
            Self::Japanese => [
                "接続元",
                "接続先",
                "25番ポート",
                "587番ポート（Submission）",
                "465番ポート（SMTPS）",
                "変更予定",
            ],
        }
    }

    /// What is said of a cell. That something is only observed is no business of who reads Japanese tables: they pass, and what is planned stands under
    /// the changes.
    pub(super) const fn kind(self, cell: Cell) -> Cell {
        match (self, cell) {
            (Self::Japanese, Cell::Observed) => Cell::Allowed,
            (_, cell) => cell,
        }
    }

    /// Who connects; `outward` is what becomes of their connections to port 25 outside.
    pub(super) fn source(self, row: &Row, outward: Option<Cell>) -> String {
        let exempt = row.policy.as_deref() == Some("exempt");
        let name = match (self, row.pool.as_deref()) {
            (_, Some(pool)) => pool,
            (Self::English, None) => "other addresses",
            (Self::Japanese, None) => "上記以外のIPアドレス",
        };
        let treated = match (self, row.pool.is_some(), outward) {
            (Self::English, _, _) if exempt => Some("exempt"),
            (Self::Japanese, _, _) if exempt => Some("ブロック対象外"),
            (Self::Japanese, true, Some(Cell::Refused)) => Some("ブロック対象"),
            (Self::English | Self::Japanese, _, _) => None,
        };
        let notes: Vec<&str> = treated.into_iter().chain(row.family).collect();
        match (self, notes.as_slice()) {
            (_, []) => name.to_owned(),
            (Self::English, notes) => format!("{name} ({})", notes.join(", ")),
            (Self::Japanese, notes) => format!("{name}（{}）", notes.join("、")),
        }
    }

    pub(super) const fn destination(self, destination: Destination) -> &'static str {
        match (self, destination) {
            (Self::English, Destination::Outside) => "outside",
            (Self::English, Destination::Relays) => "our relays",
            (Self::English, Destination::Servers) => "our submission servers",
            (Self::Japanese, Destination::Outside) => "当社以外のメールサーバ",
            (Self::Japanese, Destination::Relays) => "当社のメール中継サーバ",
            (Self::Japanese, Destination::Servers) => "当社の送信用メールサーバ（Submission）",
        }
    }

    pub(super) const fn cell(self, cell: Cell) -> &'static str {
        match (self, cell) {
            (Self::English, Cell::Allowed) => "allowed",
            (Self::English, Cell::Refused) => "refused",
            (Self::English, Cell::Limited) => "limited",
            (Self::English, Cell::Observed) => "observed",
            (Self::Japanese, Cell::Allowed | Cell::Observed) => "制限なし",
            (Self::Japanese, Cell::Refused) => "ブロック対象",
            (Self::Japanese, Cell::Limited) => "接続数に制限あり",
        }
    }

    /// What the words of cells mean, of those that are in the table.
    pub(super) const fn meaning(self, cell: Cell) -> &'static str {
        match (self, cell) {
            (Self::English, Cell::Allowed) => "connections pass",
            (Self::English, Cell::Refused) => {
                "connections are refused; mail is sent by port 587 or 465"
            }
            (Self::English, Cell::Limited) => {
                "a number of connections in a time passes, more are refused"
            }
            (Self::English, Cell::Observed) => "connections pass and are counted",
            (Self::Japanese, Cell::Allowed | Cell::Observed) => "接続できます",
            (Self::Japanese, Cell::Refused) => {
                "接続できません。メールの送信には587番または465番ポートをご利用ください"
            }
            (Self::Japanese, Cell::Limited) => {
                "一定時間あたりの接続数に上限があり、超過した接続はできません"
            }
        }
    }

    /// What becomes of connections to a port.
    pub(super) fn port(self, port: u16, cell: Cell) -> String {
        match (self, cell) {
            (Self::English, cell) => format!("port {port} {}", self.cell(cell)),
            (Self::Japanese, Cell::Refused) => format!("{port}番ポートがブロック対象になります"),
            (Self::Japanese, Cell::Limited) => {
                format!("{port}番ポートの接続数に制限がかかります")
            }
            (Self::Japanese, Cell::Allowed | Cell::Observed) => {
                format!("{port}番ポートの制限がなくなります")
            }
        }
    }

    /// What the ports become from a moment on.
    pub(super) fn from(self, moment: &str, ports: &[String]) -> String {
        match self {
            Self::English => format!("from {moment}: {}", ports.join(", ")),
            Self::Japanese => format!("{moment}から、{}", ports.join("、")),
        }
    }

    /// One change after the other.
    pub(super) fn changes(self, changes: &[String]) -> String {
        changes.join(match self {
            Self::English => "; ",
            Self::Japanese => "。",
        })
    }

    pub(super) fn as_of(self, moment: &str) -> String {
        match self {
            Self::English => format!("As in force on {moment}."),
            Self::Japanese => format!("{moment}現在"),
        }
    }

    /// A time of day as customers read it, with its zone.
    pub(super) fn moment(self, at: Timestamp, zone: &TimeZone) -> String {
        let info = zone.to_offset_info(at);
        let local = info.offset().to_datetime(at);
        let (hour, minute) = (local.hour(), local.minute());
        // Deadlines are whole minutes as a rule.
        let seconds = match local.second() {
            0 => String::new(),
            second => format!(":{second:02}"),
        };
        let zone = match info.offset().seconds() {
            JAPAN if matches!(self, Self::Japanese) => "日本時間".to_owned(),
            0 => "UTC".to_owned(),
            seconds => {
                let sign = if seconds < 0 { '-' } else { '+' };
                let minutes = seconds.unsigned_abs() / 60;
                format!("UTC{sign}{:02}:{:02}", minutes / 60, minutes % 60)
            }
        };
        match self {
            Self::English => format!("{} {hour:02}:{minute:02}{seconds} {zone}", local.date()),
            Self::Japanese => format!(
                "{}年{}月{}日 {hour}:{minute:02}{seconds}（{zone}）",
                local.year(),
                local.month(),
                local.day()
            ),
        }
    }
}

/// What the time of Japan is ahead of UTC, in seconds; summer time there is none.
const JAPAN: i32 = 9 * 60 * 60;
