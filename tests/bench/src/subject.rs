//! A subject: a program that is measured, and how it is told what to do.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;
use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};
use rtmp_relay::net::tls::Fingerprint;
use serde::{Deserialize, Serialize};

use crate::cell::{Cell, Way};
use crate::program::{Program, free};

/// Programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Subject {
    Floor,
    Relay,
    RelayTuned,
    RelayMerge,
    #[value(name = "nginx-60000")]
    #[serde(rename = "nginx-60000")]
    Nginx60000,
    #[value(name = "nginx-4096")]
    #[serde(rename = "nginx-4096")]
    Nginx4096,
    FfmpegTee,
    NodeMediaServer,
}

/// A subject that is ready.
pub(crate) struct Running {
    pub(crate) program: Program,
    /// Where to publish to.
    pub(crate) publish: SocketAddr,
    /// Where to play from.
    pub(crate) play: SocketAddr,
}

impl Subject {
    /// What it is called in tables.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Subject::Floor => "floor",
            Subject::Relay => "rtmp-relay",
            Subject::RelayTuned => "rtmp-relay, tuned",
            Subject::RelayMerge => "rtmp-relay, merge: audio",
            Subject::Nginx60000 => "nginx-rtmp, chunk 60000",
            Subject::Nginx4096 => "nginx-rtmp, chunk 4096",
            Subject::FfmpegTee => "ffmpeg tee + fifo",
            Subject::NodeMediaServer => "node-media-server",
        }
    }

    /// Whether it does such a thing at all.
    pub(crate) fn can(self, cell: &Cell) -> bool {
        match self {
            Subject::Floor => cell.way != Way::Play || cell.streams == 1,
            Subject::Relay | Subject::RelayTuned => true,
            Subject::RelayMerge => matches!(cell.way, Way::Push | Way::Rtmps),
            // It knows no patterns of names.
            Subject::Nginx60000 | Subject::Nginx4096 => matches!(cell.way, Way::Push | Way::Play) && cell.streams == 1,
            Subject::FfmpegTee => cell.way == Way::Push && cell.streams == 1,
            Subject::NodeMediaServer => matches!(cell.way, Way::Push | Way::Play) && cell.streams == 1,
        }
    }

    /// Whether its readers are without RTMP.
    pub(crate) fn is_raw(self) -> bool {
        self == Subject::Floor
    }

    /// Whether it is installed: what it is without, if it is not.
    pub(crate) fn missing(self, folder: &Path) -> Option<PathBuf> {
        let needs = match self {
            Subject::Floor => beside("bench"),
            Subject::Relay | Subject::RelayTuned | Subject::RelayMerge => self.relay(folder),
            Subject::Nginx60000 | Subject::Nginx4096 => nginx_module(folder),
            Subject::FfmpegTee => PathBuf::from("/usr/bin/ffmpeg"),
            Subject::NodeMediaServer => node_module(folder),
        };
        (!needs.exists()).then_some(needs)
    }

    /// What it says its version is.
    pub(crate) fn version(self, folder: &Path) -> Option<String> {
        let mut command = match self {
            Subject::Floor => return None,
            Subject::Relay | Subject::RelayTuned | Subject::RelayMerge => command(&self.relay(folder), &["--version"]),
            Subject::Nginx60000 | Subject::Nginx4096 => command(&nginx(folder), &["-v"]),
            Subject::FfmpegTee => command(Path::new("ffmpeg"), &["-version"]),
            Subject::NodeMediaServer => {
                let package = format!("console.log(require({:?}).version)", node_module(folder).join("package.json"));
                command(Path::new("node"), &["-e", &package])
            }
        };
        let said = command.output().ok()?;
        let text = [said.stdout, said.stderr].concat();
        Some(String::from_utf8_lossy(&text).lines().next()?.split(" Copyright").next()?.to_owned())
    }

    /// Starts it for a cell. Its readers, where it has to find them, are at `readers`.
    pub(crate) fn start(self, cell: &Cell, readers: SocketAddr, folder: &Path) -> Result<Running> {
        let (publish, mut play) = (free()?, None);
        let own = self.own(folder);
        std::fs::create_dir_all(&own)?;
        let log = own.join("output.log");
        let pushes = cell.way != Way::Play;
        let program = match self {
            Subject::Floor => {
                let mut floor = command(&beside("bench"), &["floor", "--listen", &publish.to_string()]);
                if pushes {
                    floor.args(["--to", &readers.to_string(), "--times", &cell.readers.to_string()]);
                } else {
                    let address = *play.insert(free()?);
                    floor.args(["--players", &address.to_string()]);
                }
                Program::start(&floor, &log)?.awaits(play.unwrap_or(publish))?
            }
            Subject::Relay | Subject::RelayTuned | Subject::RelayMerge => {
                let config = own.join("relay.yaml");
                std::fs::write(&config, self.relay_config(cell, readers, folder)?)?;
                let mut relay = command(&self.relay(folder), &["serve", "--listen", &publish.to_string(), "--config"]);
                Program::start(relay.arg(&config), &log)?.awaits(publish)?
            }
            Subject::Nginx60000 | Subject::Nginx4096 => {
                let config = own.join("nginx.conf");
                std::fs::write(&config, self.nginx_config(cell, publish, readers, folder)?)?;
                let errors = own.join("nginx.log");
                let mut nginx = command(&nginx(folder), &["-c"]);
                nginx.arg(&config).arg("-p").arg(&own).arg("-e").arg(&errors);
                Program::start(&nginx, &log)?.awaits(publish)?
            }
            Subject::FfmpegTee => {
                let outputs: Vec<String> = (0..cell.readers)
                    .map(|n| format!("[f=flv:flvflags=no_duration_filesize]rtmp://{readers}/live/all-{n}"))
                    .collect();
                let from = format!("rtmp://{publish}/live/s0");
                let words =
                    ["-hide_banner", "-loglevel", "warning", "-listen", "1", "-i", &from, "-map", "0", "-c", "copy"];
                let mut ffmpeg = command(Path::new("ffmpeg"), &words);
                ffmpeg.args(["-f", "tee", "-use_fifo", "1"]).arg(outputs.join("|"));
                Program::start(&ffmpeg, &log)?.awaits(publish)?
            }
            Subject::NodeMediaServer => {
                let script = self.node_script(cell, publish, readers, folder)?;
                Program::start(&command(Path::new("node"), &["-e", &script]), &log)?.awaits(publish)?
            }
        };
        Ok(Running { program, publish, play: play.unwrap_or(publish) })
    }

    /// The program that relays: as cargo builds it, or as `tests/bench/tune` does.
    fn relay(self, folder: &Path) -> PathBuf {
        match self {
            Subject::RelayTuned => folder.with_file_name("tuned").join("rtmp-relay"),
            _ => beside("rtmp-relay"),
        }
    }

    /// Its own files: several subjects run at once.
    fn own(self, folder: &Path) -> PathBuf {
        folder.join(self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned()))
    }

    fn relay_config(self, cell: &Cell, readers: SocketAddr, folder: &Path) -> Result<String> {
        let mut text = String::from("grace: 1s\n");
        if cell.way == Way::Play {
            return Ok(text);
        }
        let (scheme, pin) = match cell.way {
            Way::Rtmps => ("rtmps", Some(fingerprint(folder)?)),
            Way::Push | Way::Bulk | Way::Play => ("rtmp", None),
        };
        text += "destinations:\n";
        for stream in 0..cell.streams {
            for reader in 0..cell.readers {
                writeln!(
                    text,
                    "  - {{name: d{stream}-{reader}, url: \"{scheme}://{readers}/live/all-{stream}-{reader}\","
                )?;
                writeln!(text, "     source_streams: [\"live/s{stream}\"]")?;
                if let Some(pin) = &pin {
                    writeln!(text, "     , tls_pin: \"{pin}\"")?;
                }
                if self == Subject::RelayMerge {
                    writeln!(text, "     , merge: audio")?;
                }
                writeln!(text, "    }}")?;
            }
        }
        Ok(text)
    }

    /// How long it takes until it does what it will do from then on. The relay's log is full after eight seconds and a GOP, and
    /// asks for no more memory; ffmpeg looks at a stream for five seconds, and sends what it has held back meanwhile all at once.
    pub(crate) fn warm(self) -> Duration {
        Duration::from_secs(match self {
            Subject::Relay | Subject::RelayTuned | Subject::RelayMerge => 11,
            Subject::FfmpegTee => 8,
            Subject::Floor | Subject::Nginx60000 | Subject::Nginx4096 | Subject::NodeMediaServer => 2,
        })
    }

    fn node_script(self, cell: &Cell, listen: SocketAddr, readers: SocketAddr, folder: &Path) -> Result<String> {
        let (module, store, port) = (node_module(folder), self.own(folder).join("store"), listen.port());
        // What it was told the last time it would do again.
        if store.exists() {
            std::fs::remove_dir_all(&store)?;
        }
        let mut script = format!(
            "const server = new (require({module:?}))({{bind: '127.0.0.1', rtmp: {{port: {port}}}, store: {{path: {store:?}}}}}); server.run();"
        );
        if cell.way == Way::Push {
            write!(
                script,
                "server.on('postPublish', () => setTimeout(() => {{ for (let n = 0; n < {}; n++) \
                 server.relayServer.addTask({{mode: 'push', streamPath: '/live/s0', url: `rtmp://{readers}/live/all-${{n}}`}}); }}, 100));",
                cell.readers
            )?;
        }
        Ok(script)
    }

    fn nginx_config(self, cell: &Cell, listen: SocketAddr, readers: SocketAddr, folder: &Path) -> Result<String> {
        let chunk = if self == Subject::Nginx4096 { 4096 } else { 60000 };
        let module = nginx_module(folder);
        let mut pushes = String::new();
        if cell.way == Way::Push {
            for reader in 0..cell.readers {
                write!(pushes, "push rtmp://{readers}/live/all-{reader}; ")?;
            }
        }
        let own = self.own(folder);
        let folder = own.display();
        Ok(format!(
            "load_module {module:?};\nuser root; daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log warn;\n\
             worker_rlimit_nofile 8192; events {{ worker_connections 4096; }}\n\
             rtmp {{ access_log off; server {{ listen {listen}; chunk_size {chunk};\n  application live {{ live on; {pushes} }} }} }}\n"
        ))
    }
}

