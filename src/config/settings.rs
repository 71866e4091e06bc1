//! Every setting, once: as a flag, as an environment variable, and as a key of the file.

use std::path::{Path, PathBuf};

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::access::{Access, StreamAccess};
use super::problem::At;
use super::value::{
    ApiListen, Bitrate, ChunkSize, EventPattern, Hidden, Listen, Merge, Pin, PlatformName, SegmentSize, SegmentTime,
    Source, Time,
};
use crate::guard::Guard;

/// What a relay is told, as far as it is told.
#[derive(Debug, Clone, Default, PartialEq, Args, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "rtmp-relay")]
pub struct Settings {
    /// Where to listen for encoders and players; `:1935` is every address of this machine [default: 127.0.0.1:1935]
    #[arg(long, value_name = "ADDRESS", env = "RTMP_RELAY_LISTEN", hide_env = true)]
    #[serde(deserialize_with = "given")]
    pub listen: Option<Listen>,
    /// Where to listen for encoders and players that speak RTMPS
    #[arg(long, value_name = "ADDRESS", env = "RTMP_RELAY_TLS_LISTEN", hide_env = true)]
    #[serde(deserialize_with = "given")]
    pub tls_listen: Option<Listen>,
    /// The certificate they are shown, with those that vouch for it behind it (PEM); it is read again when it changes
    #[arg(long, value_name = "FILE", env = "RTMP_RELAY_TLS_CERT", hide_env = true)]
    #[serde(deserialize_with = "given")]
    pub tls_cert: Option<At<PathBuf>>,
    /// The certificate's private key (PEM, without a password)
    #[arg(long, value_name = "FILE", env = "RTMP_RELAY_TLS_KEY", hide_env = true)]
    #[serde(deserialize_with = "given")]
    pub tls_key: Option<At<PathBuf>>,
    /// Certificate authorities to trust besides this machine's own, for destinations at rtmps:// (PEM)
    #[arg(long, value_name = "FILE", env = "RTMP_RELAY_CA_FILE", hide_env = true)]
    #[serde(deserialize_with = "given")]
    pub ca_file: Option<At<PathBuf>>,
    /// Server to relay to; may be given many times. A URL that ends with the application gets the stream's name appended,
    /// and {app} and {stream} may stand anywhere in it
    #[arg(long, value_name = "URL", env = "RTMP_RELAY_RELAY_TO", hide_env = true, value_delimiter = ' ')]
    #[serde(skip)]
    #[schemars(skip)]
    pub relay_to: Vec<Hidden>,
    /// Where streams go
    #[arg(skip)]
    pub destinations: Vec<At<Destination>>,
    /// Record every stream into an FLV file
    #[arg(long, env = "RTMP_RELAY_RECORD_ALL", hide_env = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[serde(deserialize_with = "given")]
    pub record_all: Option<bool>,
    /// Folder for recordings [default: recordings]
    #[arg(long, value_name = "DIR", env = "RTMP_RELAY_RECORD_DIR", hide_env = true)]
    #[serde(deserialize_with = "given")]
    pub record_dir: Option<PathBuf>,
    /// Begin another file of --record-all at the first key frame after this much time
    #[arg(long, value_name = "TIME", env = "RTMP_RELAY_SEGMENT_TIME", hide_env = true)]
    #[serde(deserialize_with = "given")]
    pub segment_time: Option<SegmentTime>,
    /// Begin another file of --record-all at the first key frame after this many bytes, as in 500M
    #[arg(long, value_name = "SIZE", env = "RTMP_RELAY_SEGMENT_SIZE", hide_env = true)]
    #[serde(deserialize_with = "given")]
    pub segment_size: Option<SegmentSize>,
    /// Which streams are recorded where
    #[arg(skip)]
    pub recordings: Vec<At<Recording>>,
    /// Servers that are told what happens
    #[arg(skip)]
    pub webhooks: Vec<At<Webhook>>,
    /// Commands that are run when something happens
    #[arg(skip)]
    pub on_event: Vec<At<OnEvent>>,
    /// How long to keep everything open for an encoder whose connection was lost [default: 15s]
    #[arg(long, value_name = "TIME", env = "RTMP_RELAY_GRACE", hide_env = true)]
    #[serde(deserialize_with = "given")]
    pub grace: Option<Time>,
    /// Chunk size towards destinations, in bytes; 4096 for servers that dislike large ones [default: 60000]
    #[arg(long, value_name = "BYTES", env = "RTMP_RELAY_CHUNK_SIZE", hide_env = true)]
    #[serde(deserialize_with = "given")]
    pub chunk_size: Option<ChunkSize>,
    /// What waits on its way to destinations, so that it leaves in one write with what comes next; less CPU [default: none]
    #[arg(long, value_name = "WHAT", env = "RTMP_RELAY_MERGE", hide_env = true)]
    #[serde(deserialize_with = "given")]
    pub merge: Option<Merge>,
    /// Who may publish and play
    #[command(flatten)]
    pub access: Access,
    /// Who may publish and play some streams; the first entry for a stream decides
    #[arg(skip)]
    pub stream_access: Vec<At<StreamAccess>>,
    /// How many encoders and players may be connected at once; never more than leaves a quarter of the process's file
    /// descriptors for destinations and recordings [default: 10000]
    #[arg(long, value_name = "NUMBER", env = "RTMP_RELAY_MAX_CONNECTIONS", hide_env = true)]
    #[serde(deserialize_with = "given")]
    pub max_connections: Option<usize>,
    /// How many of them from one address; this machine itself is exempt [default: 100]
    #[arg(long, value_name = "NUMBER", env = "RTMP_RELAY_MAX_CONNECTIONS_PER_ADDRESS", hide_env = true)]
    #[serde(deserialize_with = "given")]
    pub max_connections_per_address: Option<usize>,
    /// Where the HTTP API listens, or off [default: 127.0.0.1:9997, or a free port if that is taken]
    #[arg(long, value_name = "ADDRESS", env = "RTMP_RELAY_API_LISTEN", hide_env = true)]
    #[serde(deserialize_with = "given")]
    pub api_listen: Option<ApiListen>,
    /// What callers of the API have to show, as in `Authorization: Bearer TOKEN`; sha256:HEX is the hash of one. The environment
    /// or the file is the place for it: everybody on this machine sees command lines
    #[arg(long, value_name = "TOKEN", env = "RTMP_RELAY_API_TOKEN", hide_env = true, hide_env_values = true)]
    #[serde(deserialize_with = "given")]
    pub api_token: Option<Hidden>,
    /// Let the API add destinations inside our own network: this machine, private and link-local addresses
    #[arg(long, env = "RTMP_RELAY_API_ALLOW_INTERNAL", hide_env = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[serde(deserialize_with = "given")]
    pub api_allow_internal: Option<bool>,
}

