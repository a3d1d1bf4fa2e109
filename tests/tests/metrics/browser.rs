//! A headless Chromium in the lab's router, driven over its `DevTools` protocol: messages on a pair of pipes, each ended by a zero.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use gate_tests::{exec, interrupt, lab::NetNs};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use serde_json::{Value, json};

/// The command of Debian's package of that name.
pub(crate) const CHROMIUM: &str = "chromium";

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(40);

/// The browser and its one page. Dropping it ends it.
pub(crate) struct Browser {
    child: Child,
    requests: ChildStdin,
    messages: Receiver<Value>,
    session: Option<String>,
    last: u64,
    /// What it told without being asked.
    events: Vec<Value>,
}

/// What a browser did and said.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Where it asked.
    pub(crate) asked: Vec<String>,
    /// Errors, warnings, what a policy forbade.
    pub(crate) complaints: Vec<String>,
}

impl Browser {
    /// Starts it in `netns`, with everything that it writes in `home`.
    pub(crate) fn start(netns: &NetNs, home: &Path) -> Result<Self> {
        std::fs::create_dir_all(home)?;
        let mut command = Command::new("sh");
        // The pipes are its descriptors 3 and 4.
        command
            .args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null", "sh"])
            .args([CHROMIUM, "--headless", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", home.display()))
            // It runs as root, in a namespace from which nothing leaves.
            .args(["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--no-first-run", "--disable-sync", "--disable-extensions"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-breakpad"])
            .args(["--hide-scrollbars", "--force-color-profile=srgb"])
            .arg("about:blank")
            .env("HOME", home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        netns.contain(&mut command);
        let mut child = exec::spawn(&mut command).context("cannot start chromium")?;
        let requests = child.stdin.take().context("no pipe")?;
        let answers = child.stdout.take().context("no pipe")?;
        let (sender, messages) = mpsc::channel();
        thread::spawn(move || {
            for message in BufReader::new(answers).split(0) {
                let message = message.ok().and_then(|it| serde_json::from_slice(&it).ok());
                let Some(Ok(())) = message.map(|it: Value| sender.send(it)) else {
                    return;
                };
            }
        });
        let mut browser = Self {
            child,
            requests,
            messages,
            session: None,
            last: 0,
            events: Vec::new(),
        };
        let target = browser.call("Target.createTarget", &json!({"url": "about:blank"}))?;
        let attached = browser.call(
            "Target.attachToTarget",
            &json!({"targetId": text(&target, "targetId")?, "flatten": true}),
        )?;
        browser.session = Some(text(&attached, "sessionId")?);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), &json!({}))?;
        }
        Ok(browser)
    }

    /// Calls a method of the protocol.
    pub(crate) fn call(&mut self, method: &str, parameters: &Value) -> Result<Value> {
        self.last += 1;
        let mut request = json!({"id": self.last, "method": method, "params": parameters});
        if let (Some(session), Some(request)) = (&self.session, request.as_object_mut()) {
            request.insert("sessionId".to_owned(), json!(session));
        }
        let mut octets = serde_json::to_vec(&request)?;
        octets.push(0);
        self.requests.write_all(&octets)?;
        self.requests.flush()?;
        loop {
            interrupt::check()?;
            let message = self.messages.recv_timeout(PATIENCE);
            let message = message.with_context(|| format!("{method}: no answer"))?;
            if message.get("id").and_then(Value::as_u64) != Some(self.last) {
                self.events.push(message);
                continue;
            }
            if let Some(error) = message.get("error") {
                bail!("{method}: {error}");
            }
            return message.get("result").cloned().context("no result");
        }
    }

    /// What an expression of the page's own language is there.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Result<Value> {
        let parameters =
            json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.call("Runtime.evaluate", &parameters)?;
        if let Some(exception) = answer.get("exceptionDetails") {
            bail!("{expression}: {exception}");
        }
        Ok(answer.pointer("/result/value").cloned().unwrap_or_default())
    }

    /// Goes to an address.
    pub(crate) fn open(&mut self, address: &str) -> Result<()> {
        let answer = self.call("Page.navigate", &json!({"url": address}))?;
        match answer.get("errorText").and_then(Value::as_str) {
            Some(error) => bail!("{address}: {error}"),
            None => Ok(()),
        }
    }

    /// Has the window be so wide and high.
    pub(crate) fn size(&mut self, width: u32, height: u32) -> Result<()> {
        let parameters = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", &parameters)?;
        Ok(())
    }

    /// Waits until an expression is true.
    pub(crate) fn shows(&mut self, what: &str, expression: &str) -> Result<()> {
        // It fails where nothing that it asks for is there yet.
        let shown = interrupt::wait_until(PATIENCE, || {
            matches!(self.evaluate(expression), Ok(Value::Bool(true)))
        })?;
        if shown {
            return Ok(());
        }
        let text = self.evaluate("[document.hidden, document.body.innerText]")?;
        bail!("the page does not show {what}: {text} {:?}", self.seen()?)
    }

    /// What it did and said so far.
    pub(crate) fn seen(&mut self) -> Result<Seen> {
        // What was told before the answer has come by now.
        self.evaluate("0")?;
        let mut seen = Seen::default();
        for event in &self.events {
            match event.get("method").and_then(Value::as_str) {
                Some("Network.requestWillBeSent") => {
                    let url = event.pointer("/params/request/url");
                    seen.asked
                        .extend(url.and_then(Value::as_str).map(str::to_owned));
                }
                Some("Runtime.consoleAPICalled" | "Runtime.exceptionThrown" | "Log.entryAdded") => {
                    seen.complaints.push(event.to_string());
                }
                _ => {}
            }
        }
        Ok(seen)
    }

    /// The whole page as it looks, as a PNG in base64.
    pub(crate) fn picture(&mut self) -> Result<String> {
        let parameters = json!({"format": "png", "captureBeyondViewport": true});
        text(&self.call("Page.captureScreenshot", &parameters)?, "data")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A destructor has nobody to tell; the residue check looks for what this leaves. Its helpers are in its process group.
        if let Ok(group) = i32::try_from(self.child.id()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}

fn text(value: &Value, key: &str) -> Result<String> {
    let text = value.get(key).and_then(Value::as_str);
    text.map(str::to_owned)
        .with_context(|| format!("no {key}: {value}"))
}
