//! The thread that listens: apart from the event loop and from the worker, and with bounds on whatever a client can do.
//!
//! A connection is for one request, and is closed after [`DEADLINE`] whatever its client does: one that says nothing, says it slowly or never reads
//! has a place for that long, and there are [`PLACES`]. Scrapes share collections: what was read less than [`AGE`] ago is what the
//! next client gets.
//!
//! Where to listen is in the manifest of the generation in force. It is looked at every [`LOOK`], as is an address that could not be had.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use hyper::{Request, body::Bytes, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Mutex as AsyncMutex, Semaphore},
    task::JoinHandle,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use super::{
    Collection, Format, collect,
    http::{self, Answer, Page, Route, Said},
    text,
    web::History,
};
use crate::{
    config::Metrics,
    control::Standing,
    error::Error,
    kernel::{self, Maps},
    logging::{Entry, Event, Field},
    pins::Pins,
    report::State,
    view,
};

/// How old a collection may be that a client gets.
const AGE: Duration = Duration::from_secs(1);
/// How often it is asked where to listen.
const LOOK: Duration = Duration::from_secs(1);
/// How long the head of a request may take.
const HEAD: Duration = Duration::from_secs(5);
/// How long a connection may last.
const DEADLINE: Duration = Duration::from_secs(10);
/// How many connections there are at once; one more is closed at once.
const PLACES: usize = 64;
/// How long the head of a request may be, in bytes.
const HEAD_MAX: usize = 16 << 10;
/// How long to wait when the kernel gives no more connections, for example for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// The thread, for those who ask how it is.
#[derive(Debug)]
pub struct Endpoint {
    problems: Arc<Mutex<Vec<String>>>,
    thread: thread::JoinHandle<()>,
}

impl Endpoint {
    /// Starts it for the gate of `pins`, whose daemon is as `standing` says; `log` gets its lines.
    pub fn start(
        pins: &Pins,
        standing: impl Fn() -> Standing + Send + Sync + 'static,
        log: fn(Entry),
    ) -> io::Result<Self> {
        // One collection at a time is all that is ever made.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .build()?;
        let problems = Arc::default();
        let shared = Arc::new(Shared {
            pins: pins.clone(),
            standing: Box::new(standing),
            log,
            problems: Arc::clone(&problems),
            settings: Mutex::new(Metrics {
                listen: Vec::new(),
                sources: 0,
                page: false,
            }),
            since: Timestamp::now(),
            history: Mutex::default(),
            hour: Mutex::new(hour(&History::default())),
            latest: AsyncMutex::new(None),
            troubles: Mutex::default(),
            places: Arc::new(Semaphore::new(PLACES)),
            turned_away: AtomicU64::new(0),
        });
        let work = move || runtime.block_on(follow(shared));
        let thread = thread::Builder::new()
            .name("metrics".to_owned())
            .spawn(work)?;
        Ok(Self { problems, thread })
    }

    /// Where metrics cannot be asked for although they should, and why.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        if self.thread.is_finished() {
            return vec![
                "no metrics can be asked for: their thread ended, the daemon's log says why; start the daemon again"
                    .to_owned(),
            ];
        }
        locked(&self.problems).clone()
    }
}

/// What all connections share.
struct Shared {
    pins: Pins,
    standing: Box<dyn Fn() -> Standing + Send + Sync>,
    log: fn(Entry),
    problems: Arc<Mutex<Vec<String>>>,
    settings: Mutex<Metrics>,
    /// When the daemon began.
    since: Timestamp,
    history: Mutex<History>,
    /// The last hour, as it is handed out.
    hour: Mutex<Option<Bytes>>,
    latest: AsyncMutex<Option<Arc<Latest>>>,
    /// What could not be read the last time.
    troubles: Mutex<Vec<String>>,
    places: Arc<Semaphore>,
    turned_away: AtomicU64,
}

