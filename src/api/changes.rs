//! Changes of destinations: what the configuration file can say of them, said while the relay runs.
//!
//! A change is read as the file is read, with the same checks in the same words, and carried out as one order. Destinations that it
//! is not about go on as they are: the relay sees to that, whoever changes its configuration.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Map, Value};
use tracing::info;

use super::answer::{self, Json};
use super::call::{Change, Named};
use super::desk::Desk;
use super::destinations::Destination;
use super::problem::{Code, Problem, Told};
use crate::config::written::KEYS;
use crate::config::{Config, Route, Written};
use crate::destination::Template;
use crate::destination::approach::{is_internal, literal};
use crate::limits::API_TRIES;
use crate::origin::Origin;
use crate::relay::Unapplied;

/// What reads files and runs commands of this machine is not for everybody who can call.
pub(super) const OF_THE_FILE: [&str; 3] = ["stream_key_file", "stream_key_command", "ca_file"];

/// Adds a destination; its keys are those of one in the configuration file.
#[utoipa::path(post, path = "/api/v1/destinations", tag = "destinations", operation_id = "add_destination",
    params(("persist" = Option<bool>, Query, description = "write it into the configuration file too")),
    responses(
        (status = CREATED, body = Destination),
        (status = CONFLICT, body = Told, description = "name_taken, place_taken, full, circle, not_persisted"),
        (status = UNPROCESSABLE_ENTITY, body = Told, description = "invalid, internal_address")
    )
)]
pub(super) async fn add(State(desk): State<Arc<Desk>>, change: Change) -> Result<Response, Problem> {
    let written = Written::default().with(&change.said);
    let route = read(&desk, written, &change.said, Origin::Api).await?;
    let add = move |config: &mut Config| config.add(route).map_err(Problem::from);
    let changes = desk.control.change(add).await?;
    let name = changes.added.first().cloned().unwrap_or_default();
    info!(destination = name, "destination added by the API");
    Ok(answer::created(&format!("/api/v1/destinations/{name}"), Destination::named(&desk, &name)?))
}

/// Changes a destination (RFC 7396): what is given takes the place of what was, null is the default.
#[utoipa::path(patch, path = "/api/v1/destinations/{name}", tag = "destinations", operation_id = "change_destination",
    params(("name" = String, Path), ("persist" = Option<bool>, Query, description = "write it into the configuration file too")),
    responses(
        (status = OK, body = Destination),
        (status = NOT_FOUND, body = Told, description = "no_such_destination"),
        (status = CONFLICT, body = Told, description = "place_taken, circle, not_persisted"),
        (status = UNPROCESSABLE_ENTITY, body = Told, description = "invalid, internal_address, key_needed")
    )
)]
pub(super) async fn change(
    State(desk): State<Arc<Desk>>,
    Named(name): Named,
    change: Change,
) -> Result<Json<Destination>, Problem> {
    if change.said.get("name").is_some_and(|other| other.as_str() != Some(&name)) {
        return Err(Problem::part("name", "a destination keeps its name: add another one and remove this one"));
    }
    for _ in 0..API_TRIES {
        let before = desk.present().destinations.iter().find(|route| route.name == name).cloned();
        let before = before.ok_or(Code::NoSuchDestination)?;
        let route = changed(&desk, &before, &change.said).await?;
        let replace = move |config: &mut Config| {
            let at = config.destinations.iter().position(|route| route.name == before.name);
            let at = at.ok_or_else(|| Some(Code::NoSuchDestination.into()))?;
            // Somebody else may have changed it while its key was read.
            if config.destinations[at].written != before.written {
                return Err(None);
            }
            config.is_elsewhere(&route).map_err(|clash| Some(clash.into()))?;
            config.destinations[at] = route;
            Ok(())
        };
        match desk.control.change(replace).await {
            Ok(_) => {
                info!(destination = name, "destination changed by the API");
                return Destination::named(&desk, &name).map(Json);
            }
            Err(Unapplied::Unfit(None)) => {}
            Err(Unapplied::Unfit(Some(problem))) => return Err(problem),
            Err(Unapplied::Circle(_)) => return Err(Code::Circle.into()),
            Err(Unapplied::Ended) => return Err(Code::Stopping.into()),
        }
    }
    Err(Problem::saying(Code::TooMany, "others change this destination all the time".to_owned()))
}

/// Removes a destination: it says goodbye and leaves.
#[utoipa::path(delete, path = "/api/v1/destinations/{name}", tag = "destinations", operation_id = "remove_destination",
    params(("name" = String, Path), ("persist" = Option<bool>, Query, description = "remove it from the configuration file too")),
    responses(
        (status = NO_CONTENT),
        (status = NOT_FOUND, body = Told, description = "no_such_destination"),
        (status = CONFLICT, body = Told, description = "not_persisted")
    )
)]
pub(super) async fn remove(
    State(desk): State<Arc<Desk>>,
    Named(name): Named,
    change: Change,
) -> Result<Response, Problem> {
    change.only(&[])?;
    let removed = name.clone();
    let remove = move |config: &mut Config| {
        let at = config.destinations.iter().position(|route| route.name == name).ok_or(Code::NoSuchDestination)?;
        config.destinations.remove(at);
        Ok::<_, Problem>(())
    };
    desk.control.change(remove).await?;
    info!(destination = removed, "destination removed by the API");
    Ok(answer::done())
}

