//! From a configuration file to a plan: what `run`, `check` and `lookup --config` have in common.

use std::{fs, path::Path};

use jiff::Timestamp;

use crate::{
    config::{self, Config},
    error::Error,
    generation::{Inputs, Manifest, Plan},
    geoip::Countries,
    progress::Progress,
};

/// A configuration, and the generation that it makes.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The generation.
    pub plan: Plan,
}

/// What a generation follows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Base<'a> {
    /// What the one before is made of.
    pub manifest: Option<&'a Manifest>,
    /// Its number; 0 if there is none.
    pub number: u32,
}

/// Reads the configuration at `path` and everything that it names.
pub fn load(path: &Path, base: Base<'_>, progress: &mut Progress) -> Result<Loaded, Error> {
    let mut config = config::load(path, &|path: &Path| fs::read_to_string(path))?;
    // What is loaded names its files for whoever asks later, from wherever.
    let databases = config
        .geoip
        .iter_mut()
        .flat_map(|geoip| &mut geoip.databases);
    for file in databases.chain([&mut config.file]) {
        *file = std::path::absolute(&*file).map_err(Error::system("find the working directory"))?;
    }
    let countries = match &config.geoip {
        Some(geoip) => Some(Countries::read(geoip, &mut |path, networks| {
            progress.read(path, networks);
        })?),
        None => None,
    };
    let inputs = Inputs {
        config: &config,
        countries: countries.as_ref(),
        previous: base.manifest,
        number: base.number.wrapping_add(1).max(1),
        now: Timestamp::now(),
    };
    let plan = Plan::new(inputs)?;
    Ok(Loaded { config, plan })
}
