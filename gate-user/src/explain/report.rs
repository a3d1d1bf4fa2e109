//! The answer, as text and JSON.

use std::{io, net::IpAddr, path::PathBuf};

use gate_common::{Reason, Role, Verdict, abi::FlowTag, decide::Tables as _};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    Asked, Judged,
    changes::Changes,
    limits::{self, Fill},
    words::{Case, heard, outcome},
};
use crate::{generation::Manifest, judge::Rule, report::Report};

/// What the gate in force makes of a packet.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// When it was asked, by the gate's clock.
    pub at: Timestamp,
    /// Who opens the connection.
    pub from: IpAddr,
    /// To whom.
    pub to: IpAddr,
    /// The port there.
    pub port: u16,
    /// The interface that the packet arrives at, or the VLANs of one.
    pub interface: String,
    /// The role there; nothing for a VLAN without one.
    pub role: Option<&'static str>,
    /// The VLAN ID of the packet; 0 is none.
    pub vlan: u16,
    /// Whether nobody named interface or VLAN, and there was only one possible.
    pub assumed: bool,
    /// What becomes of it; nothing if the gate has no business with it.
    pub verdict: Option<&'static str>,
    /// Why.
    pub reason: Option<&'static str>,
    /// The same in words.
    pub outcome: &'static str,
    /// The same in a sentence.
    pub why: String,
    /// Until when a bypass has it only observed; nothing if none has.
    pub bypass_until: Option<Timestamp>,
    /// Until when somebody has to confirm what is in force, or the gate goes back; nothing if nobody has to.
    pub confirm_until: Option<Timestamp>,
    /// What the client hears of its refusal.
    pub heard: Option<String>,
    /// What decided.
    pub rule: Option<Rule>,
    /// The pool of the source.
    pub pool: Option<String>,
    /// The policy of the pool or class.
    pub policy: Option<String>,
    /// The action of the pool or class.
    pub action: Option<String>,
    /// The class of the source, of a submission connection.
    pub class: Option<String>,
    /// The country of the source, if a database knows one.
    pub country: Option<String>,
    /// The network of the database that has it.
    pub network: Option<String>,
    /// Whether the class is only observed.
    pub observed: bool,
    /// How full the token buckets are that such a packet takes from.
    pub limits: Vec<Fill>,
    /// What would change it.
    pub would_change: Changes,
    /// The number of the generation in force.
    pub generation: u32,
    /// When it was put in force.
    pub loaded_at: Timestamp,
    /// The configuration that it was made from.
    pub config: PathBuf,
    /// The tag of the program, which is that of the attached one.
    pub program_tag: String,
    /// What the databases' licences ask for.
    pub attribution: Vec<String>,
}

pub(super) fn explanation(asked: &Asked<'_>, judged: &Judged) -> Option<Explanation> {
    let view = asked.rules.view();
    let settings = view.settings()?;
    let unix_ns = asked.now.unix_ns;
    let now = Timestamp::from_nanosecond(i128::from(unix_ns)).unwrap_or_default();
    let decision = judged.decision.as_ref();
    let uplink = decision.filter(|it| it.role == Some(Role::Uplink));
    let access = decision.filter(|it| it.role == Some(Role::Access));
    let rule = decision.and_then(|it| asked.rule(it, unix_ns));
    let pools = &view.manifest.pools;
    let pool = access.and_then(|it| pools.iter().find(|pool| pool.counter == it.group));
    let class = uplink.and_then(|it| view.manifest.classes.get(usize::from(it.class)));
    let country = uplink
        .and_then(|it| it.country.code())
        .map(|it| it.to_string());
    let mut case = Case {
        question: asked.question,
        arrival: asked.arrival,
        view,
        settings,
        decision,
        pool,
        class,
        country: country.as_deref(),
        now,
        bypassed: false,
    };
    let limits = decision.map_or_else(Vec::new, |it| {
        limits::fills(it, case.is_throttled(), settings, asked.buckets, asked.now)
    });
    let mut would_change = Changes::default();
    // What is not observed has nothing to do with it.
    let is_observed = decision
        .is_some_and(|it| it.verdict == Verdict::Observed || it.flags & FlowTag::OBSERVED != 0);
    let bypass_until = asked.bypass_until().filter(|_| is_observed);
    case.bypassed = bypass_until.is_some();
    would_change.itself.extend(bypass_until.map(|until| {
        let then = asked.supposed(asked.bypass_until_ns, true);
        format!("the end of the bypass, {until:.0}: {then}")
    }));
    would_change.add(by_moment_or_place(asked, &case));
    would_change.add(case.changes(&limits));
    let manifest = &view.manifest;
    if decision.is_some() {
        would_change.add(does_not_stay(asked.confirm_until, manifest));
    }
    Some(Explanation {
        at: now,
        from: asked.question.from,
        to: asked.question.to,
        port: asked.question.port,
        interface: asked.arrival.label.clone(),
        role: asked.arrival.role.map(Role::name),
        vlan: asked.arrival.vlan,
        assumed: asked.arrival.assumed,
        verdict: decision.map(|it| it.verdict.name()),
        reason: decision.map(|it| it.reason.name()),
        outcome: outcome(decision),
        why: bypass_until.map_or_else(
            || case.why(),
            |until| {
                format!("a bypass until {until:.0} has everything only observed (`gate bypass`)")
            },
        ),
        bypass_until,
        confirm_until: asked.confirm_until,
        heard: decision
            .filter(|it| it.verdict == Verdict::Refused)
            .map(|_| heard(judged.answered)),
        pool: pool.map(|it| it.name.clone()),
        policy: pool
            .map(|it| it.policy.clone())
            .or_else(|| class.map(|it| it.policy.clone())),
        action: pool
            .and_then(|it| it.action.clone())
            .or_else(|| class.and_then(|it| it.action.clone())),
        class: class.map(|it| it.name.clone()),
        network: uplink
            .and_then(|it| view.network(it.source))
            .map(|it| it.to_string()),
        country,
        observed: uplink.is_some_and(|it| it.flags & FlowTag::OBSERVED != 0),
        rule,
        limits,
        would_change,
        generation: manifest.number,
        loaded_at: manifest.loaded_at,
        config: manifest.config.clone(),
        program_tag: asked.tag.clone(),
        attribution: uplink.map_or_else(Vec::new, |_| manifest.attribution.clone()),
    })
}

