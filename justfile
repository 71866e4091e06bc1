# What there is to run.
default:
    @just --list --unsorted

# Installs what the end-to-end tests need and is missing (OBS, Xvfb, ffmpeg, GStreamer, nginx; Debian).
setup:
    tests/e2e/setup

# The same for the interop matrix (VLC, mpv, GStreamer, nginx, a newer ffmpeg, …).
setup-interop:
    tests/interop/setup

# Formatting and lints.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS='-D warnings' cargo doc --no-deps

# All tests but the end-to-end ones.
test:
    cargo test

# Which lines of the protocol the tests reach (needs `cargo install cargo-tarpaulin`).
coverage:
    cargo tarpaulin --engine llvm --package rtmp-relay --lib --tests --target-dir target/coverage --skip-clean --out Stdout \
      --include-files 'src/rtmp.rs' 'src/rtmp/*' 'src/rtmp/**/*' 'src/flv.rs' 'src/flv/*'

# Two thousand simulated worlds, each with its faults, watched by laws; then deliberate bugs, which the laws have to catch.
soak *args="--seeds 0..2000 --jobs 2":
    cargo run --release --package sim --features mutants -- soak {{args}}

# The story of one of them.
sim seed:
    cargo run --release --package sim -- replay --seed {{seed}}

# The deliberate bugs alone.
mutants:
    cargo run --release --package sim --features mutants -- mutants

# Six fuzzers, each for so many seconds, in what they have found before; `just fuzz 600 server` is one of them.
fuzz seconds="60" *targets="":
    tests/fuzz/run {{seconds}} {{targets}}

# The built relay with OBS, ffmpeg, ffplay, GStreamer and nginx; takes names of cases, or --keep.
e2e *args:
    cargo build --release --package rtmp-relay
    python3 tests/e2e/run.py {{args}}

# The page, built anew and in a real browser; takes names of tests/web/*.test.js. Screenshots are left in target/pictures.
web *args:
    cargo build --release --package rtmp-relay
    PICTURES=$PWD/target/pictures tests/web/run {{args}}

# docs/start.md, command by command, with relays of ours in place of the platforms.
guide:
    python3 tests/guide/run.py

# Debian's Prometheus watches the built relay; its promtool checks metrics, rules and the dashboard's questions.
metrics:
    cargo build --release --package rtmp-relay
    python3 tests/metrics/run.py

# The built relay with every program there is, and a table of it; takes words to choose cells by, --markdown, or --keep.
interop *args:
    cargo build --release --package rtmp-relay
    python3 tests/interop/run.py {{args}}

# What a delivered bit costs, against a program that only sends bytes: docs/benchmarks.md. Takes half an hour of a quiet machine.
bench *args="--rounds 3 --seconds 8":
    cargo build --release --package rtmp-relay --package bench
    target/release/bench run {{args}} --subjects floor,relay,relay-merge \
      --cells push-1,push-5,push-20,push-100,push-500,play-50,play-200,play-500,play-2000@1,push-50x10,push-200x1,rtmps-20,bulk-1,bulk-5,bulk-20
    target/release/bench facts
    target/release/bench report

# The program laid out by what a relay at work runs, target/tuned/rtmp-relay: cheaper where there is little to do. A quarter of an hour.
tuned:
    tests/bench/tune

# The same beside nginx-rtmp, ffmpeg tee + fifo and node-media-server, and the tuned program.
bench-peers *args="--rounds 3 --seconds 8":
    tests/bench/setup-peers
    tests/bench/tune
    cargo build --release --package rtmp-relay --package bench
    target/release/bench run {{args}} --rows peers.jsonl --subjects floor,relay,relay-tuned,nginx-60000,nginx-4096,ffmpeg-tee,node-media-server \
      --cells push-5,push-20,push-100,play-50,play-200,play-500
    target/release/bench run {{args}} --asleep --rows asleep.jsonl --subjects floor,relay,relay-tuned,nginx-4096 --cells push-5,push-20,push-100
    target/release/bench report

# An hour to five servers, of which one comes and goes and one takes nothing; memory must not grow. Takes --minutes.
soak-real *args="":
    cargo build --release --package rtmp-relay --package bench
    target/release/bench soak {{args}}
    target/release/bench report

# Instructions of a message in each stage (valgrind), against numbers that are kept; --accept keeps those of today.
instructions *args="":
    tests/bench/gate {{args}}
