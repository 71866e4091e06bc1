//! Changes that the API has made and that are to outlive the relay: written into its configuration file, comments kept.

#![cfg(unix)]
#![allow(missing_docs, clippy::unwrap_used)]

mod caller;
mod peers;
mod program;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use caller::{Answer, Caller};
use peers::{Encoder, Server, until};
use program::Program;
use serde_json::{Value, json};

/// A file with a word about everything.
fn file(server: &Server) -> String {
    format!(
        "# my shows\n\
         destinations:\n\
         \x20 # the archive\n\
         \x20 - url: rtmp://{0}/live     # no name\n\
         \x20 - url: rtmp://{0}/other    # nor here\n\
         \x20   enabled: false\n\
         grace: 20s   # patience\n",
        server.address
    )
}

async fn call(program: &Program, method: &str, path: &str, body: Value) -> Answer {
    let caller = Caller { address: program.api, token: None };
    let body = (!body.is_null()).then(|| body.to_string());
    caller.call(method, &format!("/api/v1/destinations{path}"), body.as_deref()).await
}

fn text(program: &Program) -> String {
    fs::read_to_string(&program.file).unwrap()
}

/// The file says what is in force: reading it again changes nothing.
async fn is_in_force(program: &Program) {
    let before = program.log.lock().unwrap().matches("the configuration is the same").count();
    program.hang_up();
    let again = || program.log.lock().unwrap().matches("the configuration is the same").count() > before;
    until("the file has been read again", again).await;
    let log = program.log.lock().unwrap().clone();
    assert!(!log.contains("the configuration is changed"), "{log}");
}