/// What another moment makes of it, or another destination.
fn by_moment_or_place(asked: &Asked<'_>, case: &Case<'_>) -> Changes {
    let mut changes = Changes::default();
    let unix_ns = asked.now.unix_ns;
    let present = asked.supposed(unix_ns, true);
    for moment in case.moments() {
        let at_ns = u64::try_from(moment.as_nanosecond()).unwrap_or(u64::MAX);
        let then = case.class_begins();
        let then = then.unwrap_or_else(|| asked.supposed(at_ns, true));
        if then != present {
            let change = format!("time: from {moment} on, {then}");
            changes.itself.push(change);
        }
    }
    if case.decision.is_some_and(|it| it.reason == Reason::Relay) {
        let elsewhere = asked.supposed(unix_ns, false);
        changes.customer.push(format!(
            "another destination, which is no relay: {elsewhere}"
        ));
    }
    changes
}

/// That what is in force does not stay. What comes then makes of the connection is not told: a rollback takes the exemptions of its moment along, and a
/// reload reads files, which is what `gate diff` is for.
fn does_not_stay(confirm_until: Option<Timestamp>, manifest: &Manifest) -> Changes {
    let mut changes = Changes::default();
    if let Some(until) = confirm_until {
        changes.itself.push(format!(
            "time: unless `gate reload --confirmed` comes by {until:.0}, the gate goes back to what was in force before"
        ));
    } else if let Some(it) = &manifest.rolled_back {
        changes.operator.push(format!(
            "`gate reload`, which puts {} in force; now it is rolled back from generation {} to {}",
            manifest.config.display(),
            it.from,
            it.to
        ));
    }
    changes
}

impl Explanation {
    /// `100.64.0.2 to 198.51.100.25, port 25, in by eth1 (access): refused`
    fn headline(&self) -> String {
        let Self {
            from,
            to,
            port,
            interface,
            role,
            vlan,
            assumed,
            outcome,
            ..
        } = self;
        let vlan = match vlan {
            0 => String::new(),
            vlan => format!(", VLAN {vlan}"),
        };
        let role = role.unwrap_or("no role");
        let assumed = if *assumed {
            ", assumed: --in names another"
        } else {
            ""
        };
        format!("{from} to {to}, port {port}, in by {interface}{vlan} ({role}{assumed}): {outcome}")
    }

    /// What stands under the headline, by name.
    fn lines(&self) -> Vec<(&'static str, String)> {
        let Self {
            verdict,
            reason,
            why,
            heard,
            rule,
            pool,
            policy,
            action,
            country,
            network,
            class,
            limits,
            observed,
            generation,
            loaded_at,
            config,
            ..
        } = self;
        let mut lines = vec![("why", why.clone())];
        lines.extend(observed.then(|| {
            let text = "its class is only observed: no mark and no code point show it";
            ("shows", text.to_owned())
        }));
        lines.extend(rule.as_ref().map(|it| ("rule", it.to_string())));
        let treated = policy.as_ref().map(|policy| match action {
            Some(action) => format!("{policy}, action {action}"),
            None => policy.clone(),
        });
        let group = pool.as_ref().map(|it| ("pool", it));
        let group = group.or_else(|| class.as_ref().map(|it| ("class", it)));
        lines.extend(
            group
                .zip(treated)
                .map(|((kind, name), treated)| (kind, format!("{name}: {treated}"))),
        );
        lines.extend(heard.as_ref().map(|it| ("client hears", it.clone())));
        lines.extend(class.as_ref().map(|_| {
            let country = country.as_deref().unwrap_or("in no database");
            let network = network
                .as_ref()
                .map_or_else(String::new, |it| format!(", network {it}"));
            ("country", format!("{country}{network}"))
        }));
        lines.extend(limits.iter().map(|it| ("limit", it.text())));
        lines.extend(
            verdict
                .zip(*reason)
                .map(|(verdict, reason)| ("counted as", format!("{verdict}, {reason}"))),
        );
        lines.push((
            "generation",
            format!(
                "{generation}, in force since {loaded_at:.0}, from {}",
                config.display()
            ),
        ));
        lines
    }
}

impl Report for Explanation {
    fn text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        writeln!(out, "{}\n", self.headline())?;
        for (name, text) in self.lines() {
            writeln!(out, "  {name:<12}  {text}")?;
        }
        self.would_change.text(out)?;
        if !self.attribution.is_empty() {
            writeln!(out)?;
        }
        self.attribution
            .iter()
            .try_for_each(|line| writeln!(out, "{line}"))
    }
}
