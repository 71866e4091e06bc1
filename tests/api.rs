//! The HTTP API on real sockets: who may call, what is told, what is refused.

#![allow(missing_docs, clippy::unwrap_used)]

mod caller;
mod peers;

use caller::{Caller, Events, Steered};
use peers::{Encoder, Player, Server, until, video};
use rtmp_relay::api;
use rtmp_relay::config::{self, Config, Route};
use rtmp_relay::destination::{State, Template};
use rtmp_relay::flv::Kind;
use rtmp_relay::gate::Key;
use serde_json::{Value, json};

const TOKEN: &str = "correct-horse-battery-staple";

fn token() -> config::Api {
    let token = Key::parse(&TOKEN.to_owned().into()).unwrap();
    config::Api { token: Some(token), ..config::Api::default() }
}

fn route(name: &str, url: &str) -> Route {
    Route::new(name.to_owned(), Template::parse(url).unwrap())
}

/// Every method and path of the document, places filled in.
fn routes() -> Vec<(String, String)> {
    let document: Value = serde_json::from_str(&api::openapi()).unwrap();
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let path = path.replace("{id}", "7").replace("{name}", "nobody");
            routes.push((method.to_uppercase(), path));
        }
    }
    assert!(routes.len() > 10, "{routes:?}");
    routes
}

#[test]
fn the_document_is_what_callers_are_given() {
    let document: Value = serde_json::from_str(&api::openapi()).unwrap();
    let operations =
        document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    let mut names: Vec<_> = operations.map(|operation| operation["operationId"].as_str().unwrap()).collect();
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all, "{names:?}");
    insta::assert_snapshot!(api::openapi());
}

#[tokio::test]
async fn no_route_answers_without_the_token_but_the_two_that_tell_nothing() {
    let relay = Steered::with(token(), Config::default()).await;
    let wrong = Caller { token: Some("correct-horse-battery-stable".to_owned()), ..relay.api.clone() };
    let right = Caller { token: Some(TOKEN.to_owned()), ..relay.api.clone() };
    for (method, path) in routes() {
        let open = ["/healthz", "/readyz"].contains(&&*path);
        for (caller, code) in [(&relay.api, "no_token"), (&wrong, "wrong_token")] {
            let answer = caller.call(&method, &path, None).await;
            if open {
                assert_eq!(answer.status, 200, "{method} {path}");
            } else {
                assert_eq!((answer.status, &*answer.code()), (401, code), "{method} {path}");
                assert!(answer.head.contains("www-authenticate: bearer"));
            }
        }
        if path != "/api/v1/events" {
            assert_ne!(right.call(&method, &path, None).await.status, 401, "{method} {path}");
        }
    }
    assert_eq!(relay.api.get("/nowhere").await.code(), "no_token", "not even what there is");
}

#[tokio::test]
async fn the_page_is_given_to_whoever_comes_and_may_do_little() {
    let relay = Steered::with(token(), Config::default()).await;
    let page = relay.api.get("/").await;
    assert_eq!(page.status, 200);
    for policy in
        ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "x-content-type-options: nosniff"]
    {
        assert!(page.head.contains(policy), "{policy} in {}", page.head);
    }
    for file in ["/page.js", "/page.css", "/mpegts.js"] {
        assert!(page.body.contains(file) || file == "/mpegts.js");
        assert_eq!(relay.api.get(file).await.status, 200, "{file}");
    }
    assert!(!page.body.contains("<style") && !page.body.contains("style=") && !page.body.contains("onload="));
    let relay = Steered::start(Config::default()).await;
    let pointed = relay.api.says("GET / HTTP/1.1\r\nconnection: close\r\nhost: evil.example\r\n\r\n").await;
    assert_eq!(pointed.status, 421);
}

