//! Metrics as values: what each is, and the samples of one collection. Nothing here knows how they are written.

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, and its name ends in `_total`.
    Counter,
    /// It goes up and down.
    Gauge,
    /// It is 1, and its labels say everything; its name ends in `_info`.
    Info,
}

/// A metric, by what does not change.
#[derive(Debug)]
pub struct Metric {
    /// The name of its samples.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// In what it is measured, which is how its name ends (before `_total`); empty where it is a mere number.
    pub unit: &'static str,
    /// The labels of its samples, all of which each of them has.
    pub labels: &'static [&'static str],
    /// How many series it has at most.
    pub bound: &'static str,
    /// What it tells.
    pub help: &'static str,
}

/// The value of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A whole number.
    Whole(u64),
    /// Any other.
    Real(f64),
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::Whole(value as u64)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Whole(value.into())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Whole(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

/// One series at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The values of [`Metric::labels`], in their order.
    pub labels: Vec<String>,
    /// Its value.
    pub value: Value,
}

/// A metric and its samples.
#[derive(Clone, Debug)]
pub struct Family {
    /// The metric.
    pub metric: &'static Metric,
    /// Its samples; no two have the same labels.
    pub samples: Vec<Sample>,
}

/// What a collection finds.
#[derive(Clone, Debug, Default)]
pub struct Families(pub Vec<Family>);

impl Families {
    /// Adds a sample. Samples of one metric come together, whatever the order that they are added in.
    pub fn add<const N: usize>(
        &mut self,
        metric: &'static Metric,
        labels: [&str; N],
        value: impl Into<Value>,
    ) {
        debug_assert_eq!(metric.labels.len(), N, "{}", metric.name);
        let sample = Sample {
            labels: labels.map(str::to_owned).to_vec(),
            value: value.into(),
        };
        let mut known = self.0.iter_mut();
        match known.find(|family| family.metric.name == metric.name) {
            Some(family) => family.samples.push(sample),
            None => self.0.push(Family {
                metric,
                samples: vec![sample],
            }),
        }
    }
}
