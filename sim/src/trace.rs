//! The trace: everybody's log in one sequence, with simulated time. The same seed writes the same bytes.

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// What turmoil calls its events.
const WIRE: &str = "turmoil";

/// Of one of turmoil's values no more than this is written: it prints every byte of every segment, and who writes a segment
/// has written its hash.
const WIRE_VALUE: usize = 40;

/// Where the log goes while a world runs. A clone is the same trace.
#[derive(Debug, Clone, Default)]
pub struct Trace(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    now: Duration,
    names: BTreeMap<IpAddr, &'static str>,
    wire: bool,
    lines: Vec<Line>,
}

/// One event.
#[derive(Debug)]
struct Line {
    at: Duration,
    story: bool,
    text: String,
}

/// Which host a span belongs to.
struct Node(String);

impl Trace {
    /// Takes this thread's log until the guard is dropped: what is worth an `info` or more; with `wire` everything, down to
    /// every segment sent, delivered and read.
    pub fn install(&self, wire: bool) -> DefaultGuard {
        crate::quiet::keep();
        self.lines().wire = wire;
        tracing::subscriber::set_default(tracing_subscriber::registry().with(self.clone()))
    }

    /// All that was taken, a line each.
    pub fn all(&self) -> String {
        self.lines().lines.iter().map(|line| line.print(3)).collect()
    }

    /// What is worth an `info` or more, to so many decimals of a second.
    pub fn story(&self, decimals: usize) -> String {
        self.lines().lines.iter().filter(|line| line.story).map(|line| line.print(decimals)).collect()
    }

    /// Simulated time, to a tick. Also right in a destructor, where tokio's clock is not.
    pub fn now(&self) -> Duration {
        self.lines().now
    }

    pub(crate) fn set_now(&self, now: Duration) {
        self.lines().now = now;
    }

    /// Writes `name` for this host's address.
    pub(crate) fn name(&self, address: IpAddr, name: &'static str) {
        self.lines().names.insert(address, name);
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().expect("nothing panics while it writes a line")
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Trace {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.is_span() || is_story(metadata) || self.lines().wire
    }

    /// turmoil runs each host in a span with its name.
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut node = Node(String::new());
        attributes.record(&mut node);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(node);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let Lines { now, names, lines, .. } = &mut *self.lines();
        let wire = event.metadata().target() == WIRE;
        let limit = if wire { WIRE_VALUE } else { usize::MAX };
        let mut values = Values { names, limit, node: None, message: String::new(), fields: String::new() };
        event.record(&mut values);
        let span = context.event_scope(event).and_then(|scope| scope.from_root().next());
        let node = span.as_ref().map(|span| span.extensions());
        let node = node.as_ref().and_then(|extensions| extensions.get::<Node>()).map(|node| &node.0);
        let node = values.node.as_ref().or(node).map_or("world", String::as_str);
        let text = format!("{node:9} {}{}\n", values.message, values.fields);
        lines.push(Line { at: *now, story: is_story(event.metadata()), text });
    }
}

fn is_story(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::INFO && metadata.target() != WIRE
}

impl Line {
    fn print(&self, decimals: usize) -> String {
        let width = decimals + 4;
        format!("{:width$.decimals$}  {}", self.at.as_secs_f64(), self.text)
    }
}

impl Visit for Node {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "name" {
            self.0 = format!("{value:?}").trim_matches('"').to_owned();
        }
    }
}

/// The values of one event.
struct Values<'a> {
    names: &'a BTreeMap<IpAddr, &'static str>,
    limit: usize,
    /// Whom the event is about, where it is not the host that runs.
    node: Option<String>,
    message: String,
    fields: String,
}

impl Visit for Values<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = Short { text: String::new(), limit: self.limit };
        // An error only says that it was cut.
        let _ = write!(text, "{value:?}");
        let Short { text, .. } = text;
        let name = text.parse().ok().and_then(|peer: SocketAddr| self.names.get(&peer.ip()));
        let text = name.map_or(text, |name| (*name).to_owned());
        match field.name() {
            "message" => self.message = text,
            "node" => self.node = Some(text),
            name => self.fields += &format!(" {name}={text}"),
        }
    }
}

/// A text that grows to its limit and then stops whoever writes to it.
struct Short {
    text: String,
    limit: usize,
}

impl Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        match self.text.len() + text.len() <= self.limit {
            true => self.text.write_str(text),
            false => Err(fmt::Error),
        }
    }
}
