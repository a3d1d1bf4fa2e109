//! Real connections through the gate, in network namespaces that leave nothing behind.
//!
//! | module | what it is |
//! |---|---|
//! | [`lab`] | an ISP in namespaces: subscribers, a router, mail hosts, the Internet; servers, clients, a witness of what was sent |
//! | [`gate`] | the program under test from outside: its command line, its JSON, its daemon |
//! | [`mail`] | a mail host with Postfix, Dovecot and swaks, all with configurations of their own |
//! | [`matrix`] | who may reach whom on which port: the table, the run, the verdict on each row |
//! | [`conformance`] | captures that other people made, read by the gate and by tshark |
//! | [`packets`] | frames for the tests that need no lab, written by a packet library |
//! | [`nft`] | rule sets in namespaces, and what their counters say |
//! | [`wire`] | frames on interfaces of this machine, past its network stack |
//! | [`cpu`] | threads that stay on one processor |
//! | [`exec`] | other programs: bounded in time, and out of the terminal's reach |
//! | [`pin`] | what the kernel itself says about pinned BPF objects, and foreign ones to put in the way |
//! | [`hold`] | a process that waits at the moment when it makes a BPF link |
//! | [`test_run`] | programs in the kernel, run on frames of ours |
//! | [`privilege`], [`residue`], [`interrupt`] | may this process make a lab, what is left of it, must it end now |
//!
//! Nothing in this library links the gate: the program is a file that is run (`GATE_BIN`), its parser a function that is handed in, and what
//! they say is held against what clients and servers, or tshark, saw. A test that shares no code with what it tests cannot agree with its mistakes.
//!
//! Everything made is named after this process (`gate-PID...`) and removed on drop: at the end, on an error, on a
//! panic, and on Ctrl-C, which only sets a flag that every wait looks at.

// The crate's other targets use what this one does not.
#![cfg_attr(
    test,
    allow(
        unused_crate_dependencies,
        reason = "the lint looks at each target alone: the integration tests use these"
    )
)]

pub mod conformance;
pub mod cpu;
pub mod exec;
pub mod gate;
pub mod hold;
pub mod interrupt;
pub mod lab;
pub mod mail;
pub mod matrix;
pub mod nft;
pub mod packets;
pub mod pin;
pub mod privilege;
pub mod residue;
pub mod test_run;
pub mod wire;

use clap as _;
