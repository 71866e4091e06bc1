//! The HTTP API on real sockets: who may call, what is told, what is refused.

#![allow(missing_docs, clippy::unwrap_used)]

mod caller;
mod peers;

use caller::{Caller, Steered};
use peers::{Encoder, Player, Server, until, video};
use rtmp_relay::api;
use rtmp_relay::config::{self, Config, Route};
use rtmp_relay::destination::Template;
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
        ("GET", "/", 404, "no_such_path"),
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