/// A collection as it is handed out.
struct Latest {
    at: Instant,
    state: Option<State>,
    prometheus: Bytes,
    openmetrics: Bytes,
    /// What the status page shows; nothing if there is none.
    document: Option<Bytes>,
}

fn hour(history: &History) -> Option<Bytes> {
    history.json().ok().map(Bytes::from)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is done under these locks that could leave them half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Listens where the generation in force says, for as long as the process lives.
async fn follow(shared: Arc<Shared>) {
    let mut listening: BTreeMap<SocketAddr, JoinHandle<()>> = BTreeMap::new();
    let mut number = 0;
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        let mut problems = Vec::new();
        match settings(&shared.pins, &mut number) {
            Ok(None) => {}
            Ok(Some(settings)) => {
                let wanted = &settings.listen;
                let gone = listening.extract_if(.., |address, _| !wanted.contains(address));
                for (address, task) in gone.collect::<Vec<_>>() {
                    task.abort();
                    // The address is free once the task is gone, and may be part of one that is wanted.
                    let _ = task.await;
                    let closed = Entry::new(
                        Event::MetricsClosed,
                        format!("metrics: {address} is closed"),
                    );
                    (shared.log)(closed.text(Field::Address, address));
                }
                *locked(&shared.settings) = settings;
            }
            Err(error) => problems.push(format!(
                "where to tell metrics cannot be read: {error}{}",
                error
                    .hint()
                    .map_or_else(String::new, |hint| format!("; {hint}"))
            )),
        }
        let wanted = locked(&shared.settings).listen.clone();
        for address in wanted {
            if listening.contains_key(&address) {
                continue;
            }
            match TcpListener::bind(address).await {
                Ok(listener) => {
                    let task = tokio::spawn(accept(Arc::clone(&shared), listener));
                    listening.insert(address, task);
                    let open = Entry::new(
                        Event::MetricsOpen,
                        format!("metrics: http://{address}/metrics"),
                    );
                    (shared.log)(open.text(Field::Address, address));
                }
                Err(error) => problems.push(unheard(address, &error)),
            }
        }
        tell(&shared, problems);
        let settings = locked(&shared.settings).clone();
        if settings.page && !settings.listen.is_empty() {
            let shared = Arc::clone(&shared);
            // Where it panicked, the next step is tried all the same.
            let _ = tokio::task::spawn_blocking(move || shared.step()).await;
        } else {
            shared.forget();
        }
    }
}

/// What the generation in force says, if it is another one than `number`.
fn settings(pins: &Pins, number: &mut u32) -> Result<Option<Metrics>, Error> {
    let in_force = Maps::pinned_generation(pins)?.number();
    // Nothing is in force where somebody removed the pins; what was heard last holds until there is something again.
    if in_force == *number || in_force == 0 {
        return Ok(None);
    }
    // Which one is in force may be another one by now.
    let manifest = view::with_current(pins, |directory| Ok(kernel::manifest(directory)?))?;
    *number = manifest.number;
    Ok(Some(manifest.metrics))
}

fn unheard(address: SocketAddr, error: &io::Error) -> String {
    let kind = error.kind();
    let hint = if kind == io::ErrorKind::AddrInUse {
        format!(
            "`ss --listening --tcp --processes 'sport = :{}'` shows who has it",
            address.port()
        )
    } else if kind == io::ErrorKind::PermissionDenied {
        "ports below 1024 take CAP_NET_BIND_SERVICE, so name a higher one".to_owned()
    } else {
        "`ip address` shows the addresses that this machine has".to_owned()
    };
    format!(
        "{address}: metrics cannot be asked for, and the daemon tries again every second: {error}; {hint}; \
         [metrics] `listen` names other addresses, or none"
    )
}

/// Notes problems; the log has each once.
fn tell(shared: &Shared, problems: Vec<String>) {
    let mut known = locked(&shared.problems);
    for problem in problems.iter().filter(|it| !known.contains(it)) {
        (shared.log)(Entry::new(Event::MetricsUnheard, &**problem));
    }
    *known = problems;
}

