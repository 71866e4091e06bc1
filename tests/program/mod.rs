//! The built program with a configuration file, and what it says.

#![allow(dead_code, unreachable_pub)] // each test uses a part

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use crate::peers::until;

/// The program, its file, and what it says.
pub struct Program {
    child: Child,
    pub address: SocketAddr,
    /// Where its API is.
    pub api: SocketAddr,
    pub log: Arc<Mutex<String>>,
    pub file: PathBuf,
    _folder: TempDir,
}

impl Program {
    pub fn start(yaml: &str) -> Program {
        Program::with(yaml, &[])
    }

    /// With these words behind the others.
    pub fn with(yaml: &str, more: &[&str]) -> Program {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("relay.yaml");
        std::fs::write(&file, yaml).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_rtmp-relay"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0"]);
        command.arg("--config").arg(&file).args(more);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines().map(Result::unwrap);
        let address = lines.next().unwrap().rsplit(' ').next().unwrap().parse().unwrap();
        let api = lines.find_map(|line| line.strip_prefix("HTTP API on http://").map(str::to_owned)).unwrap();
        let api = api.split('/').next().unwrap().parse().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (errors, said) = (BufReader::new(child.stderr.take().unwrap()), log.clone());
        std::thread::spawn(move || {
            for line in errors.lines().map_while(Result::ok) {
                said.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        Program { child, address, api, log, file, _folder: folder }
    }

    /// Puts another file in place of the file, as editors do.
    pub fn rewrite(&self, yaml: &str) {
        let new = self.file.with_extension("new");
        std::fs::write(&new, yaml).unwrap();
        std::fs::rename(new, &self.file).unwrap();
    }

    pub fn hang_up(&self) {
        assert!(Command::new("kill").args(["-HUP", &self.child.id().to_string()]).status().unwrap().success());
    }

    pub async fn says(&self, text: &str) {
        until(text, || self.log.lock().unwrap().contains(text)).await;
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.log.lock().unwrap());
        }
    }
}
