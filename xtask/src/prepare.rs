//! What run, demo and test start from: the machine set up, `gate` built, the country databases unpacked.

use std::{path::PathBuf, process::Command};

use anyhow::Result;

use crate::{
    build::{self, Built},
    data,
    needs::{self, Group},
    workspace::Workspace,
};

/// Everything a program of the lab is told, by environment variable.
pub(crate) struct Prepared {
    pub(crate) built: Built,
    /// The country database.
    pub(crate) mmdb: PathBuf,
    /// Another one.
    pub(crate) iptoasn: PathBuf,
}

/// Sets the machine up for `group`, which includes reading the database, and builds; instant when all is there.
pub(crate) fn prepare(workspace: &Workspace, group: Group) -> Result<Prepared> {
    needs::ensure(group)?;
    Ok(Prepared {
        built: build::ensure_built(workspace)?,
        mmdb: data::DBIP.unpack(workspace)?,
        iptoasn: data::IPTOASN.unpack(workspace)?,
    })
}

impl Prepared {
    /// Tells `command` where things are.
    pub(crate) fn tell(&self, command: &mut Command) {
        let Self {
            built: Built { gate, object },
            mmdb,
            iptoasn,
        } = self;
        command
            .env("GATE_BIN", gate)
            .env("GATE_BPF_OBJECT", object)
            .env("GATE_MMDB", mmdb)
            .env("GATE_MMDB_IPTOASN", iptoasn);
    }
}
