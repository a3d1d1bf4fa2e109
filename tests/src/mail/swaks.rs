//! swaks, as the mail program of a customer.

use std::{net::IpAddr, process::Command, time::Duration};

use anyhow::Result;

use super::DOMAIN;
use crate::{
    exec::{self, Output},
    lab::NetNs,
};

/// A customer.
pub const USER: &str = "customer@example.net";
/// The password of all customers.
pub const PASSWORD: &str = "lab";

/// How long a submission may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// What came of a submission.
#[derive(Clone, Debug)]
pub struct Submitted {
    /// Whether the server took the message.
    pub accepted: bool,
    /// What was said, by both.
    pub transcript: String,
}

/// Submits a message from `client` in `netns` to `server`, over TLS, with the customer's password and these headers.
pub fn submit(
    netns: &NetNs,
    client: IpAddr,
    (server, port): (IpAddr, u16),
    headers: &[&str],
) -> Result<Submitted> {
    let mut command = Command::new("swaks");
    command
        .args(["--server", &server.to_string(), "--port", &port.to_string()])
        .args(["--local-interface", &client.to_string()])
        .args(["--helo", "client.example.net", "--timeout", "20", "--tls"])
        .args([
            "--auth",
            "PLAIN",
            "--auth-user",
            USER,
            "--auth-password",
            PASSWORD,
        ])
        .args(["--from", USER, "--to", &format!("inbox@{DOMAIN}")]);
    if server.is_ipv6() {
        command.arg("-6");
    }
    for header in headers {
        command.args(["--add-header", header]);
    }
    netns.contain(&mut command);
    let Output {
        status,
        stdout,
        stderr,
    } = exec::output(&mut command, "", PATIENCE)?;
    Ok(Submitted {
        accepted: status.success(),
        transcript: stdout + &stderr,
    })
}
