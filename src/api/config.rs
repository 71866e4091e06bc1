//! The configuration in force, without what is secret in it.

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::Json;
use super::desk::{Desk, seconds};
use super::status::From;
use crate::config::{Config, Route};
use crate::guard::Guard;
use crate::hook::{Hook, To};
use crate::recorder::Rule;
use crate::stream::Pattern;

/// What is in force. Keys, tokens and all of a URL but its server are left out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Config)]
pub(super) struct Effective {
    listen: String,
    tls_listen: Option<String>,
    grace_seconds: f64,
    log_seconds: f64,
    log_bytes: usize,
    max_connections: usize,
    max_connections_per_address: usize,
    record_dir: String,
    /// Who may publish and play; the first rule for a stream decides. Without any, everybody may do everything.
    access: Vec<Access>,
    destinations: Vec<Sent>,
    recordings: Vec<Recorded>,
    /// Who is told what happens.
    hooks: Vec<Hooked>,
    api: Api,
}

/// Who may publish and play some streams, in words.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Access {
    streams: String,
    publish: String,
    play: String,
}

/// How streams are sent to a destination.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConfigDestination)]
pub(super) struct Sent {
    name: String,
    /// Scheme, host and port.
    server: String,
    backup_server: Option<String>,
    platform: Option<&'static str>,
    /// `refuse`, `advise` or `ignore`.
    #[schema(value_type = String)]
    guard: Guard,
    source_streams: Vec<String>,
    enabled: bool,
    chunk_size: usize,
    reconnect: Reconnect,
    timeouts: Timeouts,
    max_lag_seconds: f64,
    max_bitrate: Option<u64>,
    public_only: bool,
    from: From,
}

/// Waits between tries.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Reconnect {
    initial_seconds: f64,
    max_seconds: f64,
}

/// Patience.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Timeouts {
    connect_seconds: f64,
    progress_seconds: f64,
}

/// What is recorded where.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConfigRecording)]
pub(super) struct Recorded {
    name: String,
    source_streams: Vec<String>,
    dir: String,
    segment_seconds: Option<f64>,
    segment_bytes: Option<u64>,
    from: From,
}

/// A webhook, or a command, that is told what happens.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConfigHook)]
pub(super) struct Hooked {
    /// What it is called in the log.
    name: String,
    /// Scheme and host, if it is a webhook.
    #[schema(example = "https://hooks.example")]
    server: Option<String>,
    /// Whether what it is told is signed.
    signed: bool,
    /// Patterns of codes.
    events: Vec<String>,
    timeout_seconds: f64,
}

/// This API.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Api {
    listen: String,
    /// Whether callers need one.
    token: bool,
    allow_internal: bool,
}

impl Effective {
    fn of(config: &Config, desk: &Desk) -> Self {
        let access = config.gate.0.iter().map(|rule| Access {
            streams: rule.streams.to_string(),
            publish: rule.publish.to_string(),
            play: rule.play.to_string(),
        });
        Effective {
            listen: desk.rtmp.to_string(),
            tls_listen: desk.rtmps.map(|address| address.to_string()),
            grace_seconds: seconds(config.grace),
            log_seconds: seconds(config.log.time),
            log_bytes: config.log.bytes,
            max_connections: config.visitors.all,
            max_connections_per_address: config.visitors.per_address,
            record_dir: config.record_dir.display().to_string(),
            access: access.collect(),
            destinations: config.destinations.iter().map(Sent::of).collect(),
            recordings: config.recordings.iter().map(Recorded::of).collect(),
            hooks: config.hooks.iter().map(Hooked::of).collect(),
            api: Api {
                listen: desk.address.to_string(),
                token: config.api.token.is_some(),
                allow_internal: config.api.allow_internal,
            },
        }
    }
}

impl Sent {
    fn of(route: &Route) -> Self {
        let settings = &route.settings;
        Sent {
            name: route.name.clone(),
            server: route.url.server(),
            backup_server: route.backup.as_ref().map(|backup| backup.server()),
            platform: settings.platform.map(|platform| &*platform.id),
            guard: settings.guard,
            source_streams: listed(&route.streams),
            enabled: route.enabled,
            chunk_size: settings.chunk_size,
            reconnect: Reconnect {
                initial_seconds: seconds(settings.reconnect.initial),
                max_seconds: seconds(settings.reconnect.max),
            },
            timeouts: Timeouts {
                connect_seconds: seconds(settings.timeouts.connect),
                progress_seconds: seconds(settings.timeouts.progress),
            },
            max_lag_seconds: seconds(settings.max_lag),
            max_bitrate: settings.max_bitrate,
            public_only: settings.public_only,
            from: route.from.into(),
        }
    }
}

impl Recorded {
    fn of(rule: &Rule) -> Self {
        Recorded {
            name: rule.name.clone(),
            source_streams: listed(&rule.streams),
            dir: rule.folder.display().to_string(),
            segment_seconds: rule.segments.time.map(seconds),
            segment_bytes: rule.segments.bytes,
            from: rule.from.into(),
        }
    }
}

impl Hooked {
    fn of(hook: &Hook) -> Self {
        let (server, signed, timeout) = match &hook.to {
            To::Webhook(webhook) => (Some(format!("{:?}", webhook.server)), webhook.key.is_some(), webhook.timeout),
            To::Command(command) => (None, false, command.timeout),
        };
        Hooked {
            name: hook.name.clone(),
            server,
            signed,
            events: hook.events.iter().map(ToString::to_string).collect(),
            timeout_seconds: seconds(timeout),
        }
    }
}

fn listed(streams: &[Pattern]) -> Vec<String> {
    streams.iter().map(ToString::to_string).collect()
}

/// The configuration in force, keys hidden.
#[utoipa::path(get, path = "/api/v1/config", tag = "relay", operation_id = "config", responses((status = OK, body = Effective)))]
pub(super) async fn effective(State(desk): State<Arc<Desk>>) -> Json<Effective> {
    Json(Effective::of(&desk.present(), &desk))
}
