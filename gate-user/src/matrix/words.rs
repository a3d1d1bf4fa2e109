//! The words of the table, in each language.

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
            Self::Japanese => "メール送信に関するポートの制限（OP25B）",
        }
    }

    pub(super) const fn heads(self) -> [&'static str; 6] {
        match self {
            Self::English => ["from", "to", "port 25", "port 587", "port 465", "changes"],
            Self::Japanese => [
                "接続元",
                "宛先",
                "25番ポート",
                "587番ポート",
                "465番ポート",
                "変更予定",
            ],
        }
    }

    pub(super) fn source(self, row: &Row) -> String {
        let pool = row.pool.as_deref();
        let exempt = row.policy.as_deref() == Some("exempt");
        let name = match (self, pool, exempt) {
            (Self::English, None, _) => "other addresses".to_owned(),
            (Self::English, Some(pool), true) => format!("{pool} (exempt)"),
            (Self::English, Some(pool), false) => pool.to_owned(),
            (Self::Japanese, None, _) => "その他のIPアドレス".to_owned(),
            (Self::Japanese, Some(pool), true) => {
                format!("{pool}（固定IPアドレス等、ブロック対象外）")
            }
            (Self::Japanese, Some(pool), false) => format!("{pool}（動的IPアドレス等）"),
        };
        match row.family {
            Some(family) => format!("{name}, {family}"),
            None => name,
        }
    }

    pub(super) const fn destination(self, destination: Destination) -> &'static str {
        match (self, destination) {
            (Self::English, Destination::Outside) => "outside",
            (Self::English, Destination::Relays) => "our relays",
            (Self::English, Destination::Servers) => "our submission servers",
            (Self::Japanese, Destination::Outside) => "他社のメールサーバ（インターネット）",
            (Self::Japanese, Destination::Relays) => "当社の中継サーバ",
            (Self::Japanese, Destination::Servers) => "当社の送信サーバ",
        }
    }

    pub(super) const fn cell(self, cell: Cell) -> &'static str {
        match (self, cell) {
            (Self::English, Cell::Allowed) => "allowed",
            (Self::English, Cell::Refused) => "refused",
            (Self::English, Cell::Limited) => "limited",
            (Self::English, Cell::Observed) => "observed",
            (Self::Japanese, Cell::Allowed) => "制限なし",
            (Self::Japanese, Cell::Refused) => "ブロック対象",
            (Self::Japanese, Cell::Limited) => "接続数制限",
            (Self::Japanese, Cell::Observed) => "制限なし（計測中）",
        }
    }

    /// What the words of cells mean, of those that are in the table.
    pub(super) const fn meaning(self, cell: Cell) -> &'static str {
        match (self, cell) {
            (Self::English, Cell::Allowed) => "connections pass",
            (Self::English, Cell::Refused) => "connections are refused",
            (Self::English, Cell::Limited) => {
                "a number of connections in a time passes, more are refused"
            }
            (Self::English, Cell::Observed) => {
                "connections pass; those that are to be refused later are counted"
            }
            (Self::Japanese, Cell::Allowed) => "接続できます",
            (Self::Japanese, Cell::Refused) => "接続できません",
            (Self::Japanese, Cell::Limited) => "一定時間内の接続数に上限があります",
            (Self::Japanese, Cell::Observed) => {
                "接続できます（今後ブロックの対象となる通信を計測しています）"
            }
        }
    }

    /// What becomes of connections to a port.
    pub(super) fn port(self, port: u16, cell: Cell) -> String {
        let cell = self.cell(cell);
        match self {
            Self::English => format!("port {port} {cell}"),
            Self::Japanese => format!("{port}番ポート{cell}"),
        }
    }

    /// What the ports become from a moment on.
    pub(super) fn from(self, moment: &str, cells: &str) -> String {
        match self {
            Self::English => format!("from {moment}: {cells}"),
            Self::Japanese => format!("{moment}から{cells}"),
        }
    }

    pub(super) fn source_of(self, generation: u32, at: &str) -> String {
        match self {
            Self::English => format!("As in force on {at} (generation {generation})."),
            Self::Japanese => format!("{at}現在（世代 {generation}）"),
        }
    }
}
