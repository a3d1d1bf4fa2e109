//! The rows. To try one more connection, add a line.

use std::fmt;

use super::{Expect, Profile};
use crate::lab::Who::{
    self, Domestic, Foreign, HighSpam, Neighbour, OtherMail, OwnMail, Static, Subscriber,
    ThirdNetwork, Unlisted,
};

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Port 25 from the dynamic pool.
    Port25,
    /// What a subscriber can always reach.
    NeverBlocked,
    /// Port 25 from sources that are not restricted.
    Exempt,
    /// Submission from the Internet.
    Submission,
    /// Mail from the Internet, and from the ISP's own host.
    Mail,
    /// What is only passing through.
    Transit,
}

impl Group {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Port25,
        Self::NeverBlocked,
        Self::Exempt,
        Self::Submission,
        Self::Mail,
        Self::Transit,
    ];
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Port25 => "port 25",
            Self::NeverBlocked => "never blocked",
            Self::Exempt => "exempt",
            Self::Submission => "submission",
            Self::Mail => "mail",
            Self::Transit => "transit",
        })
    }
}

/// Connections from one host to another, and what should become of them.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What it is about.
    pub group: Group,
    /// The client.
    pub from: Who,
    /// The server.
    pub to: Who,
    /// The ports tried.
    pub ports: &'static [u16],
    closed: Expect,
    listed: Expect,
}

impl Row {
    /// What `profile` promises.
    #[must_use]
    pub fn expect(&self, profile: Profile) -> Expect {
        match profile {
            Profile::Closed => self.closed,
            Profile::Listed => self.listed,
        }
    }
}

/// A row that is the same in both profiles.
const fn row(group: Group, from: Who, to: Who, ports: &'static [u16], expect: Expect) -> Row {
    by_profile(group, from, to, ports, expect, expect)
}

const fn by_profile(
    group: Group,
    from: Who,
    to: Who,
    ports: &'static [u16],
    closed: Expect,
    listed: Expect,
) -> Row {
    Row {
        group,
        from,
        to,
        ports,
        closed,
        listed,
    }
}

const OPEN: Expect = Expect::Untouched;
const REFUSED: Expect = Expect::Refused;
const RELAY: Expect = Expect::Passed("relay");
const EXEMPT: Expect = Expect::Passed("exempt");
const UNLISTED: Expect = Expect::Passed("unlisted");

/// By country, or as the class that takes what no other names.
const fn tagged(class: &'static str) -> Expect {
    Expect::Tagged {
        class,
        reason: "class_country",
    }
}

/// By a prefix of the class.
const OWN_SERVICE: Expect = Expect::Tagged {
    class: "own-service",
    reason: "class_prefix",
};

/// In no database: nobody at home must notice.
const UNKNOWN: Expect = Expect::Tagged {
    class: "domestic",
    reason: "class_unknown",
};

/// All of them.
#[rustfmt::skip]
pub const ROWS: &[Row] = &[
    by_profile(Group::Port25, Subscriber, OwnMail, &[25], REFUSED, RELAY),
    row(Group::Port25,       Subscriber,   OtherMail,    &[25],           REFUSED),
    row(Group::Port25,       Subscriber,   Neighbour,    &[25],           REFUSED),
    row(Group::NeverBlocked, Subscriber,   OwnMail,      &[587, 465, 80], OPEN),
    row(Group::NeverBlocked, Subscriber,   OtherMail,    &[587, 465, 80], OPEN),
    row(Group::NeverBlocked, Subscriber,   Neighbour,    &[587, 465, 80], OPEN),
    row(Group::Exempt,       Static,       OwnMail,      &[25],           EXEMPT),
    row(Group::Exempt,       Static,       OtherMail,    &[25],           EXEMPT),
    row(Group::Exempt,       Static,       Subscriber,   &[25],           EXEMPT),
    row(Group::Exempt,       Unlisted,     OtherMail,    &[25],           UNLISTED),
    row(Group::Submission,   Domestic,     OwnMail,      &[587, 465],     tagged("domestic")),
    row(Group::Submission,   Foreign,      OwnMail,      &[587, 465],     tagged("foreign")),
    row(Group::Submission,   HighSpam,     OwnMail,      &[587, 465],     tagged("high-spam")),
    row(Group::Submission,   ThirdNetwork, OwnMail,      &[587],          OWN_SERVICE),
    row(Group::Submission,   OtherMail,    OwnMail,      &[587],          UNKNOWN),
    row(Group::Mail,         OtherMail,    OwnMail,      &[25],           OPEN),
    row(Group::Mail,         Foreign,      OwnMail,      &[25],           OPEN),
    row(Group::Mail,         OtherMail,    Subscriber,   &[25],           OPEN),
    row(Group::Mail,         OwnMail,      OtherMail,    &[25],           OPEN),
    row(Group::Mail,         OwnMail,      Subscriber,   &[25],           OPEN),
    row(Group::Transit,      OtherMail,    ThirdNetwork, &[25, 587],      OPEN),
    row(Group::Transit,      ThirdNetwork, OtherMail,    &[25, 465],      OPEN),
];
