//! Access: who may publish and play, as it is written down, and the gate's rules that follow from it.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Deserialize;

use super::problem::{At, Place, Problem};
use super::settings::given;
use super::value::{Hidden, Network, Source};
use crate::gate::{self, Addresses, Callback, Keys, Rule, Rules, Who, callback, key_file};
use crate::limits::KEY_FILE_BYTES;
use crate::stream::{Pattern, Takeover};

/// Who may publish and play, as far as it is told.
#[derive(Debug, Clone, Default, PartialEq, Args, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Access {
    /// Key that an encoder has to show, as in rtmp://host/app/name?key=KEY; sha256:HEX is the hash of one. The environment or
    /// the file is the place for it: everybody on this machine sees command lines
    #[arg(long, value_name = "KEY", env = "RTMP_RELAY_PUBLISH_KEY", hide_env = true, hide_env_values = true)]
    #[serde(deserialize_with = "given")]
    pub publish_key: Option<Hidden>,
    /// Key that a player has to show; never the same
    #[arg(long, value_name = "KEY", env = "RTMP_RELAY_PLAY_KEY", hide_env = true, hide_env_values = true)]
    #[serde(deserialize_with = "given")]
    pub play_key: Option<Hidden>,
    /// File of keys, one a line, as in `publish live/* KEY` or `play live/* sha256:HEX`; read again when it changes
    #[arg(long, value_name = "FILE", env = "RTMP_RELAY_KEY_FILE", hide_env = true)]
    #[serde(deserialize_with = "given")]
    pub key_file: Option<PathBuf>,
    /// HTTP server that is asked about each encoder and player; 2xx is yes
    #[arg(long, value_name = "URL", env = "RTMP_RELAY_AUTH_URL", hide_env = true, hide_env_values = true)]
    #[serde(deserialize_with = "given")]
    pub auth_url: Option<Hidden>,
    /// How it is asked [default: form, as nginx-rtmp asks]
    #[arg(long, value_name = "FORM", env = "RTMP_RELAY_AUTH_FORM", hide_env = true)]
    #[serde(deserialize_with = "given")]
    pub auth_form: Option<Form>,
    /// Network that encoders may come from, as in 192.0.2.0/24; may be given many times [default: any]
    #[arg(long, value_name = "CIDR", env = "RTMP_RELAY_ALLOW_PUBLISH", hide_env = true, value_delimiter = ',')]
    pub allow_publish: Vec<Network>,
    /// Network that players may come from
    #[arg(long, value_name = "CIDR", env = "RTMP_RELAY_ALLOW_PLAY", hide_env = true, value_delimiter = ',')]
    pub allow_play: Vec<Network>,
    /// Network that nobody may come from
    #[arg(long, value_name = "CIDR", env = "RTMP_RELAY_DENY", hide_env = true, value_delimiter = ',')]
    pub deny: Vec<Network>,
    /// What becomes of an encoder when another one with the same right comes [default: refuse, unless it is silent]
    #[arg(long, value_name = "POLICY", env = "RTMP_RELAY_TAKEOVER", hide_env = true)]
    #[serde(deserialize_with = "given")]
    pub takeover: Option<Policy>,
}

/// Who may publish and play some streams.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamAccess {
    /// Which streams, as app/name; * stands for any part of it, ** for any parts
    pub streams: Vec<At<Source>>,
    /// Who
    pub access: Access,
}

/// How an HTTP server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// As nginx-rtmp asks
    Form,
    /// With an object
    Json,
}

/// What becomes of an encoder when another one with the same right comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// It stays, unless it has been silent for 2 s
    Refuse,
    /// It goes
    Replace,
}

impl Access {
    /// This, and where it says nothing, `others`.
    pub(super) fn over(self, others: Access) -> Access {
        let or = |these: Vec<Network>, others| if these.is_empty() { others } else { these };
        Access {
            publish_key: self.publish_key.or(others.publish_key),
            play_key: self.play_key.or(others.play_key),
            key_file: self.key_file.or(others.key_file),
            auth_url: self.auth_url.or(others.auth_url),
            auth_form: self.auth_form.or(others.auth_form),
            allow_publish: or(self.allow_publish, others.allow_publish),
            allow_play: or(self.allow_play, others.allow_play),
            deny: or(self.deny, others.deny),
            takeover: self.takeover.or(others.takeover),
        }
    }

