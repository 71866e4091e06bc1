//! Every limit of the relay, by name, in one place. None is infinite; each has a test that goes one past it.

use std::time::Duration;

/// Connections to us in all, or three quarters of the process's file descriptors if that is less: the rest is for
/// destinations and recordings.
pub const CONNECTIONS: usize = 10_000;
/// Connections to us from one address. This machine itself is exempt.
pub const CONNECTIONS_PER_ADDRESS: usize = 100;
/// Lines that the log has for connections that failed …
pub const LOG_LINES: u32 = 20;
/// … in this time; the others are counted.
pub const LOG_LINES_PER: Duration = Duration::from_secs(1);

/// Chunk streams one peer may open (RTMP 1.0 §5.3.1.1 allows 65,597; encoders use one to four).
pub const CHUNK_STREAMS: usize = 64;
/// Bytes of unfinished messages one peer may leave with us, over all its chunk streams. One message of the largest legal size fits.
pub const PARTIAL_BYTES: usize = 24 << 20;
/// The largest command or data payload that is looked into (RTMP 1.0 §7); longer data is passed on unread.
pub const COMMAND_BYTES: usize = 64 << 10;
/// Chunk sizes that may be asked for towards destinations, in bytes.
pub const CHUNK_SIZES: std::ops::RangeInclusive<usize> = 128..=65_536;
/// The longest key that is configured, from a file or a command too; one that is shown is as long as a command may be.
pub const KEY_BYTES: usize = 4096;
/// The largest configuration file that is read.
pub const CONFIG_BYTES: u64 = 1 << 20;
/// The largest file of certificates or keys that is read.
pub const PEM_BYTES: u64 = 1 << 20;
/// The longest stream name (app and name together) that is served.
pub const STREAM_NAME_BYTES: usize = 512;
/// Bytes of replies that may wait for a peer that does not read them.
pub const REPLY_BYTES: usize = 64 << 10;
/// What a source may put into a connection's outbox at once; one message more may lie there.
pub const FILL_BYTES: usize = 256 << 10;
/// A read asks for this much at first, for up to `READ_BYTES_MAX` once a peer fills it.
pub const READ_BYTES: usize = 4 << 10;
/// The same of a peer that is sent media, and has little to say.
pub const READ_BYTES_FED: usize = 512;
/// The most that one read takes from one peer.
pub const READ_BYTES_MAX: usize = 256 << 10;
/// Bytes of metadata, headers and configurations that are kept of one publisher, over all its tracks; what is more is passed on
/// only.
pub const PREAMBLE_BYTES: usize = 1 << 20;
/// Messages of metadata, headers and configurations that are kept of one publisher, over all its tracks.
pub const PREAMBLE_ITEMS: usize = 128;
/// Codecs and features of E-RTMP that are remembered of one publisher.
pub const NEEDS: usize = 16;
/// Entries that the journal keeps: a reader that falls further behind is told how many it has missed.
pub const JOURNAL_ENTRIES: usize = 1000;
/// Letters of an entry's text.
pub const JOURNAL_TEXT: usize = 500;
/// A webhook that could not be told is tried again after this long at first …
pub const WEBHOOK_FIRST: Duration = Duration::from_secs(1);
/// … and after this long at most.
pub const WEBHOOK_MAX: Duration = Duration::from_secs(60);
/// A webhook that has said no to an event so often is not told of it any more.
pub const WEBHOOK_ANSWERS: usize = 8;
/// A webhook has this long to answer, unless told otherwise.
pub const WEBHOOK: Duration = Duration::from_secs(10);
/// Runs of one command for events at once; what is to follow waits in the journal.
pub const COMMANDS: usize = 4;
/// A command for an event has this long, unless told otherwise.
pub const COMMAND: Duration = Duration::from_secs(30);
/// Patience with webhooks and commands that may be asked for.
pub const HOOK_PATIENCE: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(300);
/// Webhooks and commands.
pub const HOOKS: usize = 64;
/// When a relay ends, those who are told what happens have this long for the last of it.
pub const LAST_WORDS: Duration = Duration::from_secs(2);
/// Entries of one code in one second about those who come and go; the others are counted.
pub const JOURNAL_VISITS: u32 = 50;
/// Marks along which the bytes of a session are read as times: a finer trail is thinned out.
pub const TRAIL: usize = 64;
/// Addresses of one host that an attempt tries.
pub const ADDRESSES: usize = 8;
/// Reconnect requests of servers that are obeyed at once in a row; more of them are failures.
pub const RECONNECTS: usize = 3;
/// Letters that are kept of what an encoder or player calls itself.
pub const AGENT_LETTERS: usize = 128;
/// Relays a stream may have come through before it is taken for a circle.
pub const HOPS: usize = 8;
/// Keys that one request may show.
pub const KEYS_PRESENTED: usize = 4;
/// The longest file of keys.
pub const KEY_FILE_BYTES: usize = 1 << 20;
/// Callbacks under way at once; others wait for one of them, within their own time.
pub const CALLBACKS: usize = 64;
/// What an HTTP server that is asked or told something may put before the body of its answer, which is not read.
pub const ANSWER_HEAD: usize = 16 << 10;
/// Destinations there may be, once one is added while the relay runs.
pub const DESTINATIONS: usize = 1000;
/// Recordings that the API may have going at once.
pub const API_RECORDINGS: usize = 100;
/// How often a change is tried again that others were faster than.
pub const API_TRIES: usize = 8;
/// Connections to the HTTP API at once.
pub const API_CONNECTIONS: usize = 256;
/// Those of them that are sent a stream; the rest is for calls.
pub const VIEWERS: usize = 128;
/// Those of them that are told of every change.
pub const API_WATCHERS: usize = 32;
/// Streams that have metrics of their own.
pub const METRIC_STREAMS: usize = 100;
/// The largest body of a call.
pub const API_BODY_BYTES: usize = 64 << 10;
/// What a call may put before its body.
pub const API_HEAD_BYTES: usize = 16 << 10;
/// The shortest token that callers have to show.
pub const API_TOKEN_BYTES: usize = 16;
/// The longest answer of an API that `status` and `top` read.
pub const API_ANSWER_BYTES: usize = 16 << 20;