/// Switches a destination on.
#[utoipa::path(post, path = "/api/v1/destinations/{name}/enable", tag = "destinations", operation_id = "enable_destination",
    params(("name" = String, Path), ("persist" = Option<bool>, Query, description = "write it into the configuration file too")),
    responses(
        (status = OK, body = Destination),
        (status = NOT_FOUND, body = Told, description = "no_such_destination"),
        (status = CONFLICT, body = Told, description = "not_persisted")
    )
)]
pub(super) async fn enable(desk: State<Arc<Desk>>, name: Named, change: Change) -> Result<Json<Destination>, Problem> {
    switch(desk, name, change, true).await
}

/// Switches a destination off: it says goodbye and leaves.
#[utoipa::path(post, path = "/api/v1/destinations/{name}/disable", tag = "destinations", operation_id = "disable_destination",
    params(("name" = String, Path), ("persist" = Option<bool>, Query, description = "write it into the configuration file too")),
    responses(
        (status = OK, body = Destination),
        (status = NOT_FOUND, body = Told, description = "no_such_destination"),
        (status = CONFLICT, body = Told, description = "not_persisted")
    )
)]
pub(super) async fn disable(desk: State<Arc<Desk>>, name: Named, change: Change) -> Result<Json<Destination>, Problem> {
    switch(desk, name, change, false).await
}

async fn switch(
    State(desk): State<Arc<Desk>>,
    Named(name): Named,
    change: Change,
    on: bool,
) -> Result<Json<Destination>, Problem> {
    change.only(&[])?;
    let switched = name.clone();
    let switch = move |config: &mut Config| {
        let route = config.destinations.iter_mut().find(|route| route.name == name);
        route.ok_or(Code::NoSuchDestination)?.switch(on);
        Ok::<_, Problem>(())
    };
    desk.control.change(switch).await?;
    info!(destination = switched, on, "destination switched by the API");
    Destination::named(&desk, &switched).map(Json)
}

/// Has a destination that waits for its next attempt make it now.
#[utoipa::path(post, path = "/api/v1/destinations/{name}/retry", tag = "destinations", operation_id = "retry_destination",
    params(("name" = String, Path)),
    responses((status = OK, body = Destination), (status = NOT_FOUND, body = Told, description = "no_such_destination"))
)]
pub(super) async fn retry(
    State(desk): State<Arc<Desk>>,
    Named(name): Named,
    change: Change,
) -> Result<Json<Destination>, Problem> {
    change.only(&[])?;
    if !desk.control.retry(name.clone()).await {
        return Err(Code::NoSuchDestination.into());
    }
    Destination::named(&desk, &name).map(Json)
}

/// A destination with changes.
async fn changed(desk: &Desk, before: &Route, changes: &Map<String, Value>) -> Result<Route, Problem> {
    let mut route = read(desk, before.written.with(changes), changes, before.from).await?;
    route.name.clone_from(&before.name);
    if takes_the_key_along(before, changes, &route) {
        return Err(Problem::with(Code::KeyNeeded, "stream_key"));
    }
    Ok(route)
}

/// Whether a key that was there before is sent to a server that was not: whoever may call the API is never shown the key, and may not
/// have it sent to a server of their own either.
fn takes_the_key_along(before: &Route, changes: &Map<String, Value>, after: &Route) -> bool {
    let known: Vec<String> =
        [Some(&before.url), before.backup.as_ref()].into_iter().flatten().map(Template::server).collect();
    let is_new = |server: &&Template| !known.contains(&server.server());
    let given = |key: &str| changes.get(key).is_some_and(|value| !value.is_null());
    let beside = KEYS.iter().any(|key| before.written.get(key).is_some());
    // A URL that is given has no key in it but the caller's own.
    let in_backup = |backup: &&Template| beside || (!given("url") && backup.key() == after.url.key());
    let taken = (beside && is_new(&&after.url)) || after.backup.as_ref().filter(is_new).filter(in_backup).is_some();
    taken && !given("stream_key")
}

/// Reads a destination of which `changes` are from a caller.
async fn read(desk: &Desk, mut written: Written, changes: &Map<String, Value>, from: Origin) -> Result<Route, Problem> {
    let config = desk.present();
    let given = |key: &str| changes.get(key).is_some_and(|value| !value.is_null());
    if let Some(key) = OF_THE_FILE.into_iter().find(|key| given(key)) {
        let what = format!("{key} is for the configuration file only: the API reads no files and runs no commands");
        return Err(Problem::part(key, &what));
    }
    if !config.api.allow_internal {
        if changes.get("public_only").is_some_and(|value| *value != Value::Bool(true)) {
            return Err(Problem::with(Code::InternalAddress, "public_only"));
        }
        if given("url") || given("backup_url") {
            written.set("public_only", true);
        }
    }
    let route = Route::read(written, config.defaults.clone(), from).await?;
    let servers = [("url", Some(&route.url)), ("backup_url", route.backup.as_ref())];
    let inside = servers.iter().find(|(_, server)| server.is_some_and(|server| is_inside(server.host().0)));
    match inside {
        Some((key, _)) if route.settings.public_only => Err(Problem::with(Code::InternalAddress, key)),
        _ => Ok(route),
    }
}

/// Whether a host is plain to see inside our own network. One that its name leads to is found when it is connected to.
fn is_inside(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let local = name == "localhost" || name.ends_with(".localhost");
    local || literal(host).is_some_and(is_internal)
}