async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(PAUSE).await;
            continue;
        };
        let Ok(place) = Arc::clone(&shared.places).try_acquire_owned() else {
            shared.turned_away.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            serve(shared, stream).await;
            drop(place);
        });
    }
}

async fn serve(shared: Arc<Shared>, stream: TcpStream) {
    let is_local = stream
        .local_addr()
        .is_ok_and(|it| it.ip().to_canonical().is_loopback());
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move {
            if is_local && http::is_for_another(&request) {
                return Ok(http::said(Said::Misdirected));
            }
            answer(&shared, &request).await
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .keep_alive(false)
        .max_buf_size(HEAD_MAX)
        .serve_connection(TokioIo::new(stream), service);
    // What a client does wrong is its own affair.
    let _ = timeout(DEADLINE, connection).await;
}

async fn answer<T>(shared: &Arc<Shared>, request: &Request<T>) -> Answer {
    let has_page = locked(&shared.settings).page;
    let page = match http::route(request, has_page) {
        Route::Page(page) => page,
        Route::History => return Ok(http::document(locked(&shared.hour).clone())),
        Route::Said(text) => return Ok(http::said(text)),
    };
    // A task of its own: a client that goes away in the middle does not leave a collection that nobody gets.
    let Ok(Some(latest)) = tokio::spawn(latest(Arc::clone(shared))).await else {
        return Ok(http::said(Said::Broken));
    };
    Ok(match page {
        Page::Metrics(format) => {
            let text = match format {
                Format::Prometheus => latest.prometheus.clone(),
                Format::OpenMetrics => latest.openmetrics.clone(),
            };
            http::metrics(text, format)
        }
        Page::Health => http::health(latest.state),
        Page::Status => http::document(latest.document.clone()),
    })
}

/// The last collection, or a new one if that is too old; nothing if it panicked.
async fn latest(shared: Arc<Shared>) -> Option<Arc<Latest>> {
    let mut latest = shared.latest.lock().await;
    if let Some(known) = latest.as_ref().filter(|it| it.at.elapsed() < AGE) {
        return Some(Arc::clone(known));
    }
    let reader = Arc::clone(&shared);
    let new = tokio::task::spawn_blocking(move || reader.read()).await;
    let new = Arc::new(new.ok()?);
    *latest = Some(Arc::clone(&new));
    Some(new)
}

impl Shared {
    /// Reads everything, which takes some milliseconds.
    fn read(&self) -> Latest {
        let mut standing = (self.standing)();
        standing.metrics.clone_from(&locked(&self.problems));
        let settings = locked(&self.settings).clone();
        let turned_away = self.turned_away.load(Ordering::Relaxed);
        let Collection {
            state,
            families,
            document,
            troubles,
        } = collect(&self.pins, standing, &settings, turned_away, self.since);
        let mut known = locked(&self.troubles);
        for trouble in troubles.iter().filter(|it| !known.contains(it)) {
            (self.log)(Entry::new(
                Event::MetricsIncomplete,
                format!("metrics lack a part: {trouble}"),
            ));
        }
        *known = troubles;
        let written = |format| Bytes::from(text::write(&families, format));
        Latest {
            at: Instant::now(),
            state,
            prometheus: written(Format::Prometheus),
            openmetrics: written(Format::OpenMetrics),
            document: document.and_then(|it| serde_json::to_vec(&it).ok().map(Bytes::from)),
        }
    }

    /// Ends a step of the last hour, if one is over.
    fn step(&self) {
        let mut history = locked(&self.history);
        if history.is_due() {
            // What cannot be read is a gap, and a collection says why.
            let _ = history.take(&self.pins);
            *locked(&self.hour) = hour(&history);
        }
    }

    /// Where there is no page there is no hour of it: one that is asked for again begins anew, and not with a step of the time between.
    fn forget(&self) {
        let mut history = locked(&self.history);
        *history = History::default();
        *locked(&self.hour) = hour(&history);
    }
}
