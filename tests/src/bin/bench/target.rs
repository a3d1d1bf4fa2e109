//! Targets: what was set out to be reached, and what was. One that is missed is a figure like any other.

/// A target and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outcome {
    /// What should be.
    pub(crate) target: String,
    /// What is.
    pub(crate) figure: String,
    pub(crate) met: bool,
}

/// A quantity as a person reads it.
pub(crate) fn amount(value: f64, unit: &str) -> String {
    match unit {
        "bytes" => format!("{:.1} MB", value / 1e6),
        unit => format!("{value:.2} {unit}"),
    }
}
