//! What would change an answer, by who can do it.

use std::io;

use serde::{Serialize, Serializer};

/// What would change an answer; in JSON one list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// What comes by itself.
    pub itself: Vec<String>,
    /// What the customer can do.
    pub customer: Vec<String>,
    /// What the operator can do.
    pub operator: Vec<String>,
}

impl Changes {
    fn groups(&self) -> [(&'static str, &[String]); 3] {
        let Self {
            itself,
            customer,
            operator,
        } = self;
        [
            ("by itself", itself),
            ("by the customer", customer),
            ("by the operator", operator),
        ]
    }

    pub(super) fn add(&mut self, more: Self) {
        let Self {
            itself,
            customer,
            operator,
        } = more;
        self.itself.extend(itself);
        self.customer.extend(customer);
        self.operator.extend(operator);
    }

    pub(super) fn text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let groups = self.groups();
        let mut said = groups.iter().filter(|(_, lines)| !lines.is_empty());
        said.try_for_each(|(by, lines)| {
            writeln!(out, "\nwhat would change it, {by}")?;
            lines
                .iter()
                .try_for_each(|line| writeln!(out, "  - {line}"))
        })
    }
}

impl Serialize for Changes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.groups().into_iter().flat_map(|(_, lines)| lines))
    }
}