/// A server to relay to.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Destination {
    /// What it is called in logs and status [default: the host's name, numbered where several share it]
    #[serde(default, deserialize_with = "given")]
    pub name: Option<At<String>>,
    /// Where it is, as in rtmp://host/app or rtmps://host/app. It may hold the key as its last part, or have it in one of the three keys below.
    /// {app} and {stream} stand for the source's, {1}, {2} … for what the wildcards of source_streams have found [default: the platform's]
    #[serde(default, deserialize_with = "given")]
    pub url: Option<At<Hidden>>,
    /// Whose server it is: what this platform takes is known, and so is its url where it has one for everybody
    #[serde(default, deserialize_with = "given")]
    pub platform: Option<At<PlatformName>>,
    /// Another server, with the same key, that takes its place after three failures in a row, and until the first one has been
    /// there for a minute [default: the platform's, if it has one and no url is given]
    #[serde(default, deserialize_with = "given")]
    pub backup_url: Option<At<Hidden>>,
    /// What is done about a stream that the platform does not like: refuse (not sent there, if the platform is known to refuse it;
    /// else told), advise (told, and sent) or ignore [default: refuse]
    #[serde(default, deserialize_with = "given")]
    pub guard: Option<Guard>,
    /// The stream key; ${NAME} is an environment variable
    #[serde(default, deserialize_with = "given")]
    pub stream_key: Option<At<Hidden>>,
    /// A file whose first line is the stream key
    #[serde(default, deserialize_with = "given")]
    pub stream_key_file: Option<At<PathBuf>>,
    /// A shell command that prints the stream key
    #[serde(default, deserialize_with = "given")]
    pub stream_key_command: Option<At<Hidden>>,
    /// The certificate authorities it may have its certificate from, and no others (PEM) [default: this machine's]
    #[serde(default, deserialize_with = "given")]
    pub ca_file: Option<At<PathBuf>>,
    /// The SHA-256 fingerprint of its certificate, in hexadecimal or base64. It takes the place of the authorities, for
    /// certificates that nobody vouches for: this one is trusted, whatever name and days are in it
    #[serde(default, deserialize_with = "given")]
    pub tls_pin: Option<At<Pin>>,
    /// Which streams go there, as app/name; * stands for any part of it, ** for any parts [default: all]
    #[serde(default, deserialize_with = "given")]
    pub source_streams: Option<Vec<At<Source>>>,
    /// Chunk size, in bytes; 4096 for servers that dislike large ones
    #[serde(default, deserialize_with = "given")]
    pub chunk_size: Option<ChunkSize>,
    /// What waits, so that it leaves in one write with what comes next
    #[serde(default, deserialize_with = "given")]
    pub merge: Option<Merge>,
    /// How soon it is tried again
    #[serde(default, deserialize_with = "given")]
    pub reconnect: Option<At<Reconnect>>,
    /// How long it may keep us waiting
    #[serde(default, deserialize_with = "given")]
    pub timeouts: Option<At<Timeouts>>,
    /// Further behind than this, it jumps to the newest key frame [default: 5s]
    #[serde(default, deserialize_with = "given")]
    pub max_lag: Option<At<Time>>,
    /// Bits a second that it may have, as in 8M: a stream that has more for 30 s is not sent there until it has less [default: any]
    #[serde(default, deserialize_with = "given")]
    pub max_bitrate: Option<Bitrate>,
    /// Never connect to an address inside our own network: this machine, private and link-local addresses; each time its name is
    /// resolved. What the API adds is public only, unless api_allow_internal is set [default: false]
    #[serde(default, deserialize_with = "given")]
    pub public_only: Option<bool>,
    /// Whether anything is sent there at all [default: true]
    #[serde(default, deserialize_with = "given")]
    pub enabled: Option<bool>,
}

