//! Hooks as configured: who is told what happens.

use std::time::Duration;

use super::problem::{At, Place, Problem};
use super::route::numbered;
use super::settings::{OnEvent, Webhook};
use super::value::{EventPattern, Hidden, Time};
use crate::hook::signature::Key;
use crate::hook::{Command, Hook, Pattern, To, webhook};
use crate::limits::{COMMAND, HOOK_PATIENCE, HOOKS, WEBHOOK};
use crate::net::http::Target;
use crate::net::tls::Trust;

/// Reads who is told, and what is wrong with that. Servers are called after their hosts, commands by their number.
pub(super) fn hooks(
    webhooks: Vec<At<Webhook>>,
    commands: Vec<At<OnEvent>>,
    trust: &Trust,
    problems: &mut Vec<Problem>,
) -> Vec<Hook> {
    let one_too_many = webhooks.iter().map(|at| at.place).chain(commands.iter().map(|at| at.place)).nth(HOOKS);
    if let Some(place) = one_too_many {
        problems.push(Problem::at(place, format!("there are more than {HOOKS} webhooks and commands")));
    }
    let (mut hooks, mut taken) = (Vec::new(), Vec::new());
    let mut take = |hook: Result<(String, Hook), Problem>| match hook {
        Ok((name, hook)) => hooks.push(Hook { name: numbered(&name, &mut taken), ..hook }),
        Err(problem) => problems.push(problem),
    };
    for At { value: Webhook { url, secret, events, timeout }, .. } in webhooks {
        take(
            server(url, secret, timeout, trust).map(|to| (to.server.host().to_owned(), hook(events, To::Webhook(to)))),
        );
    }
    for At { value: OnEvent { command, events, timeout }, .. } in commands {
        let timeout = patience(timeout, COMMAND);
        let to = timeout.map(|timeout| Command { line: command.0, timeout });
        take(to.map(|to| ("on_event".to_owned(), hook(events, To::Command(to)))));
    }
    hooks
}

fn hook(events: Option<Vec<At<EventPattern>>>, to: To) -> Hook {
    let events = events.map(|events| events.into_iter().map(|event| event.value.0).collect());
    Hook { name: String::new(), events: events.unwrap_or_else(|| vec![Pattern::all()]), to }
}

fn server(
    url: At<Hidden>,
    secret: Option<At<Hidden>>,
    timeout: Option<At<Time>>,
    trust: &Trust,
) -> Result<webhook::Webhook, Problem> {
    let at = |place: Option<Place>| move |what: &dyn std::fmt::Display| Problem::at(place, what);
    let target = Target::parse(url.value.0.expose()).map_err(|error| at(url.place)(&format!("the url: {error}")))?;
    let key = secret.map(|At { value: Hidden(secret), place }| Key::new(secret).map_err(|error| at(place)(&error)));
    let (key, timeout) = (key.transpose()?, patience(timeout, WEBHOOK)?);
    Ok(webhook::Webhook { server: target, trust: trust.clone(), key, timeout })
}

fn patience(given: Option<At<Time>>, default: Duration) -> Result<Duration, Problem> {
    let Some(At { value: Time(time), place }) = given else { return Ok(default) };
    let (least, most) = (HOOK_PATIENCE.start(), HOOK_PATIENCE.end());
    let problem = || Problem::at(place, format!("timeout is a time from {least:?} to {most:?}"));
    HOOK_PATIENCE.contains(&time).then_some(time).ok_or_else(problem)
}