#[tokio::test]
async fn what_is_to_persist_is_written_and_nothing_else_and_nobody_is_disturbed() {
    let server = Server::start("127.0.0.1:0", &[], None).await;
    let program = Program::start(&file(&server));
    let mode = fs::Permissions::from_mode(0o640);
    fs::set_permissions(&program.file, mode.clone()).unwrap();
    let mut encoder = Encoder::publish(program.address, "live/show").await.unwrap();
    encoder.headers().await;
    let caller = Caller { address: program.api, token: None };
    let first = async || caller.get("/api/v1/destinations/127.0.0.1").await.json()["streams"][0].clone();
    let live = async {
        while first().await["state"] != "live" {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(peers::PATIENCE, live).await.expect("it is live");
    assert_eq!(caller.get("/api/v1/status").await.json()["config_file"], true);

    // Not to persist, and so not in the file at the end.
    assert_eq!(
        call(&program, "POST", "", json!({"name": "passing", "url": "rtmp://8.8.8.8/a", "enabled": false}))
            .await
            .status,
        201
    );
    let new = json!({"name": "kick", "url": "rtmp://8.8.8.8/app", "stream_key": "a:#${HOME}", "enabled": false, "persist": true});
    let added = call(&program, "POST", "", new).await;
    assert_eq!((added.status, &added.json()["from"]), (201, &json!("file")), "{added:?}");
    let changed =
        call(&program, "PATCH", "/127.0.0.1-2?persist=true", json!({"max_lag": "3s", "source_streams": ["x/*"]})).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!(call(&program, "POST", "/kick/enable?persist=true", Value::Null).await.status, 200);
    assert_eq!(call(&program, "PATCH", "/127.0.0.1-2", json!({"max_lag": "4s"})).await.status, 200);
    assert_eq!(call(&program, "POST", "/127.0.0.1-2/enable?persist=true", Value::Null).await.status, 200);
    let expected = file(&server).replace("enabled: false", "enabled: true\n    max_lag: \"3s\"\n    source_streams: [\"x/*\"]")
        .replace(
            "grace:",
            "  - enabled: true\n    name: \"kick\"\n    public_only: true\n    stream_key: \"a:#${HOME}\"\n    url: \"rtmp://8.8.8.8/app\"\ngrace:",
        );
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(|line| line.replace("  - ", "    ")).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&text(&program)), sorted(&expected), "{}", text(&program));
    assert_eq!(fs::metadata(&program.file).unwrap().permissions().mode() & 0o777, mode.mode());
    let beside: Vec<_> =
        fs::read_dir(program.file.parent().unwrap()).unwrap().map(|f| f.unwrap().file_name()).collect();
    assert_eq!(beside, ["relay.yaml"], "no draft is left");
    is_in_force(&program).await;

    assert_eq!(call(&program, "DELETE", "/kick?persist=true", Value::Null).await.status, 204);
    // The first of two of one host goes: the second keeps its name, since it is told to.
    assert_eq!(call(&program, "POST", "/127.0.0.1-2/disable?persist=true", Value::Null).await.status, 200);
    let now = first().await;
    assert_eq!((&now["state"], &now["attempts"], &now["reconnects"]), (&json!("live"), &json!(1), &json!(0)));
    assert_eq!(call(&program, "DELETE", "/127.0.0.1?persist=true", Value::Null).await.status, 204);
    let left = text(&program);
    assert!(left.contains("name: \"127.0.0.1-2\"") && !left.contains("kick") && !left.contains("passing"), "{left}");
    assert!(left.contains("# my shows") && left.contains("# nor here") && left.contains("# patience"), "{left}");
    is_in_force(&program).await;
    let names = caller.get("/api/v1/destinations").await.json();
    let names: Vec<_> = names["destinations"].as_array().unwrap().iter().map(|d| d["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["127.0.0.1-2", "passing"]);
    let second = caller.get("/api/v1/config").await.json()["destinations"][0].clone();
    assert_eq!(second["max_lag_seconds"], 4.0, "what was not to persist is in force all the same");
}

#[tokio::test]
async fn what_cannot_be_written_is_not_in_force_either_and_the_file_is_left_alone() {
    let server = Server::start("127.0.0.1:0", &[], None).await;
    let program = Program::with(&file(&server), &["--relay-to", "rtmp://flag.invalid/app"]);
    let refused = async |method: &str, path: &str, body: Value, said: &str| {
        let before = text(&program);
        let answer = call(&program, method, path, body).await;
        assert_eq!((answer.status, &*answer.code()), (409, "not_persisted"), "{answer:?}");
        assert!(answer.json()["detail"].as_str().unwrap().contains(said), "{answer:?}");
        assert_eq!(text(&program), before);
    };
    let new = || json!({"name": "kick", "url": "rtmp://8.8.8.8/CANARY", "persist": true});
    let elsewhere = "flag.invalid is not in the configuration file";
    refused("PATCH", "/flag.invalid?persist=true", json!({"max_lag": "3s"}), elsewhere).await;
    refused("POST", "/flag.invalid/disable?persist=true", Value::Null, elsewhere).await;
    refused("DELETE", "/flag.invalid?persist=true", Value::Null, elsewhere).await;

    // Somebody is at it with an editor.
    let sound = text(&program);
    fs::write(&program.file, sound.replace("grace: 20s", "grace: CANARY")).unwrap();
    refused("POST", "", new(), "problems of its own").await;
    // And has changed something that is not in force yet: it comes first.
    fs::write(&program.file, sound.replace("grace: 20s", "grace: 7s")).unwrap();
    assert_eq!(call(&program, "POST", "", new()).await.status, 201);
    let caller = Caller { address: program.api, token: None };
    assert_eq!(caller.get("/api/v1/config").await.json()["grace_seconds"], 7.0);
    assert!(text(&program).contains("grace: 7s") && text(&program).contains("kick"));

    // Nothing can be written beside it.
    let draft = program.file.with_file_name(".relay.yaml.new");
    fs::create_dir(&draft).unwrap();
    refused("DELETE", "/kick?persist=true", Value::Null, "cannot be written").await;
    refused("POST", "", json!({"name": "two", "url": "rtmp://8.8.8.8/b", "persist": true}), "cannot be written").await;
    fs::remove_dir(&draft).unwrap();
    for (name, status) in [("kick", 200), ("two", 404), ("flag.invalid", 200)] {
        assert_eq!(call(&program, "GET", &format!("/{name}"), Value::Null).await.status, status, "{name}");
    }
    let same = call(&program, "POST", "", json!({"name": "kick", "url": "rtmp://8.8.8.8/c", "persist": true})).await;
    assert_eq!(same.code(), "name_taken", "nor is what cannot be done written");
    assert!(!text(&program).contains("8.8.8.8/c"));

    // Behind a link is the file.
    let real = program.file.with_file_name("real.yaml");
    fs::rename(&program.file, &real).unwrap();
    std::os::unix::fs::symlink("real.yaml", &program.file).unwrap();
    assert_eq!(call(&program, "DELETE", "/kick?persist=true", Value::Null).await.status, 204);
    assert!(fs::symlink_metadata(&program.file).unwrap().is_symlink());
    assert!(!fs::read_to_string(real).unwrap().contains("kick"));
    assert!(!program.log.lock().unwrap().contains("CANARY"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_at_the_same_time_are_all_written() {
    let server = Server::start("127.0.0.1:0", &[], None).await;
    let program = Program::start(&file(&server));
    let caller = Caller { address: program.api, token: None };
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..10 {
        let caller = caller.clone();
        calls.spawn(async move {
            let new = json!({"url": format!("rtmp://8.8.8.8/{n}"), "persist": n % 2 == 0, "enabled": false});
            caller.post("/api/v1/destinations", &new).await.status
        });
    }
    assert!(calls.join_all().await.iter().all(|status| *status == 201));
    is_in_force(&program).await;
    let text = text(&program);
    for n in 0..10 {
        assert_eq!(text.contains(&format!("rtmp://8.8.8.8/{n}\"")), n % 2 == 0, "{n}: {text}");
    }
    assert_eq!(caller.get("/api/v1/destinations").await.json()["destinations"].as_array().unwrap().len(), 12);
}