    /// Paths in a file are meant from the folder it is in.
    pub(super) fn based_in(&mut self, folder: &Path) {
        self.key_file.iter_mut().for_each(|path| *path = folder.join(&*path));
    }

    /// The rule for some streams.
    async fn rule(&self, streams: Pattern) -> Result<Rule, String> {
        let [publish, play] = match (&self.key_file, &self.auth_url) {
            (None, None) => [keys(&self.publish_key, "publish_key")?, keys(&self.play_key, "play_key")?],
            _ if self.publish_key.is_some() || self.play_key.is_some() => return Err(ONE_OF.to_owned()),
            (Some(path), None) => {
                check(path).await?;
                [Who::KeyFile(path.clone()), Who::KeyFile(path.clone())]
            }
            (None, Some(url)) => {
                let mut callback = Callback::parse(url.0.expose()).map_err(|error| format!("auth_url: {error}"))?;
                callback.form = self.auth_form.map_or(callback.form, Form::of_callback);
                let who = Who::Callback(callback);
                [who.clone(), who]
            }
            (Some(_), Some(_)) => return Err(ONE_OF.to_owned()),
        };
        let networks = |list: &[Network]| -> Vec<IpNet> { list.iter().map(|network| network.0).collect() };
        let from = |allow: &[Network]| Addresses { allow: networks(allow), deny: networks(&self.deny) };
        Ok(Rule {
            streams,
            publish: gate::Access { from: from(&self.allow_publish), who: publish },
            play: gate::Access { from: from(&self.allow_play), who: play },
            takeover: match self.takeover {
                None | Some(Policy::Refuse) => Takeover::Refuse,
                Some(Policy::Replace) => Takeover::Replace,
            },
        })
    }
}

const ONE_OF: &str = "only one of key_file, auth_url, and publish_key with play_key can be given";

impl Form {
    fn of_callback(self) -> callback::Form {
        match self {
            Form::Form => callback::Form::Nginx,
            Form::Json => callback::Form::Json,
        }
    }
}

fn keys(key: &Option<Hidden>, what: &str) -> Result<Who, String> {
    let Some(Hidden(key)) = key else { return Ok(Who::Anyone) };
    Keys::parse([key]).map(Who::Keys).map_err(|error| format!("{what}: {error}"))
}

/// A file of keys that cannot be used is told of now, and not when somebody wants to publish.
async fn check(path: &Path) -> Result<(), String> {
    let cannot = |error: String| format!("the key file {}: {error}", path.display());
    let size = tokio::fs::metadata(path).await.map_err(|error| cannot(error.to_string()))?.len();
    if size > KEY_FILE_BYTES as u64 {
        return Err(cannot(key_file::Error::TooLong.to_string()));
    }
    let text = tokio::fs::read(path).await.map_err(|error| cannot(error.to_string()))?;
    key_file::check(&text).map_err(|error| cannot(crate::causes::in_one_line(&error)))
}

/// The gate's rules: those for some streams first, in their order, and then the one for all.
pub(super) async fn rules(all: &Access, some: &[At<StreamAccess>], problems: &mut Vec<Problem>) -> Rules {
    let mut rules = Rules::default();
    let mut take = |place: Option<Place>, rule: Result<Rule, String>| match rule {
        Ok(rule) => rules.0.push(rule),
        Err(what) => problems.push(Problem::at(place, what)),
    };
    for At { value: StreamAccess { streams, access }, place } in some {
        for pattern in streams {
            take(*place, access.rule(pattern.value.0.clone()).await);
        }
    }
    if *all != Access::default() {
        take(None, all.rule(Pattern::all()).await);
    } else if !some.is_empty() {
        take(None, Ok(Rule::default()));
    }
    if let Err(error) = rules.check() {
        problems.push(Problem::at(None, error));
    }
    rules
}