/// A caller of the API has this long to tell its call, and for the head of the next one on the same connection.
pub const API_CALL: Duration = Duration::from_secs(30);
/// A peer has this long to finish the handshake, and as long for that of TLS before it.
pub const HANDSHAKE: Duration = Duration::from_secs(5);
/// A client has this long from connecting to its `publish` or `play`.
pub const REQUEST: Duration = Duration::from_secs(10);
/// A callback has this long for its answer, from the request on.
pub const CALLBACK: Duration = Duration::from_secs(3);
/// A file of keys is looked at no more often than this.
pub const KEY_FILE_REST: Duration = Duration::from_secs(1);
/// A publisher that sends nothing for this long is lost. A dead host is noticed earlier, by TCP keepalive.
pub const PUBLISHER_SILENCE: Duration = Duration::from_secs(30);
/// A publisher silent for this long gives way to another one with the same right: its old connection, mostly.
pub const TAKEOVER: Duration = Duration::from_secs(2);
/// A reader whose socket takes nothing for this long is gone.
pub const STALL: Duration = Duration::from_secs(10);
/// A destination has this long for each step: name, TCP, TLS, handshake, each command.
pub const STEP: Duration = Duration::from_secs(10);
/// A destination that was lost is tried again after this long at first …
pub const RECONNECT_FIRST: Duration = Duration::from_millis(250);
/// … and after this long at most, where the error has no longer cap of its own.
pub const RECONNECT_MAX: Duration = Duration::from_secs(5);
/// A server that does not like what it is sent leaves within this time: it looks at the first frames.
pub const DISLIKE: Duration = Duration::from_secs(5);
/// A server that has left so soon this often in a row means it.
pub const DROPS: usize = 3;
/// Failures in a row after which a destination's other server is tried.
pub const BACKUP_AFTER: usize = 3;
/// While a backup server is sent to, it is looked this often whether the primary one is there …
pub const PRIMARY_LOOK: Duration = Duration::from_secs(10);
/// … and when it has been for this long, it is sent to again.
pub const PRIMARY_STEADY: Duration = Duration::from_secs(60);
/// Goodbyes and the last bytes of a connection have this long to leave.
pub const GOODBYE: Duration = Duration::from_secs(1);
/// At the end of a stream a reader has this long for what is still in the log.
pub const DRAIN: Duration = Duration::from_secs(3);
/// After `accept` failed (no file descriptors, say) the listener rests this long.
pub const ACCEPT_REST: Duration = Duration::from_millis(100);

/// The log of a stream keeps this much media time …
pub const LOG_TIME: Duration = Duration::from_secs(8);
/// … or this many bytes, whichever is reached first.
pub const LOG_BYTES: usize = 32 << 20;
/// A destination that falls this far behind jumps to the newest key frame.
pub const DESTINATION_LAG: Duration = Duration::from_secs(5);
/// Sound that is to leave with a picture waits no longer than this.
pub const MERGE: Duration = Duration::from_millis(40);
/// A destination starts in the newest GOP if its key frame is no older than this, else at the next one.
pub const DESTINATION_JOIN: Duration = Duration::from_secs(2);
/// A reader waits this much media time for a key frame, then starts without one (intra refresh never sends another).
pub const KEY_FRAME_WAIT: Duration = Duration::from_secs(10);
/// A server that asks for a reconnect is sent to until a key frame has come, but no longer than this.
pub const RECONNECT_WAIT: Duration = Duration::from_secs(5);
/// Media that needs a sequence header and has none for this long of media time is worth a warning.
pub const HEADER_WAIT: Duration = Duration::from_secs(5);
/// A recording is written and on the disk at least this often; what a crash can lose.
pub const RECORDING_FLUSH: Duration = Duration::from_secs(1);
/// Bytes a recording gathers before it writes them.
pub const RECORDING_BYTES: usize = 1 << 20;
/// A disk that takes longer than this for one write is said to be slow.
pub const RECORDING_STALL: Duration = Duration::from_secs(1);
/// A recording that the disk has refused is tried again after this long.
pub const RECORDING_RETRY: Duration = Duration::from_secs(10);
/// Letters of an application in the name of a recording.
pub const RECORDING_APP_LETTERS: usize = 64;
/// Recordings of one stream that may begin in one millisecond.
pub const RECORDING_NAMES: u32 = 1000;
/// The shortest segment of a recording …
pub const SEGMENT_TIME: Duration = Duration::from_secs(1);
/// … and the smallest, in bytes.
pub const SEGMENT_BYTES: u64 = 100_000;
/// The longest file of a recording: its times have 31 bits of milliseconds, 24.8 days.
pub const RECORDING_TIME: Duration = Duration::from_secs(24 * 86_400);
/// Waits between tries that may be asked for.
pub const RECONNECT_WAITS: std::ops::RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_secs(3600);
/// Patience with a destination that may be asked for.
pub const PATIENCE: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(300);
/// Lags that may be asked for: a log holds no more.
pub const LAGS: std::ops::RangeInclusive<Duration> = Duration::from_millis(500)..=LOG_TIME;
