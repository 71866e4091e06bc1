//! Changes of destinations: what the configuration file can say of them, said while the relay runs.
//!
//! A change is read as the file is read, with the same checks in the same words, and carried out as one order. Destinations that it
//! is not about go on as they are: the relay sees to that, whoever changes its configuration.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Map, Value};
use tokio::sync::{MutexGuard, oneshot};
use tracing::info;

use super::answer::{self, Json};
use super::call::{Change, Named};
use super::desk::Desk;
use super::destinations::Destination;
use super::problem::{Code, Problem, Told};
use crate::config::edit::{Edit, Refused};
use crate::config::route::Clash;
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
    let named = route.written.get("name").is_some();
    let _alone = alone(&desk, change.persist).await;
    for _ in 0..API_TRIES {
        let mut route = route.clone();
        desk.present().name(&mut route);
        let name = route.name.clone();
        let edit = change.persist.then(|| whole(&mut route));
        let add = move |config: &mut Config| match config.add(route.clone()) {
            // Another one of the same host has been given it meanwhile.
            Err(Clash::Name) if !named => Err(Unfit::Late),
            added => Ok(added?),
        };
        match carry_out(&desk, edit, add).await {
            Ok(()) => {
                info!(destination = name, "destination added by the API");
                return Ok(answer::created(&format!("/api/v1/destinations/{name}"), Destination::named(&desk, &name)?));
            }
            Err(Unfit::Late) => {}
            Err(Unfit::Wrong(problem)) => return Err(problem),
        }
    }
    Err(Problem::saying(Code::TooMany, "others add destinations all the time".to_owned()))
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
    let _alone = alone(&desk, change.persist).await;
    for _ in 0..API_TRIES {
        let before = route(&desk, &name)?;
        let mut after = changed(&desk, &before, &change.said).await?;
        let edit = change.persist.then(|| edit(&before, &mut after, &change.said));
        let replace = move |config: &mut Config| {
            let at = config.destinations.iter().position(|route| route.name == before.name);
            let at = at.ok_or(Code::NoSuchDestination)?;
            // Somebody else may have changed it while its key was read.
            if config.destinations[at].written != before.written {
                return Err(Unfit::Late);
            }
            config.is_elsewhere(&after)?;
            config.destinations[at] = after.clone();
            Ok(())
        };
        match carry_out(&desk, edit, replace).await {
            Ok(()) => {
                info!(destination = name, "destination changed by the API");
                return Destination::named(&desk, &name).map(Json);
            }
            Err(Unfit::Late) => {}
            Err(Unfit::Wrong(problem)) => return Err(problem),
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
    let _alone = alone(&desk, change.persist).await;
    // What the API has added and nobody has written is in no file.
    let written = route(&desk, &name)?.from != Origin::Api;
    let edit = (change.persist && written).then(|| Edit::Remove(name.clone()));
    let removed = name.clone();
    let remove = move |config: &mut Config| {
        let at = config.destinations.iter().position(|route| route.name == name).ok_or(Code::NoSuchDestination)?;
        config.destinations.remove(at);
        Ok(())
    };
    carry_out(&desk, edit, remove).await?;
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
    let _alone = alone(&desk, change.persist).await;
    let mut before = route(&desk, &name)?;
    let edit = change.persist.then(|| match before.from {
        Origin::Api => {
            before.switch(on);
            whole(&mut before)
        }
        Origin::File | Origin::Flags => Edit::Change(name.clone(), vec![("enabled".to_owned(), Some(on.into()))]),
    });
    let (switched, from) = (name.clone(), before.from);
    // No key is read for it: what cannot be read any more can be switched off all the same.
    let switch = move |config: &mut Config| {
        let route = config.destinations.iter_mut().find(|route| route.name == name);
        let route = route.ok_or(Code::NoSuchDestination)?;
        route.switch(on);
        route.from = from;
        Ok(())
    };
    carry_out(&desk, edit, switch).await?;
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

/// Why a change has come to nothing.
enum Unfit {
    /// Others were faster: it has to be made anew.
    Late,
    /// It cannot be.
    Wrong(Problem),
}

impl From<Problem> for Unfit {
    fn from(problem: Problem) -> Self {
        Unfit::Wrong(problem)
    }
}

impl From<Code> for Unfit {
    fn from(code: Code) -> Self {
        Unfit::Wrong(code.into())
    }
}

impl From<Clash> for Unfit {
    fn from(clash: Clash) -> Self {
        Unfit::Wrong(clash.into())
    }
}

/// For whoever cannot be late.
impl From<Unfit> for Problem {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Late => Code::TooMany.into(),
            Unfit::Wrong(problem) => problem,
        }
    }
}

/// What is to be written is written one after the other: each has to fit the file that the one before it has left.
async fn alone(desk: &Desk, persist: bool) -> Option<MutexGuard<'_, ()>> {
    if persist { Some(desk.writing.lock().await) } else { None }
}

/// Has a change made, and written into the configuration file if it is to be; both or neither.
async fn carry_out(
    desk: &Desk,
    edit: Option<Edit>,
    change: impl Fn(&mut Config) -> Result<(), Unfit> + Send + 'static,
) -> Result<(), Unfit> {
    // What cannot be is said before anybody touches the file.
    if edit.is_some() {
        change(&mut Config::clone(&desk.present()))?;
    }
    let control = desk.control.clone();
    let apply = async move {
        match control.change(change).await {
            Ok(_) => Ok(()),
            Err(Unapplied::Unfit(unfit)) => Err(unfit),
            Err(Unapplied::Circle(_)) => Err(Code::Circle.into()),
            Err(Unapplied::Ended) => Err(Code::Stopping.into()),
        }
    };
    let Some(edit) = edit else { return apply.await };
    let refused = |refused: Refused| Unfit::from(Problem::saying(Code::NotPersisted, refused.to_string()));
    let keeper = desk.keeper.as_ref().ok_or_else(|| refused(Refused::NoFile))?;
    let (tell, told) = oneshot::channel();
    let apply = async move {
        let applied = apply.await;
        let is_ok = applied.is_ok();
        let _ = tell.send(applied);
        is_ok
    };
    keeper.write(edit, apply).await.map_err(refused)?;
    told.await.unwrap_or_else(|_| Err(Code::Stopping.into()))
}

/// The destination of this name.
fn route(desk: &Desk, name: &str) -> Result<Route, Problem> {
    let found = desk.present().destinations.iter().find(|route| route.name == name).cloned();
    found.ok_or(Code::NoSuchDestination.into())
}

/// Has all of a destination written. Then it is one of the file.
fn whole(route: &mut Route) -> Edit {
    route.from = Origin::File;
    Edit::Add(route.written.clone())
}

/// Has written what the changes have made of a destination: the keys that are named, and those that are others because of that.
fn edit(before: &Route, after: &mut Route, changes: &Map<String, Value>) -> Edit {
    if before.from == Origin::Api {
        return whole(after);
    }
    let others = before.written.iter().chain(after.written.iter()).map(|(key, _)| key);
    let others = others.filter(|key| before.written.get(key) != after.written.get(key));
    let keys: BTreeSet<&String> = changes.keys().chain(others).collect();
    Edit::Change(
        before.name.clone(),
        keys.into_iter().map(|key| (key.clone(), after.written.get(key).cloned())).collect(),
    )
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
