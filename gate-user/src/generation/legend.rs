//! What the numbers in tags mean.
//!
//! It travels with its generation, in a map pinned beside the tables, for readers who are not to see the whole
//! [manifest](super::manifest): that has prefixes of subscribers in it.

use gate_common::abi;
use serde::{Deserialize, Serialize};

use super::manifest::{Manifest, ManifestError};

/// The names of the classes of a generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Legend {
    /// [`abi::ABI_VERSION`].
    pub abi: u32,
    /// The number of the generation.
    pub generation: u32,
    /// The classes, by number.
    pub classes: Vec<String>,
    /// The first of the generations that have had these classes without a break: tags outlive the generation that made them.
    pub classes_since: u32,
    /// The words that the databases' licences ask for wherever results are shown.
    pub attribution: Vec<String>,
}

impl Legend {
    /// What `manifest` says of tags.
    #[must_use]
    pub fn of(manifest: &Manifest) -> Self {
        Self {
            abi: manifest.abi,
            generation: manifest.number,
            classes: manifest.class_names().map(str::to_owned).collect(),
            classes_since: manifest.classes_since,
            attribution: manifest.attribution.clone(),
        }
    }

    /// The name of a class in a tag that `generation` made; nothing if this legend does not hold for that.
    #[must_use]
    pub fn class(&self, generation: u32, class: u8) -> Option<&str> {
        (self.classes_since..=self.generation)
            .contains(&generation)
            .then(|| self.classes.get(usize::from(class)))?
            .map(String::as_str)
    }

    /// The bytes that travel with the generation.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ManifestError> {
        Ok(serde_json::to_vec(self)?)
    }

    /// Reads the bytes back; what follows the first null byte is filling.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ManifestError> {
        let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        let legend: Self = serde_json::from_slice(text)?;
        if legend.abi == abi::ABI_VERSION {
            Ok(legend)
        } else {
            Err(ManifestError::Version { found: legend.abi })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn legend() -> Legend {
        Legend {
            abi: abi::ABI_VERSION,
            generation: 7,
            classes: vec!["domestic".to_owned(), "foreign".to_owned()],
            classes_since: 5,
            attribution: vec!["somebody".to_owned()],
        }
    }

    #[test]
    fn a_class_has_a_name_in_generations_with_the_same_classes_only() {
        let legend = legend();
        for (generation, class, name) in [
            (4, 1, None),
            (5, 1, Some("foreign")),
            (7, 0, Some("domestic")),
            (7, 2, None),
            (8, 1, None),
        ] {
            assert_eq!(
                legend.class(generation, class),
                name,
                "{generation} {class}"
            );
        }
    }

    #[test]
    fn bytes_come_back_and_those_of_another_version_are_refused() {
        let mut bytes = legend().to_bytes().unwrap();
        bytes.extend([0; 9]);
        assert_eq!(Legend::from_bytes(&bytes).unwrap(), legend());
        let other = Legend {
            abi: abi::ABI_VERSION + 1,
            ..legend()
        };
        let refused = Legend::from_bytes(&other.to_bytes().unwrap());
        assert!(
            matches!(refused, Err(ManifestError::Version { found }) if found == abi::ABI_VERSION + 1),
            "{refused:?}"
        );
    }
}