/// A program built with this one.
pub(crate) fn beside(name: &str) -> PathBuf {
    std::env::current_exe().unwrap_or_default().with_file_name(name)
}

/// What to run.
pub(crate) fn command(program: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(words);
    command
}

fn nginx(folder: &Path) -> PathBuf {
    folder.join("peers/nginx/usr/sbin/nginx")
}

fn nginx_module(folder: &Path) -> PathBuf {
    folder.join("peers/nginx/usr/lib/nginx/modules/ngx_rtmp_module.so")
}

fn node_module(folder: &Path) -> PathBuf {
    folder.join("peers/node_modules/node-media-server")
}

/// Makes the load's certificate, for readers in TLS.
pub(crate) fn make_certificate(folder: &Path) -> Result<PathBuf> {
    let key = KeyPair::generate_for(&PKCS_ED25519)?;
    let certificate = CertificateParams::new(["127.0.0.1".to_owned()])?.self_signed(&key)?;
    let tls = folder.join("tls");
    std::fs::create_dir_all(&tls)?;
    std::fs::write(tls.join("cert.pem"), certificate.pem())?;
    std::fs::write(tls.join("cert.der"), certificate.der())?;
    std::fs::write(tls.join("key.pem"), key.serialize_pem())?;
    Ok(tls)
}

/// By what it is known.
fn fingerprint(folder: &Path) -> Result<Fingerprint> {
    let der = std::fs::read(folder.join("tls/cert.der")).context("the load's certificate")?;
    Ok(Fingerprint::of(&der.into()))
}