#[tokio::test]
async fn a_name_that_is_pointed_at_this_machine_and_a_page_of_another_site_are_refused() {
    let relay = Steered::start(Config::default()).await;
    let says = async |method: &str, path: &str, headers: &str| {
        relay.api.says(&format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n{headers}\r\n")).await
    };
    for (method, path) in routes() {
        let answer = says(&method, &path, "host: evil.example:9997\r\n").await;
        assert_eq!((answer.status, &*answer.code()), (421, "wrong_host"), "{method} {path}");
        if method != "GET" {
            let answer = says(&method, &path, "host: localhost:1\r\norigin: https://evil.example\r\n").await;
            assert_eq!((answer.status, &*answer.code()), (403, "foreign_origin"), "{method} {path}");
        }
    }
    assert_eq!(says("GET", "/healthz", "host: localhost\r\n").await.status, 200);
}

#[tokio::test]
async fn what_is_not_there_is_said_in_json_with_a_stable_code() {
    let relay = Steered::start(Config::default()).await;
    for (method, path, status, code) in [
        ("GET", "/nothing.js", 404, "no_such_path"),
        ("GET", "/api/v1/nothing", 404, "no_such_path"),
        ("PUT", "/api/v1/status", 405, "no_such_method"),
        ("GET", "/api/v1/streams/live/nobody", 404, "no_such_stream"),
        ("GET", "/api/v1/streams/%ff", 400, "not_text"),
        ("GET", "/api/v1/destinations/nobody", 404, "no_such_destination"),
        ("DELETE", "/api/v1/sessions/7", 404, "no_such_session"),
        ("DELETE", "/api/v1/sessions/-1", 404, "no_such_session"),
        ("DELETE", "/api/v1/sessions/99999999999999999999", 404, "no_such_session"),
    ] {
        let answer = relay.api.call(method, path, None).await;
        assert_eq!((answer.status, &*answer.code()), (status, code), "{method} {path}");
    }
}

#[tokio::test]
async fn a_show_is_told_as_it_is() {
    let server = Server::start("127.0.0.1:0", &[], None).await;
    let destinations = vec![
        route("archive", &format!("rtmp://{}/live", server.address)),
        Route { enabled: false, ..route("off", "rtmps://u:CANARY@off.example/CANARY/CANARY") },
    ];
    let relay = Steered::start(Config { destinations, ..Config::default() }).await;
    assert_eq!(relay.api.get("/api/v1/streams").await.json(), json!({"streams": []}));
    let waiting = relay.api.get("/api/v1/destinations/archive").await.json();
    assert_eq!((&waiting["streams"][0]["state"], &waiting["from"]), (&json!("waiting"), &json!("flags")));

    let mut encoder = Encoder::publish(relay.address, "live/inst/show").await.unwrap();
    encoder.headers().await;
    encoder.send(Kind::Video, 0, &video(true, 0)).await;
    let _player = Player::play(relay.address, "live/inst/show").await;
    until("live", || relay.board.statuses()[0].state.to_string() == "live").await;

    let stream = relay.api.get("/api/v1/streams/live/inst/show").await.json();
    for (key, value) in [
        ("name", json!("live/inst/show")),
        ("app", json!("live/inst")),
        ("stream", json!("show")),
        ("state", json!("live")),
        ("players", json!(1)),
        ("destinations", json!(["archive"])),
    ] {
        assert_eq!(stream[key], value, "{key} of {stream}");
    }
    assert_eq!(stream["publisher"], json!({"session": 1, "peer": "127.0.0.1", "tls": false, "agent": "test"}));
    assert!(
        stream["since_at"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok() && stream["bytes"].as_u64() > Some(0)
    );
    assert_eq!((&stream["video"]["codec"], &stream["audio"]["codec"]), (&json!("H.264"), &json!("AAC")), "{stream}");
    assert_eq!(relay.api.get("/api/v1/streams/live%2Finst%2Fshow").await.json()["name"], "live/inst/show");

    let all = relay.api.get("/api/v1/destinations").await.json();
    let live = &all["destinations"][0]["streams"][0];
    assert_eq!(
        (&live["stream"], &live["state"], &live["attempts"]),
        (&json!("live/inst/show"), &json!("live"), &json!(1))
    );
    assert_eq!(all["destinations"][1]["server"], "rtmps://off.example:443");
    assert_eq!(all["destinations"][1]["streams"][0]["state"], "disabled");
    let ready = relay.api.get("/readyz").await.json();
    assert_eq!(ready, json!({"ready": true, "streams": 1, "destinations": {"live": 1, "disabled": 1}}));
    assert_eq!(relay.api.get("/api/v1/status").await.json()["visitors"], 2);
    assert_eq!(relay.api.get("/api/v1/config").await.json()["destinations"][1]["enabled"], false);

    for (method, path) in routes() {
        if method == "GET" && path != "/api/v1/events" {
            let answer = relay.api.get(&path).await;
            assert!(!format!("{answer:?}").contains("CANARY"), "{path}: {answer:?}");
        }
    }
    relay.stop.cancel();
    until("not ready", || relay.stop.is_cancelled()).await;
    let ready = relay.api.get("/readyz").await;
    assert_eq!((ready.status, &ready.json()["ready"]), (503, &json!(false)));
}

#[tokio::test]
async fn a_destination_is_added_changed_switched_and_removed() {
    let relay = Steered::start(Config::default()).await;
    let api = &relay.api;
    let new = json!({"name": "one", "url": "rtmp://127.0.0.1:1/live", "stream_key": "CANARY", "max_lag": "3s", "enabled": null});
    let added = api.post("/api/v1/destinations", &new).await;
    assert_eq!(added.status, 201, "{added:?}");
    assert!(added.head.contains("location: /api/v1/destinations/one"));
    let one = added.json();
    assert_eq!(
        (&one["from"], &one["enabled"], &one["server"]),
        (&json!("api"), &json!(true), &json!("rtmp://127.0.0.1:1"))
    );
    assert_eq!(
        one,
        api.get("/api/v1/destinations/one")
            .await
            .json()
            .as_object()
            .map(|now| {
                let mut now = now.clone();
                now["streams"][0]["seconds"] = one["streams"][0]["seconds"].clone();
                Value::Object(now)
            })
            .unwrap()
    );
    // Two hosts of the same name, and a place that is taken.
    for name in ["127.0.0.1", "127.0.0.1-2"] {
        let added = api.post("/api/v1/destinations", &json!({"url": format!("rtmp://127.0.0.1:1/{name}")})).await;
        assert_eq!((added.status, &added.json()["name"]), (201, &json!(name)));
    }
    let again = api.post("/api/v1/destinations", &json!({"name": "two", "url": "rtmp://127.0.0.1:1/127.0.0.1"})).await;
    assert_eq!(
        (again.status, &*again.code(), &again.json()["detail"]),
        (409, "place_taken", &json!("it is the same as 127.0.0.1"))
    );
    let taken = api.post("/api/v1/destinations", &json!({"name": "one", "url": "rtmp://127.0.0.1:1/x"})).await;
    assert_eq!((taken.status, &*taken.code(), &taken.json()["field"]), (409, "name_taken", &json!("name")));
    let circle = api.post("/api/v1/destinations", &json!({"url": format!("rtmp://{}/live", relay.address)})).await;
    assert_eq!((circle.status, &*circle.code()), (409, "circle"));

    let patch = async |body: Value| api.call("PATCH", "/api/v1/destinations/one", Some(&body.to_string())).await;
    let settings = async || {
        let config = relay.control.config().await.unwrap();
        config.destinations.iter().find(|route| route.name == "one").unwrap().clone()
    };
    let seconds = |settings: &rtmp_relay::destination::Settings| settings.max_lag.as_secs();
    assert_eq!(seconds(&settings().await.settings), 3);
    let changed =
        patch(json!({"max_lag": "4s", "source_streams": ["live/a", "live/b"], "reconnect": {"max": "2s"}})).await;
    assert_eq!((changed.status, &changed.json()["source_streams"]), (200, &json!(["live/a", "live/b"])));
    let changed = patch(json!({"max_lag": null, "reconnect": {"initial": "1s"}})).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let now = settings().await;
    assert_eq!(
        (seconds(&now.settings), now.settings.reconnect.initial.as_secs(), now.settings.reconnect.max.as_secs()),
        (5, 1, 2)
    );
    assert_eq!(now.streams.len(), 2, "what is not named stays");
    for (body, code, field) in [
        (json!({"name": "two"}), "invalid", "name"),
        (json!({"url": "rtmp://127.0.0.1:2/live"}), "key_needed", "stream_key"),
        (json!({"url": "rtmps://127.0.0.1:1/live"}), "key_needed", "stream_key"),
        (json!({"backup_url": "rtmp://127.0.0.1:2/live"}), "key_needed", "stream_key"),
        (json!({"platform": "nobody"}), "invalid", "platform"),
        (json!({"url": null}), "invalid", ""),
        (json!({"reconnect": {"initial": "3s"}}), "invalid", "reconnect"),
        (json!({"stream_key_file": "/etc/passwd"}), "invalid", "stream_key_file"),
        (json!({"stream_key_command": "id"}), "invalid", "stream_key_command"),
        (json!({"ca_file": "/etc/passwd"}), "invalid", "ca_file"),
    ] {
        let refused = patch(body.clone()).await;
        assert_eq!((refused.status, &*refused.code()), (422, code), "{body}");
        assert_eq!(refused.json()["field"].as_str().unwrap_or_default(), field, "{body}");
        assert_eq!(settings().await, now);
    }
    assert_eq!(patch(json!({"url": "rtmp://127.0.0.1:2/live", "stream_key": "CANARY-2"})).await.status, 200);

    // A key that stands in the URL is one that is known before, too.
    let inside = json!({"name": "inside", "url": "rtmp://127.0.0.1:1/live/CANARY-3"});
    assert_eq!(api.post("/api/v1/destinations", &inside).await.status, 201);
    let patch = async |body: Value| api.call("PATCH", "/api/v1/destinations/inside", Some(&body.to_string())).await;
    assert_eq!(patch(json!({"backup_url": "rtmp://127.0.0.1:2/live"})).await.code(), "key_needed");
    let changed = patch(json!({"backup_url": "rtmp://127.0.0.1:2/live/OTHER", "platform": "youtube"})).await.json();
    assert_eq!((&changed["backup_server"], &changed["platform"]), (&json!("rtmp://127.0.0.1:2"), &json!("youtube")));
    assert_eq!(patch(json!({"url": "rtmp://127.0.0.1:3/live/MINE"})).await.status, 200);

    for (method, path) in
        [("POST", "inside/enable"), ("POST", "inside/disable"), ("PATCH", "inside"), ("DELETE", "one")]
    {
        let refused = api.call(method, &format!("/api/v1/destinations/{path}?persist=true"), None).await;
        // What the API has added is in no file, and needs none to go.
        if method != "DELETE" {
            assert_eq!((refused.status, &*refused.code()), (409, "not_persisted"), "{path}");
        }
    }
    assert_eq!(
        api.post("/api/v1/destinations", &json!({"name": "one", "url": "rtmp://127.0.0.1:9/live"})).await.status,
        201
    );
    let switch = async |what: &str| api.call("POST", &format!("/api/v1/destinations/one/{what}"), None).await;
    assert_eq!(switch("disable").await.json()["streams"][0]["state"], "disabled");
    assert_eq!(switch("enable").await.json()["streams"][0]["state"], "waiting");
    assert_eq!(switch("retry").await.status, 200);
    assert_eq!(api.call("DELETE", "/api/v1/destinations/one", None).await.status, 204);
    for (method, path) in
        [("DELETE", ""), ("PATCH", ""), ("GET", ""), ("POST", "/enable"), ("POST", "/disable"), ("POST", "/retry")]
    {
        let gone = api.call(method, &format!("/api/v1/destinations/one{path}"), None).await;
        assert_eq!((gone.status, &*gone.code()), (404, "no_such_destination"), "{method} {path}");
    }
}

#[tokio::test]
async fn who_is_told_what_happens_is_shown_without_what_is_secret() {
    let yaml = "webhooks: [{url: \"https://h.example:1/CANARY?CANARY\", secret: CANARY, events: [\"publish.*\"], timeout: 3s}]\n\
                on_event: [{command: \": CANARY\", events: [recording.failed]}]";
    let told = config::file::parse(yaml, std::collections::HashMap::new()).unwrap().resolve().await.unwrap();
    let relay = Steered::start(Config { hooks: told.hooks, ..Config::default() }).await;
    let config = relay.api.get("/api/v1/config").await.json();
    let expected = json!([
        {"name": "h.example", "server": "https://h.example", "signed": true, "events": ["publish.*"], "timeout_seconds": 3.0},
        {"name": "on_event", "server": null, "signed": false, "events": ["recording.failed"], "timeout_seconds": 30.0},
    ]);
    assert_eq!(config["hooks"], expected);
    assert!(!config.to_string().contains("CANARY"), "{config}");
}

/// What no call takes: what is sent, and the status and code that it gets.
fn hostile() -> Vec<(String, u16, &'static str)> {
    let deep = "[".repeat(10_000);
    let wide = format!("{{\"name\": \"{}\"}}", "x".repeat(70_000));
    let many = format!("{{{}\"x\": 1}}", "\"CANARY\": 1, ".repeat(1000));
    [
        ("CANARY", 400, "not_json"),
        ("", 422, "invalid"),
        ("{", 400, "not_json"),
        ("[]", 400, "not_json"),
        ("null", 400, "not_json"),
        ("\"CANARY\"", 400, "not_json"),
        ("{\"url\": \"rtmp://h/a\"} CANARY", 400, "not_json"),
        ("url: rtmp://h/CANARY", 400, "not_json"),
        ("{\"url\": \"CANARY\"}", 422, "invalid"),
        ("{\"url\": 7}", 422, "invalid"),
        ("{\"url\": {\"a\": \"CANARY\"}}", 422, "invalid"),
        ("{\"url\": \"rtmp://h/a\", \"stream_key\": \"CANARY CANARY\"}", 422, "invalid"),
        ("{\"url\": \"rtmp://h/a\", \"stream_key\": [\"CANARY\"]}", 422, "invalid"),
        ("{\"url\": \"rtmp://h/a\", \"name\": \"CANARY/../x\"}", 422, "invalid"),
        ("{\"url\": \"rtmp://h/a\", \"persist\": \"CANARY\"}", 422, "invalid"),
        ("{\"url\": \"rtmp://h/a\", \"tls_pin\": \"CANARY\"}", 422, "invalid"),
        ("{\"url\": \"rtmp://h/a\", \"chunk_size\": -1}", 422, "invalid"),
        ("{\"url\": \"rtmp://h/a\", \"max_bitrate\": 1e400}", 400, "not_json"),
        ("{\"url\": \"rtmp://h/\\ud800\"}", 400, "not_json"),
        ("{\"url\": \"rtmp://h/\\u0000\"}", 422, "invalid"),
        ("{\"url\": \"rtmp://h/a\", \"enabled\": \"CANARY\"}", 422, "invalid"),
        ("{\"url\": \"rtmp://h/a\", \"source_streams\": \"CANARY\"}", 422, "invalid"),
        (&deep, 400, "not_json"),
        (&wide, 413, "too_large"),
        (&many, 422, "invalid"),
    ]
    .map(|(body, status, code)| (body.to_owned(), status, code))
    .into()
}

#[tokio::test]
async fn hostile_bodies_are_refused_without_a_word_of_theirs() {
    let relay = Steered::start(Config { destinations: vec![route("here", "rtmp://h/x")], ..Config::default() }).await;
    for (body, status, code) in hostile() {
        for (method, path) in [("POST", "/api/v1/destinations"), ("PATCH", "/api/v1/destinations/here")] {
            let answer = relay.api.call(method, path, Some(&body)).await;
            let shown = &body[..body.len().min(60)];
            if method == "POST" || !body.is_empty() {
                assert_eq!((answer.status, &*answer.code()), (status, code), "{method} {shown}: {answer:?}");
            }
            // An unknown key is named, as in the file.
            assert!(
                !answer
                    .body
                    .replace("unknown key \\\"CANARY\\\"", "")
                    .replace("\"field\":\"CANARY\"", "")
                    .contains("CANARY"),
                "{shown}: {answer:?}"
            );
        }
        for path in ["/api/v1/destinations/here/enable", "/api/v1/destinations/here/retry", "/api/v1/recordings"] {
            let answer = relay.api.call("POST", path, Some(&body)).await;
            assert!(body.is_empty() || [400, 413, 422].contains(&answer.status), "{path}: {answer:?}");
        }
    }
    // What stands before the body has a limit too; it is hyper that keeps it.
    let head = format!("x: {}\r\n", "x".repeat(rtmp_relay::limits::API_HEAD_BYTES));
    let request = format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{head}\r\n");
    assert_eq!(relay.api.says(&request).await.status, 431);
    for head in [
        "content-type: text/plain\r\ncontent-length: 2\r\n",
        "content-type: application/x-www-form-urlencoded\r\ncontent-length: 2\r\n",
        "content-length: 2\r\n",
    ] {
        let request =
            format!("POST /api/v1/destinations HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{head}\r\n{{}}");
        assert_eq!(relay.api.says(&request).await.code(), "no_json_type", "{head}");
    }
    let config = relay.control.config().await.unwrap();
    assert_eq!(config.destinations.len(), 1, "nothing has come of all that");
}

#[tokio::test]
async fn a_stream_is_recorded_while_the_api_wants_it() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Steered::start(Config { record_dir: folder.path().into(), ..Config::default() }).await;
    let mut encoder = Encoder::publish(relay.address, "live/show*").await.unwrap();
    encoder.headers().await;
    let added = relay.api.post("/api/v1/recordings", &json!({"stream": "live/show*"})).await;
    assert_eq!((added.status, &added.json()["name"], &added.json()["from"]), (201, &json!("recording"), &json!("api")));
    let again = relay.api.post("/api/v1/recordings", &json!({"stream": "live/show*"})).await;
    assert_eq!((again.status, &*again.code()), (409, "place_taken"));
    let other = relay.api.post("/api/v1/recordings", &json!({"stream": "live/show2"})).await;
    assert_eq!((&other.json()["name"], &other.json()["state"]), (&json!("recording-2"), &json!("waiting")));
    for bad in [
        json!({}),
        json!({"stream": ""}),
        json!({"stream": 7}),
        json!({"stream": "live/../x"}),
        json!({"stream": "a", "dir": "/"}),
    ] {
        assert_eq!(relay.api.post("/api/v1/recordings", &bad).await.code(), "invalid", "{bad}");
    }
    encoder.send(Kind::Video, 10, &video(true, 1)).await;
    let api = &relay.api;
    let state = async || api.get("/api/v1/recordings").await.json()["recordings"][0].clone();
    let recording = async {
        while state().await["state"] != "recording" {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(peers::PATIENCE, recording).await.expect("it is recorded");
    let now = state().await;
    assert_eq!((&now["stream"], &now["error"]), (&json!("live/show*"), &Value::Null));
    assert!(now["file"].as_str().unwrap().ends_with(".flv.part"));
    assert_eq!(relay.api.call("DELETE", "/api/v1/recordings/recording", None).await.status, 204);
    let whole =
        || std::fs::read_dir(folder.path()).unwrap().any(|f| f.unwrap().path().extension().is_some_and(|e| e == "flv"));
    until("the file is whole", whole).await;
    assert_eq!(relay.api.call("DELETE", "/api/v1/recordings/recording", None).await.code(), "no_such_recording");
    let mut config = relay.control.config().await.unwrap();
    config.recordings.push(rtmp_relay::recorder::Rule::every(folder.path().into()));
    relay.control.apply(config).await.unwrap();
    let refused = relay.api.call("DELETE", "/api/v1/recordings/recordings", None).await;
    assert_eq!((refused.status, &*refused.code()), (409, "not_of_the_api"));
}

#[tokio::test]
async fn a_session_that_is_kicked_ends_and_its_stream_waits_for_another() {
    let relay = Steered::start(Config::default()).await;
    let mut encoder = Encoder::publish(relay.address, "live/show").await.unwrap();
    encoder.headers().await;
    let mut player = Player::play(relay.address, "live/show").await;
    let sessions = relay.api.get("/api/v1/sessions").await.json()["sessions"].clone();
    let told: Vec<_> = sessions.as_array().unwrap().iter().map(|s| (&s["role"], &s["stream"], &s["peer"])).collect();
    assert_eq!(told[0], (&json!("publish"), &json!("live/show"), &json!("127.0.0.1")));
    assert_eq!(told[1].0, &json!("play"));
    for session in sessions.as_array().unwrap() {
        let kicked = relay.api.call("DELETE", &format!("/api/v1/sessions/{}", session["id"]), None).await;
        assert_eq!((kicked.status, &*kicked.body), (204, ""));
    }
    while player.next().await.is_some() {}
    let closed = async { while encoder.connection.receive().await.is_ok() {} };
    tokio::time::timeout(peers::PATIENCE, closed).await.expect("its connection is closed");
    let stream = relay.api.get("/api/v1/streams/live/show").await.json();
    assert_eq!((&stream["state"], &stream["publisher"]), (&json!("lost"), &Value::Null));
    let _next = Encoder::publish(relay.address, "live/show").await.unwrap();
    assert_eq!(relay.api.get("/api/v1/streams/live/show").await.json()["state"], "live");
}

/// Sends a key frame and some others until told to stop, and says what it has sent.
async fn show(mut encoder: Encoder, stop: tokio_util::sync::CancellationToken) -> Vec<Vec<u8>> {
    encoder.headers().await;
    let mut sent = Vec::new();
    while !stop.is_cancelled() {
        let frame = video(sent.len() % 20 == 0, sent.len());
        encoder.send(Kind::Video, sent.len() as u32 * 10, &frame).await;
        sent.push(frame);
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    encoder.end().await;
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_to_one_destination_in_mid_show_costs_the_others_nothing() {
    let mut servers = Vec::new();
    for _ in 0..4 {
        let server = Server::start("127.0.0.1:0", &[], None).await;
        let player = Player::play(server.address, "live/show").await;
        servers.push((server, player));
    }
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = |address: std::net::SocketAddr| format!("rtmp://{address}/live");
    let mut destinations: Vec<Route> = servers[..3]
        .iter()
        .enumerate()
        .map(|(n, (server, _))| route(&format!("number-{n}"), &url(server.address)))
        .collect();
    destinations.push(route("dead", &url(dead)));
    let relay = Steered::start(Config { destinations, ..Config::default() }).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let encoder = Encoder::publish(relay.address, "live/show").await.unwrap();
    let showing = tokio::spawn(show(encoder, stop.clone()));
    let state = |name: &str| {
        relay.board.statuses().into_iter().find(|s| s.name == name).map(|s| (s.state.to_string(), s.attempts))
    };
    let is = |name: &str, wanted: &str| state(name).is_some_and(|(state, _)| state == wanted);
    until("three are live", || (0..3).all(|n| is(&format!("number-{n}"), "live"))).await;

    let api = &relay.api;
    let fourth = json!({"name": "fourth", "url": url(servers[3].0.address)});
    assert_eq!(api.post("/api/v1/destinations", &fourth).await.status, 201);
    until("the fourth is live", || is("fourth", "live")).await;
    let call = async |what: &str| {
        assert_eq!(api.call("POST", &format!("/api/v1/destinations/{what}"), None).await.status, 200, "{what}")
    };
    for _ in 0..3 {
        call("fourth/disable").await;
        until("the fourth is off", || is("fourth", "disabled")).await;
        call("fourth/enable").await;
        until("the fourth is live again", || is("fourth", "live")).await;
    }
    let tried = state("dead").unwrap().1;
    call("dead/retry").await;
    until("it is tried at once", || state("dead").unwrap().1 > tried).await;
    let change = api.call("PATCH", "/api/v1/destinations/fourth", Some("{\"max_lag\": \"2s\"}")).await;
    assert_eq!(change.status, 200);
    until("with other settings it is another session", || is("fourth", "live")).await;
    assert_eq!(api.call("DELETE", "/api/v1/destinations/fourth", None).await.status, 204);
    assert_eq!(api.call("DELETE", "/api/v1/destinations/dead", None).await.status, 204);
    until("they have left", || state("fourth").is_none() && state("dead").is_none()).await;
    stop.cancel();
    let sent = showing.await.unwrap();
    for (server, player) in &mut servers[..3] {
        assert_eq!(player.frames().await, sent, "{}", server.address);
    }
    for status in relay.board.statuses() {
        assert_eq!((status.attempts, status.reconnects, status.dropped), (1, 0, 0), "{status:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_at_the_same_time_all_count() {
    let relay = Steered::start(Config::default()).await;
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..40 {
        let api = relay.api.clone();
        calls.spawn(async move {
            // Each is added by two, and one of them is told that the other was first.
            let new = json!({"name": format!("d{}", n / 2), "url": format!("rtmp://127.0.0.1:1/{}", n / 2)});
            api.post("/api/v1/destinations", &new).await.status
        });
    }
    let mut statuses = calls.join_all().await;
    statuses.sort();
    assert_eq!(statuses, [vec![201; 20], vec![409; 20]].concat());
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..16 {
        let api = relay.api.clone();
        let key = ["max_lag", "chunk_size", "max_bitrate", "source_streams"][n % 4];
        let value = [json!("2s"), json!(4096), json!("5M"), json!(["live/a"])][n % 4].clone();
        calls.spawn(async move {
            let change = json!({key: value}).to_string();
            api.call("PATCH", "/api/v1/destinations/d7", Some(&change)).await.status
        });
    }
    let statuses = calls.join_all().await;
    assert!(statuses.iter().all(|status| [200, 503].contains(status)), "{statuses:?}");
    let config = relay.control.config().await.unwrap();
    let d7 = config.destinations.iter().find(|route| route.name == "d7").unwrap();
    let settings = d7.settings;
    assert_eq!((settings.max_lag.as_secs(), settings.chunk_size, settings.max_bitrate), (2, 4096, Some(5_000_000)));
    assert_eq!((d7.streams.len(), config.destinations.len()), (1, 20));
}

#[tokio::test]
async fn one_destination_more_than_there_may_be_is_refused() {
    let full = rtmp_relay::limits::DESTINATIONS;
    let destinations = (0..full).map(|n| Route { enabled: false, ..route(&format!("d{n}"), &format!("rtmp://h/{n}")) });
    let relay = Steered::start(Config { destinations: destinations.collect(), ..Config::default() }).await;
    let refused = relay.api.post("/api/v1/destinations", &json!({"url": "rtmp://h/x"})).await;
    assert_eq!((refused.status, &*refused.code()), (409, "full"));
    assert_eq!(relay.api.call("DELETE", "/api/v1/destinations/d0", None).await.status, 204);
    assert_eq!(relay.api.post("/api/v1/destinations", &json!({"url": "rtmp://h/x"})).await.status, 201);
    for n in 0..=rtmp_relay::limits::API_RECORDINGS {
        let added = relay.api.post("/api/v1/recordings", &json!({"stream": format!("live/{n}")})).await;
        assert_eq!(added.status, if n < rtmp_relay::limits::API_RECORDINGS { 201 } else { 409 });
    }
}

/// Hosts that are inside our own network, in every form that somebody has tried; all are refused when they are added.
const INSIDE: [&str; 53] = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.255.255.254",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0x7f.1",
    "0177.0.0.1",
    "017700000001",
    "0",
    "0.0.0.0",
    "0x0",
    "00",
    "127.0.0.1.",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "a.localhost",
    "10.0.0.1",
    "10.1",
    "167772161",
    "0xa000001",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "192.168.257",
    "3232235521",
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "100.64.0.1",
    "192.0.0.8",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[::ffff:10.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::1]",
    "[2002:7f00:1::]",
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "[fd00::1]",
    "[fec0::1]",
    "[ff02::1]",
    "[::169.254.169.254]",
];

/// What is no URL of ours at all, or hides where it leads.
const ODD: [&str; 9] = [
    "http://127.0.0.1/a",
    "file:///etc/passwd",
    "rtmp:127.0.0.1/a",
    "rtmp:///a",
    "rtmp://8.8.8.8@127.0.0.1/a/b",
    "rtmp://a:b@127.0.0.1/a/b",
    "rtmp://8.8.8.8#@127.0.0.1/a/b",
    "rtmp://127.0.0.1\\@8.8.8.8/a/b",
    "rtmp://127.0.0.1 /a/b",
];

#[tokio::test]
async fn what_the_api_adds_is_not_inside_our_own_network_in_whatever_form() {
    let relay = Steered::with(config::Api::default(), Config::default()).await;
    for host in INSIDE {
        for url in
            [format!("rtmp://{host}/app/key"), format!("rtmps://{host}:1935/app"), format!("rtmp://u:p@{host}/app")]
        {
            let refused = relay.api.post("/api/v1/destinations", &json!({"url": url})).await;
            assert_eq!(
                (refused.status, &*refused.code(), &refused.json()["field"]),
                (422, "internal_address", &json!("url")),
                "{url}"
            );
        }
    }
    for url in ODD {
        let refused = relay.api.post("/api/v1/destinations", &json!({"url": url})).await;
        assert_eq!(refused.status, 422, "{url}: {refused:?}");
    }
    for (field, body) in [
        ("backup_url", json!({"url": "rtmp://8.8.8.8/a", "backup_url": "rtmp://127.1/b"})),
        ("public_only", json!({"url": "rtmp://8.8.8.8/a", "public_only": false})),
        ("public_only", json!({"url": "rtmp://8.8.8.8/a", "public_only": null})),
    ] {
        let refused = relay.api.post("/api/v1/destinations", &body).await;
        assert_eq!((&*refused.code(), &refused.json()["field"]), ("internal_address", &json!(field)), "{body}");
    }
    // Names are looked at when they are resolved, each time; nothing is resolved as long as nobody publishes.
    for name in ["example.org", "①②⑦.0.0.1", "127.0.0.1.nip.io", "{app}.example", "8.8.8.8"] {
        let added =
            relay.api.post("/api/v1/destinations", &json!({"url": format!("rtmp://{name}/app"), "name": "x"})).await;
        assert_eq!(added.status, 201, "{name}: {added:?}");
        let added = relay.control.config().await.unwrap().destinations.pop().unwrap();
        assert!(added.settings.public_only, "{name}");
        let moved = relay.api.call("PATCH", "/api/v1/destinations/x", Some("{\"url\": \"rtmp://127.1/app\"}")).await;
        assert_eq!(moved.code(), "internal_address", "{name}");
        let opened = relay.api.call("PATCH", "/api/v1/destinations/x", Some("{\"public_only\": null}")).await;
        assert_eq!(opened.code(), "internal_address", "{name}");
        relay.api.call("DELETE", "/api/v1/destinations/x", None).await;
    }
}

#[tokio::test]
async fn the_last_error_stays_after_a_recovery_and_says_when_it_came() {
    let server = Server::start("127.0.0.1:0", &[], None).await;
    let address = server.address;
    server.kill().await;
    let destinations = vec![route("far", &format!("rtmp://{address}/live"))];
    let relay = Steered::start(Config { destinations, ..Config::default() }).await;
    let _encoder = Encoder::publish(relay.address, "live/show").await.unwrap();
    until("refused", || relay.board.statuses()[0].last_error.is_some()).await;
    let _server = Server::start(&address.to_string(), &[], None).await;
    until("live", || relay.board.statuses()[0].state == State::Live).await;
    let standing = relay.api.get("/api/v1/destinations/far").await.json()["streams"][0].clone();
    let time = |value: &Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!((&standing["state"], &standing["error"]["class"]), (&json!("live"), &json!("network")));
    let (failed, live) = (time(&standing["error"]["failed_at"]), time(&standing["since_at"]));
    assert!(failed < live, "{failed}, {live}");
}

#[tokio::test]
async fn a_name_that_leads_inside_is_not_connected_to() {
    // "ip6-localhost" and what the resolver makes of a number that is none to us.
    let server = Server::start("127.0.0.1:0", &[], None).await;
    let relay = Steered::with(config::Api::default(), Config::default()).await;
    let _encoder = Encoder::publish(relay.address, "live/show").await.unwrap();
    let url = format!("rtmp://{{app}}host:{}/live", server.address.port());
    let added =
        relay.api.post("/api/v1/destinations", &json!({"name": "x", "url": url, "source_streams": ["local/*"]})).await;
    assert_eq!(added.status, 201, "{added:?}");
    let _encoder = Encoder::publish(relay.address, "local/show").await.unwrap();
    let last = || relay.board.statuses()[0].last_error.clone();
    until("it has been tried", || last().is_some()).await;
    let said = last().unwrap();
    assert!(said.starts_with("its name leads into our own network"), "{said}");
    assert_eq!(server.visitors.count() + server.visitors.endings().len(), 0, "nobody has come");
}

#[tokio::test]
async fn a_watcher_is_shown_everything_and_then_what_changes() {
    let relay = Steered::start(Config {
        destinations: vec![Route { enabled: false, ..route("off", "rtmp://h/x") }],
        ..Config::default()
    })
    .await;
    let mut events = Events::of(&relay.api, "").await;
    let (name, all) = events.next().await;
    assert_eq!(name, "snapshot");
    let mut keys: Vec<_> = all.as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(keys, ["destinations", "recordings", "sessions", "status", "streams"]);
    assert_eq!((&all["destinations"][0]["name"], &all["status"]["streams"]), (&json!("off"), &json!(0)));

    let mut next = async |kind: &str, so: &dyn Fn(&Value) -> bool| loop {
        let (name, change) = events.next().await;
        assert_ne!(name, "snapshot", "it comes once");
        if change["kind"] == kind && so(&change) {
            return change;
        }
    };
    let mut encoder = Encoder::publish(relay.address, "live/show").await.unwrap();
    next("stream", &|change| change["value"]["state"] == "live").await;
    next("session", &|change| change["value"]["role"] == "publish").await;
    encoder.headers().await;
    next("stream", &|change| change["value"]["video"]["codec"] == "H.264").await;
    let new = json!({"name": "one", "url": "rtmp://127.0.0.1:1/live"});
    assert_eq!(relay.api.post("/api/v1/destinations", &new).await.status, 201);
    let one = |change: &Value| change["value"]["name"] == "one";
    next("destination", &|change| one(change) && change["value"]["streams"][0]["state"] == "backing_off").await;
    relay.api.call("DELETE", "/api/v1/destinations/one", None).await;
    next("destination", &|change| change["gone"] == "one").await;
    encoder.end().await;
    next("session", &|change| change["gone"] == 1).await;

    // Whoever comes back is shown everything again.
    let mut again = Events::of(&relay.api, "last-event-id: 7\r\n").await;
    let (name, all) = again.next().await;
    assert_eq!((&*name, &all["destinations"].as_array().unwrap().len()), ("snapshot", &1));
}

#[tokio::test]
async fn what_happens_is_told_with_its_number_and_to_whoever_comes_back_from_there_on() {
    let relay = Steered::start(Config::default()).await;
    let mut events = Events::of(&relay.api, "").await;
    assert_eq!(events.next().await.0, "snapshot");
    let encoder = Encoder::publish(relay.address, "live/one").await.unwrap();
    let next = async |events: &mut Events| loop {
        let (name, event) = events.next().await;
        if name == "event" {
            return event;
        }
    };
    let started = next(&mut events).await;
    assert_eq!(
        (&started["code"], &started["stream"], &started["peer"]),
        (&json!("publish.started"), &json!("live/one"), &json!("127.0.0.1"))
    );
    let id = started["id"].as_u64().unwrap();
    assert_eq!(events.id.as_deref(), Some(&*id.to_string()));
    drop(events);
    encoder.end().await;
    let all = async || relay.api.get("/api/v1/journal").await.json()["entries"].as_array().unwrap().clone();
    let ended = async {
        while all().await.last().unwrap()["code"] != "publish.ended" {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(peers::PATIENCE, ended).await.expect("it is told");
    let mut events = Events::of(&relay.api, &format!("last-event-id: {id}\r\n")).await;
    assert_eq!(events.next().await.0, "snapshot", "what there is comes first");
    let ended = next(&mut events).await;
    assert_eq!((&ended["code"], ended["id"].as_u64()), (&json!("publish.ended"), Some(id + 1)));

    let after = relay.api.get(&format!("/api/v1/journal?after={id}")).await.json();
    assert_eq!(after, json!({"entries": [ended], "missed": 0}));
    let codes: Vec<_> = all().await.iter().map(|entry| entry["code"].as_str().unwrap().to_owned()).collect();
    assert_eq!(codes, ["relay.started", "publish.started", "publish.ended"]);
    let document: Value = serde_json::from_str(&api::openapi()).unwrap();
    let known = document["components"]["schemas"]["JournalEntry"]["properties"].as_object().unwrap();
    assert!(all().await.iter().all(|entry| entry.as_object().unwrap().keys().all(|key| known.contains_key(key))));
    for bad in ["?after=x", "?after=-1", "?before=1"] {
        assert_eq!(relay.api.get(&format!("/api/v1/journal{bad}")).await.code(), "invalid", "{bad}");
    }
}

#[tokio::test]
async fn one_watcher_too_many_is_told_so_until_another_leaves() {
    let relay = Steered::start(Config::default()).await;
    let mut watchers = Vec::new();
    for _ in 0..rtmp_relay::limits::API_WATCHERS {
        let mut watcher = Events::of(&relay.api, "").await;
        assert_eq!(watcher.next().await.0, "snapshot");
        watchers.push(watcher);
    }
    let refused = relay.api.get("/api/v1/events").await;
    assert_eq!((refused.status, &*refused.code()), (503, "too_many"));
    watchers.pop();
    let next = async {
        // That it has left is noticed when its connection is.
        loop {
            match Events::try_of(&relay.api).await {
                Some(events) => return events,
                None => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            }
        }
    };
    let mut next = tokio::time::timeout(peers::PATIENCE, next).await.expect("there is room again");
    assert_eq!(next.next().await.0, "snapshot");
}

#[tokio::test]
async fn metrics_are_open_metrics_and_say_what_the_board_says() {
    let server = Server::start("127.0.0.1:0", &[], None).await;
    let destinations = vec![
        route("archive", &format!("rtmp://{}/live", server.address)),
        route("dead", "rtmp://u:CANARY@127.0.0.1:1/CANARY/CANARY"),
    ];
    let relay = Steered::start(Config { destinations, ..Config::default() }).await;
    let mut encoder = Encoder::publish(relay.address, "live/\"x\"").await.unwrap();
    encoder.headers().await;
    encoder.send(Kind::Video, 0, &video(true, 0)).await;
    until("live", || relay.board.statuses()[0].state.to_string() == "live").await;
    until("refused", || relay.board.statuses()[1].last_error.is_some()).await;
    let plain = relay.api.get("/metrics").await;
    assert!(plain.head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{plain:?}");
    assert!(
        plain.body.contains("# TYPE rtmp_relay_destination_attempts_total counter\n") && !plain.body.contains("CANARY")
    );
    let accept = "accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5\r\n";
    let request = format!("GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{accept}\r\n");
    let answer = relay.api.says(&request).await;
    assert!(
        answer.head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"),
        "{answer:?}"
    );
    assert!(answer.body.ends_with("# EOF\n") && !answer.body.contains("CANARY"));
    for line in [
        "rtmp_relay_streams 1.0",
        "rtmp_relay_destination_up{destination=\"archive\",stream=\"live/\\\"x\\\"\"} 1.0",
        "rtmp_relay_destination_state{destination=\"archive\",stream=\"live/\\\"x\\\"\",state=\"live\"} 1.0",
        "rtmp_relay_destination_state{destination=\"archive\",stream=\"live/\\\"x\\\"\",state=\"blocked\"} 0.0",
        "rtmp_relay_destination_last_error{destination=\"dead\",stream=\"live/\\\"x\\\"\",class=\"network\"} 1.0",
        "rtmp_relay_sessions{role=\"publish\"} 1.0",
        "rtmp_relay_visitors_left_total{reason=\"lost\"} 0.0",
        "# TYPE rtmp_relay_destination_sent_bytes counter",
        "# UNIT rtmp_relay_destination_lag_seconds seconds",
    ] {
        assert!(answer.body.lines().any(|told| told == line), "{line}\n{}", answer.body);
    }
    let mut names: Vec<&str> =
        answer.body.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "each metric is told once");
}

#[tokio::test]
async fn streams_beyond_the_limit_have_no_metrics_and_are_counted() {
    let relay =
        Steered::start(Config { destinations: vec![route("off", "rtmp://h/{app}/{stream}")], ..Config::default() })
            .await;
    let limit = rtmp_relay::limits::METRIC_STREAMS;
    let mut encoders = Vec::new();
    for n in 0..=limit {
        encoders.push(Encoder::publish(relay.address, &format!("live/{n:03}")).await.unwrap());
    }
    let text = relay.api.get("/metrics").await.body;
    let series = |name: &str| text.lines().filter(|line| line.starts_with(name)).count();
    assert_eq!((series("rtmp_relay_stream_live{"), series("rtmp_relay_destination_up{")), (limit, limit));
    assert!(text.contains("\nrtmp_relay_streams_left_out 1.0\n"));
}

/// Every metric of a relay, as a row of a table: its name, its kind, what it says.
fn metrics_of(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().collect::<Vec<_>>();
    let pairs =
        lines.windows(2).filter_map(|pair| Some((pair[0].strip_prefix("# HELP ")?, pair[1].strip_prefix("# TYPE ")?)));
    let rows = pairs.map(|(help, kind)| {
        let ((name, help), (_, kind)) = (help.split_once(' ').unwrap(), kind.split_once(' ').unwrap());
        (name.to_owned(), format!("| `{name}` | {kind} | {} |", help.trim_end_matches('.')))
    });
    rows.collect()
}

#[tokio::test]
async fn the_page_about_the_api_tells_every_code_and_every_metric_and_nobody_looks_for_another() {
    let relay = Steered::start(Config::default()).await;
    let metrics = metrics_of(&relay.api.get("/metrics").await.body);
    assert!(metrics.len() > 30);
    let page = include_str!("../docs/api.md");
    let codes = api::problem::Code::ALL.map(|code| {
        let (code, status, means) = code.plan();
        format!("| `{code}` | {status} | {means} |")
    });
    let rows = |after: &str| {
        let part = page.split(after).nth(1).unwrap();
        let rows = part.lines().skip_while(|line| !line.starts_with("| `")).take_while(|line| line.starts_with('|'));
        rows.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(rows("## Errors").join("\n"), codes.join("\n"));
    let told: Vec<String> = metrics.iter().map(|(_, row)| row.clone()).collect();
    assert_eq!(rows("## Metrics").join("\n"), told.join("\n"));
    for (file, text) in
        [("alerts.yaml", include_str!("../docs/alerts.yaml")), ("grafana.json", include_str!("../docs/grafana.json"))]
    {
        let mut named = 0;
        for rest in text.split("rtmp_relay_").skip(1) {
            let name: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            let name = format!("rtmp_relay_{name}");
            assert!(metrics.iter().any(|(known, _)| *known == name), "{file}: there is no {name}");
            named += 1;
        }
        assert!(named > 8, "{file}");
    }
    assert!(serde_json::from_str::<Value>(include_str!("../docs/grafana.json")).is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_live_destinations_make_nobody_wait_for_an_answer() {
    // 1 Mbit/s: 25 frames a second of 5000 bytes, in GOPs of two seconds.
    let server = Server::start("127.0.0.1:0", &[], None).await;
    let url = |n: usize| format!("rtmp://{}/live/{n}", server.address);
    let destinations = (0..100).map(|n| route(&format!("d{n:02}"), &url(n))).collect();
    let relay = Steered::start(Config { destinations, ..Config::default() }).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let mut encoder = Encoder::publish(relay.address, "live/show").await.unwrap();
    let showing = tokio::spawn({
        let stop = stop.clone();
        async move {
            encoder.headers().await;
            let (mut tick, mut number) = (tokio::time::interval(std::time::Duration::from_millis(40)), 0);
            while !stop.is_cancelled() {
                tick.tick().await;
                let frame = [video(number % 50 == 0, number), vec![0; 5000]].concat();
                encoder.send(Kind::Video, number as u32 * 40, &frame).await;
                number += 1;
            }
        }
    });
    let live = || relay.board.statuses().iter().filter(|status| status.state.to_string() == "live").count();
    until("a hundred live", || live() == 100).await;
    let paths = ["/api/v1/destinations", "/api/v1/streams", "/api/v1/status", "/metrics", "/api/v1/destinations/d50"];
    let mut took = Vec::new();
    for n in 0..1000 {
        let asked = std::time::Instant::now();
        let answer = relay.api.get(paths[n % paths.len()]).await;
        took.push(asked.elapsed());
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    took.sort();
    let (median, p99) = (took[500], took[990]);
    println!("1000 GETs with {} live destinations: median {median:?}, p99 {p99:?}, most {:?}", live(), took[999]);
    // A build for tests on a machine that others use too; what is promised is 50 ms for one that is not.
    assert!(p99 < std::time::Duration::from_millis(500), "{p99:?}");
    assert_eq!(live(), 100, "nobody has been disturbed");
    stop.cancel();
    showing.await.unwrap();
}
