//! `test`: the way to each destination, before the show.

use std::fmt::Write as _;

use anyhow::{Result, bail};
use tokio::task::JoinSet;

use super::{Test, print};
use crate::config::problem::At;
use crate::config::{Config, Route, Settings};
use crate::net::tcp::Tcp;
use crate::preflight::{self, Report, Step};

/// The columns of the table.
const STEPS: [(Step, &str); 7] = [
    (Step::Name, "NAME"),
    (Step::Tcp, "TCP"),
    (Step::Tls, "TLS"),
    (Step::Handshake, "HANDSHAKE"),
    (Step::Connect, "CONNECT"),
    (Step::CreateStream, "STREAM"),
    (Step::Publish, "PUBLISH"),
];

pub(super) async fn run(test: Test) -> Result<()> {
    let told = Settings { relay_to: test.urls, ca_file: test.ca_file.map(At::from), ..Settings::default() };
    let routes = Config::load(told, test.config.as_deref()).await?.config.destinations;
    if routes.is_empty() {
        bail!("there is no destination to test: name a URL, or a file with --config");
    }
    let mut tests = JoinSet::new();
    for (number, route) in routes.into_iter().flat_map(with_backup).enumerate() {
        let (publish, mut random) = (test.publish, fastrand::Rng::new());
        tests.spawn(async move { (number, preflight::run(&Tcp, &route, publish, &mut random).await) });
    }
    let mut reports = tests.join_all().await;
    reports.sort_by_key(|(number, _)| *number);
    let reports: Vec<Report> = reports.into_iter().map(|(_, report)| report).collect();
    print(&if test.json { serde_json::to_string_pretty(&reports)? } else { table(&reports) })?;
    match reports.iter().filter(|report| report.failed.is_some()).count() {
        0 => Ok(()),
        failed => bail!("{failed} of {} destinations failed", reports.len()),
    }
}

/// A destination has two ways if it has a backup server.
fn with_backup(route: Route) -> impl Iterator<Item = Route> {
    let backup = route.at_backup();
    [route].into_iter().chain(backup)
}

/// A line each, with milliseconds; then a sentence for each that failed.
fn table(reports: &[Report]) -> String {
    let width =
        reports.iter().map(|report| report.destination.chars().count()).max().unwrap_or(0).max("DESTINATION".len());
    let mut text = format!("{:width$}", "DESTINATION");
    for (_, title) in STEPS {
        let _ = write!(text, "  {title:>9}");
    }
    text.push('\n');
    for report in reports {
        let _ = write!(text, "{:width$}", report.destination);
        for (step, _) in STEPS {
            let done = report.done.iter().find(|done| done.step == step);
            let cell = match (done, &report.failed) {
                (Some(done), _) => format!("{} ms", done.took.as_millis()),
                (None, Some(failed)) if failed.step == step => "FAILED".to_owned(),
                _ => "-".to_owned(),
            };
            let _ = write!(text, "  {cell:>9}");
        }
        text.push('\n');
    }
    for report in reports {
        let _ = match &report.failed {
            Some(failed) => {
                write!(text, "\n{} ({}): {}\n  {}\n", report.destination, report.server, failed.error, failed.advice)
            }
            None => continue,
        };
    }
    text
}
