//! Who is in the lab: one table.

use std::fmt;

use anyhow::Result;

use super::{Addresses, Country, Roamers};

/// A host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// A subscriber on a dynamic address.
    Subscriber,
    /// Another one.
    Neighbour,
    /// A subscriber on a static address, taken from the middle of the dynamic pool and exempt.
    Static,
    /// A host on an access interface whose addresses no pool names.
    Unlisted,
    /// The ISP's own mail host, on a link without a role.
    OwnMail,
    /// Another ISP's mail host, whose addresses no database knows.
    OtherMail,
    /// A third network: what it and the other ISP exchange is transit. A class names its prefix.
    ThirdNetwork,
    /// A customer on the road, at an address in Japan.
    Domestic,
    /// A customer on the road, at an address abroad.
    Foreign,
    /// A customer on the road, in a country of the class that is watched most.
    HighSpam,
}

/// What faces an interface of the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Subscribers.
    Access,
    /// The Internet.
    Uplink,
}

impl Role {
    /// The word of the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Uplink => "uplink",
        }
    }
}

/// Where a host has its addresses from.
enum Origin {
    /// One of each family.
    Fixed(&'static str, &'static str),
    /// The country database.
    Roaming(fn(&Roamers) -> &Country),
}

struct Facts {
    text: &'static str,
    netns: &'static str,
    interface: &'static str,
    role: Option<Role>,
    origin: Origin,
}

impl Who {
    /// Everybody.
    pub const ALL: &'static [Self] = &[
        Self::Subscriber,
        Self::Neighbour,
        Self::Static,
        Self::Unlisted,
        Self::OwnMail,
        Self::OtherMail,
        Self::ThirdNetwork,
        Self::Domestic,
        Self::Foreign,
        Self::HighSpam,
    ];

    #[rustfmt::skip]
    const fn facts(self) -> Facts {
        use Origin::{Fixed, Roaming};
        const fn facts(
            text: &'static str, netns: &'static str, interface: &'static str, role: Option<Role>, origin: Origin,
        ) -> Facts {
            Facts { text, netns, interface, role, origin }
        }
        const ACCESS: Option<Role> = Some(Role::Access);
        const UPLINK: Option<Role> = Some(Role::Uplink);
        // Shared address space (RFC 6598) and documentation prefixes (RFC 5737, RFC 3849).
        match self {
            Self::Subscriber => facts("subscriber", "home", "acc-home", ACCESS, Fixed("100.64.0.2", "2001:db8:100:2::2")),
            Self::Neighbour => facts("2nd subscriber", "next", "acc-next", ACCESS, Fixed("100.64.0.3", "2001:db8:100:3::2")),
            Self::Static => facts("static, exempt", "office", "acc-office", ACCESS, Fixed("100.64.9.8", "2001:db8:100:9::8")),
            Self::Unlisted => facts("unlisted host", "unlisted", "acc-unlisted", ACCESS, Fixed("192.0.2.130", "2001:db8:200:1::2")),
            Self::OwnMail => facts("own mail", "mail", "srv-mail", None, Fixed("192.0.2.25", "2001:db8:25::25")),
            Self::OtherMail => facts("other ISP's mail", "peer", "up-peer", UPLINK, Fixed("198.51.100.25", "2001:db8:5100::25")),
            Self::ThirdNetwork => facts("third network", "far", "up-far", UPLINK, Fixed("203.0.113.9", "2001:db8:7100::9")),
            Self::Domestic => facts("roaming at home", "road-home", "up-home", UPLINK, Roaming(|all| &all.domestic)),
            Self::Foreign => facts("roaming abroad", "road-abroad", "up-abroad", UPLINK, Roaming(|all| &all.foreign)),
            Self::HighSpam => facts("roaming high-spam", "road-spam", "up-spam", UPLINK, Roaming(|all| &all.high_spam)),
        }
    }

    /// Its name in a table: of a customer on the road, the country instead of the part.
    #[must_use]
    pub fn label(self, roamers: &Roamers) -> String {
        let Facts { text, origin, .. } = self.facts();
        match origin {
            Origin::Fixed(..) => text.to_owned(),
            Origin::Roaming(choose) => format!("roaming in {}", choose(roamers).code),
        }
    }

    /// The last part of the name of its namespace.
    #[must_use]
    pub fn netns(self) -> &'static str {
        self.facts().netns
    }

    /// The router's interface towards it.
    #[must_use]
    pub fn interface(self) -> &'static str {
        self.facts().interface
    }

    /// The role of that interface; `None` where the gate is not attached.
    #[must_use]
    pub fn role(self) -> Option<Role> {
        self.facts().role
    }

    /// Its addresses.
    pub fn addresses(self, roamers: &Roamers) -> Result<Addresses> {
        match self.facts().origin {
            Origin::Fixed(v4, v6) => Ok(Addresses {
                v4: v4.parse()?,
                v6: v6.parse()?,
            }),
            Origin::Roaming(choose) => Ok(choose(roamers).addresses),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.facts().text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_distinct_and_fit_the_kernel() {
        let of = |name: fn(Who) -> &'static str| -> BTreeSet<&str> {
            Who::ALL.iter().map(|who| name(*who)).collect()
        };
        assert_eq!(of(Who::netns).len(), Who::ALL.len());
        assert_eq!(of(Who::interface).len(), Who::ALL.len());
        assert!(of(Who::interface).iter().all(|name| name.len() < 16));
    }
}