/// Waits between tries.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Reconnect {
    /// The first wait; each one after it is twice as long [default: 250ms]
    #[serde(deserialize_with = "given")]
    pub initial: Option<Time>,
    /// The longest wait; some errors have a longer one of their own [default: 5s]
    #[serde(deserialize_with = "given")]
    pub max: Option<Time>,
}

/// Patience.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// For each step on the way to an accepted stream [default: 10s]
    #[serde(deserialize_with = "given")]
    pub connect: Option<Time>,
    /// For a server that takes none of the bytes that wait for it [default: 10s]
    #[serde(deserialize_with = "given")]
    pub progress: Option<Time>,
}

/// Streams that are recorded.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recording {
    /// What it is called in logs and status [default: the folder's name, numbered where several share it]
    #[serde(default, deserialize_with = "given")]
    pub name: Option<At<String>>,
    /// Which streams, as app/name; * stands for any part of it, ** for any parts [default: all]
    #[serde(default, deserialize_with = "given")]
    pub source_streams: Option<Vec<At<Source>>>,
    /// The folder for the files
    pub dir: PathBuf,
    /// Another file begins at the first key frame after this much time
    #[serde(default, deserialize_with = "given")]
    pub segment_time: Option<SegmentTime>,
    /// Another file begins at the first key frame after this many bytes, as in 500M
    #[serde(default, deserialize_with = "given")]
    pub segment_size: Option<SegmentSize>,
}

