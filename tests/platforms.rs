//! The pages about platforms, and what the program knows of them: a page says what the data says, as surely and no surer.

#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::{fs, io};

use rtmp_relay::destination::{self, Class, State};
use rtmp_relay::net::connection;
use rtmp_relay::platforms::{self, Limits, Matter, Need, Platform};
use rtmp_relay::rtmp::session::Phase;

const GUESS: &str = "(not confirmed)";
const STATES: [State; 4] = [State::Live, State::BackingOff, State::Rejected, State::Blocked];

fn read(below_docs: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(below_docs);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("docs/{below_docs}: {error}"))
}

fn page(platform: &Platform) -> String {
    read(&format!("platforms/{}.md", platform.id))
}

/// In one line, without marks.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace(&format!(" {GUESS}"), "").replace(" (reported)", "")
}

/// The rows of the table whose heading begins with this.
fn rows<'a>(page: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let table = page.split("\n\n").find(|part| part.starts_with(&format!("| {heading}")));
    let table = table.unwrap_or_else(|| panic!("no table {heading}: {page}"));
    let cells = |row: &'a str| row.trim_matches('|').split('|').map(str::trim).collect();
    table.lines().skip(2).map(cells).collect()
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Everything that could be wrong with a stream there, and what a page has to say of it.
fn wants(limits: &Limits) -> BTreeMap<String, Vec<String>> {
    let mut wants = BTreeMap::new();
    let mut want = |matter: Matter, said: Vec<String>| {
        if !said.is_empty() {
            wants.insert(matter.to_string(), said);
        }
    };
    let need = |need, said: &str| if limits.needs.contains(&need) { vec![said.to_owned()] } else { Vec::new() };
    let one = |said: Option<String>| said.into_iter().collect();
    let codecs = limits.video_codecs.0.iter().chain(&limits.audio_codecs.0);
    want(Matter::CodecNotTaken, codecs.map(ToString::to_string).collect());
    want(Matter::LevelTooHigh, one(limits.level.map(|level| format!("level {level}"))));
    want(Matter::NoVideo, need(Need::Video, "a picture"));
    want(Matter::NoAudio, need(Need::Audio, "sound"));
    want(Matter::ResolutionTooLarge, one(limits.size.map(|size| format!("{size} at most"))));
    let upright = limits.size.filter(|size| size.height > size.width);
    want(Matter::NotUpright, one(upright.map(|_| "upright".to_owned())));
    want(Matter::FrameRateTooHigh, one(limits.frame_rate.map(|rate| format!("at most {rate} pictures a second"))));
    let steps = limits.video_bitrates.iter().map(|step| format!("{} at {}", step.kbps, step.up_to));
    let most = limits.video_bitrate.map(|kbps| format!("at most {kbps} kbit/s of video"));
    want(Matter::BitrateTooHigh, steps.chain(most).collect());
    let most = limits.audio_bitrate.map(|kbps| format!("at most {kbps} kbit/s of sound"));
    want(Matter::AudioBitrateTooHigh, one(most));
    let interval = limits.key_frame_interval.map(|interval| {
        let most = (interval.max != interval.best).then(|| format!("{} s at most", interval.max));
        [format!("a key frame every {} s", interval.best)].into_iter().chain(most).collect()
    });
    want(Matter::GopTooLong, interval.unwrap_or_default());
    wants
}

