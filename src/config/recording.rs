//! Recordings as configured: which streams are written where.

use super::problem::{At, Problem, Problems};
use super::route::{Clash, NAME, is_name, numbered};
use super::{Config, settings};
use crate::limits::API_RECORDINGS;
use crate::origin::Origin;
use crate::recorder::{Limits, Rule};
use crate::stream::{Name, Pattern};

impl Config {
    /// Has one stream recorded, into the folder for recordings that name none, until the rule is taken away; says what it is called.
    pub fn record(&mut self, stream: &Name) -> Result<String, Clash> {
        let of_the_api = |rule: &&Rule| rule.from == Origin::Api;
        if self.recordings.iter().filter(of_the_api).count() >= API_RECORDINGS {
            return Err(Clash::Full(API_RECORDINGS));
        }
        let streams = vec![Pattern::exactly(stream)];
        if let Some(same) = self.recordings.iter().filter(of_the_api).find(|rule| rule.streams == streams) {
            return Err(Clash::Place(same.name.clone()));
        }
        let mut taken = self.recordings.iter().map(|rule| rule.name.clone()).collect();
        let name = numbered("recording", &mut taken);
        self.recordings.push(Rule {
            name: name.clone(),
            streams,
            from: Origin::Api,
            ..Rule::every(self.record_dir.clone())
        });
        Ok(name)
    }
}

/// Reads the recordings of the file, and behind them the one of all streams, if there is one.
pub(super) fn rules(given: Vec<At<settings::Recording>>, all: Option<Rule>) -> Result<Vec<Rule>, Problems> {
    let (mut rules, mut problems, mut taken) = (Vec::new(), Vec::new(), Vec::new());
    for name in given.iter().filter_map(|at| at.value.name.as_ref()) {
        if !is_name(&name.value) {
            problems.push(Problem::at(name.place, NAME));
        } else if taken.contains(&name.value) {
            problems.push(Problem::at(name.place, format!("the name {:?} is given twice", name.value)));
        }
        taken.push(name.value.clone());
    }
    for At { value: recording, .. } in given {
        let streams =
            recording.source_streams.map(|sources| sources.into_iter().map(|source| source.value.0).collect());
        let segments = Limits {
            time: recording.segment_time.map(|time| time.0),
            bytes: recording.segment_size.map(|size| size.0),
        };
        rules.push((
            recording.name.map(|name| name.value),
            Rule {
                segments,
                streams: streams.unwrap_or_else(|| vec![Pattern::all()]),
                from: Origin::File,
                ..Rule::every(recording.dir)
            },
        ));
    }
    rules.extend(all.map(|rule| (None, rule)));
    if !problems.is_empty() {
        return Err(Problems(problems));
    }
    let named = rules.into_iter().map(|(name, rule)| {
        let folder = || rule.folder.file_name().map_or("recordings".into(), |name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_else(|| numbered(&folder(), &mut taken));
        Rule { name, ..rule }
    });
    Ok(named.collect())
}