/// A server that is told what happens.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Where each event is posted to, as JSON
    pub url: At<Hidden>,
    /// What it knows us by: any text, or whsec_ and base64. Requests are signed with it; ${NAME} is an environment variable
    #[serde(default, deserialize_with = "given")]
    pub secret: Option<At<Hidden>>,
    /// What it is told of, by code; * stands for any part of one [default: everything]
    #[serde(default, deserialize_with = "given")]
    pub events: Option<Vec<At<EventPattern>>>,
    /// How long it may take to answer [default: 10s]
    #[serde(default, deserialize_with = "given")]
    pub timeout: Option<At<Time>>,
}

/// A command that is run when something happens.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OnEvent {
    /// A shell command. It is given the event as JSON on its standard input, and in variables RTMP_RELAY_EVENT, …
    pub command: Hidden,
    /// When it is run, by code; * stands for any part of one [default: always]
    #[serde(default, deserialize_with = "given")]
    pub events: Option<Vec<At<EventPattern>>>,
    /// How long it may take, before it is killed [default: 30s]
    #[serde(default, deserialize_with = "given")]
    pub timeout: Option<At<Time>>,
}

/// A key without a value is a mistake, and not the same as no key at all.
pub(super) fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl Settings {
    /// These, and where they say nothing, `others`. Destinations, recordings, webhooks and commands add up.
    pub fn over(self, others: Settings) -> Settings {
        Settings {
            listen: self.listen.or(others.listen),
            tls_listen: self.tls_listen.or(others.tls_listen),
            tls_cert: self.tls_cert.or(others.tls_cert),
            tls_key: self.tls_key.or(others.tls_key),
            ca_file: self.ca_file.or(others.ca_file),
            relay_to: [others.relay_to, self.relay_to].concat(),
            destinations: [others.destinations, self.destinations].concat(),
            record_all: self.record_all.or(others.record_all),
            record_dir: self.record_dir.or(others.record_dir),
            segment_time: self.segment_time.or(others.segment_time),
            segment_size: self.segment_size.or(others.segment_size),
            recordings: [others.recordings, self.recordings].concat(),
            webhooks: [others.webhooks, self.webhooks].concat(),
            on_event: [others.on_event, self.on_event].concat(),
            grace: self.grace.or(others.grace),
            chunk_size: self.chunk_size.or(others.chunk_size),
            merge: self.merge.or(others.merge),
            access: self.access.over(others.access),
            stream_access: [others.stream_access, self.stream_access].concat(),
            max_connections: self.max_connections.or(others.max_connections),
            max_connections_per_address: self.max_connections_per_address.or(others.max_connections_per_address),
            api_listen: self.api_listen.or(others.api_listen),
            api_token: self.api_token.or(others.api_token),
            api_allow_internal: self.api_allow_internal.or(others.api_allow_internal),
        }
    }

    /// Files that hold stream keys and certificates.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let own = [&self.tls_cert, &self.tls_key, &self.ca_file];
        let theirs = self.destinations.iter().flat_map(|given| [&given.value.stream_key_file, &given.value.ca_file]);
        own.into_iter().chain(theirs).flatten().map(|at| at.value.clone()).collect()
    }

    /// Paths in a file are meant from the folder it is in.
    pub(super) fn based_in(mut self, folder: &Path) -> Settings {
        let from = |path: &mut PathBuf| *path = folder.join(&*path);
        self.record_dir.iter_mut().for_each(from);
        self.access.based_in(folder);
        self.stream_access.iter_mut().for_each(|some| some.value.access.based_in(folder));
        self.recordings.iter_mut().for_each(|at| from(&mut at.value.dir));
        for file in [&mut self.tls_cert, &mut self.tls_key, &mut self.ca_file] {
            file.iter_mut().for_each(|at| from(&mut at.value));
        }
        for At { value, .. } in &mut self.destinations {
            value.stream_key_file.iter_mut().chain(&mut value.ca_file).for_each(|at| from(&mut at.value));
        }
        self
    }
}