#[test]
fn every_platform_has_a_page_and_every_page_a_platform() {
    let index = read("platforms.md");
    let mut listed = Vec::new();
    let rows = rows(&index, "platform");
    assert_eq!(rows.len(), platforms::all().len());
    for (row, platform) in rows.iter().zip(platforms::all()) {
        assert_eq!(row[..2], [&*platform.name, &*format!("[{id}](platforms/{id}.md)", id = platform.id)]);
        assert_eq!(row[2].contains("filled in"), platform.url.is_some(), "{}", platform.id);
        assert_eq!(row[2].contains("backup"), platform.backup_url.is_some(), "{}", platform.id);
        assert!(page(platform).starts_with(&format!("# {}\n", platform.name)));
        listed.push(format!("{}.md", platform.id));
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/platforms");
    let there = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut there: Vec<String> = there.collect();
    there.sort();
    listed.sort();
    assert_eq!(there, listed);
}

#[test]
fn a_page_says_where_to_paste_what_and_how_old_it_is() {
    for platform in platforms::all() {
        let Platform { id, url, url_example, plain_url, backup_url, key, .. } = platform;
        let page = page(platform);
        let shown = [url, url_example, plain_url, backup_url].into_iter().flatten().map(|url| format!("`{url}`"));
        let key = key.iter().map(|key| format!("`{}`", key.example));
        let config = [format!("platform: {id}"), format!("stream_key: ${{{}_KEY}}", id.to_uppercase())];
        let age = [format!("Looked up in {}", platform.checked)];
        for said in shown.chain(key).chain(config).chain(age) {
            // The same URL may stand in a line of configuration.
            let bare = said.trim_matches('`');
            assert!(page.contains(&said) || page.contains(&format!("url: {bare}`")), "{id} does not say {said}");
        }
        let refusal = platform.refusal.trim_end_matches('.');
        assert!(plain(&page).contains(refusal), "{id} does not say what a no looks like: {refusal}");
    }
}

#[test]
fn what_a_page_has_for_the_configuration_is_read_and_leads_to_the_platform() {
    for platform in platforms::all() {
        let id = &platform.id;
        let page = page(platform);
        let block = page.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
        let server = |url: &str| url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/").replace(":443", "");
        let written = platform.url.as_ref().or(platform.url_example.as_ref()).unwrap();
        assert_eq!(block.contains(&format!("url: {written}\n")), platform.url.is_none(), "{id}");
        let said = check(platform, block);
        assert!(said.contains(&server(written)), "{id}: {said}");
        assert_eq!(said.contains("or, while that fails"), platform.backup_url.is_some(), "{id}: {said}");
        // What else could be written there stands in backticks.
        for line in quoted(&page.replace("```", "")).filter(|text| text.starts_with("url: ")) {
            let said = check(platform, &format!("{block}    {line}\n"));
            assert!(said.contains(&server(line.trim_start_matches("url: "))), "{id}: {said}");
        }
    }
    let index = read("platforms.md");
    for guard in ["refuse", "advise", "ignore"] {
        assert!(index.contains(&format!("  - `{guard}`")));
        let platform = platforms::named("twitch").unwrap();
        let block = "destinations:\n  - platform: twitch\n    stream_key: ${TWITCH_KEY}\n";
        check(platform, &format!("{block}    guard: {guard}\n"));
    }
}

/// What the program says of a configuration, the key being the platform's example.
fn check(platform: &Platform, config: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, config).unwrap();
    let key = platform.key.as_ref().map_or("any", |key| &key.example);
    let checked = Command::new(env!("CARGO_BIN_EXE_rtmp-relay"))
        .arg("check")
        .arg(file.path())
        .args(["--stream", "live/show"])
        .env(format!("{}_KEY", platform.id.to_uppercase()), key)
        .output()
        .unwrap();
    let said = String::from_utf8(checked.stdout).unwrap();
    assert!(checked.status.success(), "{}: {said}{}", platform.id, String::from_utf8_lossy(&checked.stderr));
    assert!(!said.contains("mostly looks like"), "{}: {said}", platform.id);
    said
}

#[test]
fn a_page_has_every_limit_with_its_numbers_and_what_comes_of_it_and_marks_every_guess() {
    for platform in platforms::all() {
        let Platform { id, name, limits, .. } = platform;
        let page = page(platform);
        let rows = rows(&page, &format!("{name} wants"));
        let wants = wants(limits);
        let codes: Vec<&str> = rows.iter().map(|row| quoted(row[1]).last().unwrap()).collect();
        let mut sorted = codes.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, wants.keys().collect::<Vec<_>>(), "{id}: the matters in the table");
        for (row, code) in rows.iter().zip(codes) {
            for said in &wants[code] {
                assert!(row[0].contains(said.as_str()), "{id}, {code}: {said} is not in {}", row[0]);
            }
            let is = |matters: &[Matter]| matters.iter().any(|matter| matter.to_string() == code);
            let what = if is(&limits.refuses) { format!("`blocked` (`{code}`)") } else { format!("advice (`{code}`)") };
            assert_eq!(row[1], what, "{id}");
            assert_eq!(row[0].contains(GUESS), is(&limits.unsure), "{id}, {code}: {}", row[0]);
        }
    }
}

#[test]
fn what_a_page_says_to_look_for_in_the_status_can_stand_there() {
    let states = STATES.map(|state| state.to_string());
    let reasons = [
        connection::Error::Closed { phase: Phase::Request }.to_string(),
        connection::Error::Closed { phase: Phase::Media }.to_string(),
        connection::Error::TimedOut { phase: Phase::Handshake }.to_string(),
        destination::Error::Lookup(io::ErrorKind::NotFound.into()).to_string(),
    ];
    let known = |word: &str| Class::ALL.iter().any(|class| class.code() == word) || reasons.iter().any(|r| r == word);
    for page in platforms::all().iter().map(page).chain([read("platforms.md")]) {
        for row in rows(&page, "you see") {
            for word in quoted(row[0]) {
                assert!(known(word) || states.iter().any(|s| s == word), "{word} stands in no status: {}", row[0]);
            }
        }
    }
}
