# What there is to run.
default:
    @just --list --unsorted

# Installs what the end-to-end tests need and is missing (OBS, Xvfb, ffmpeg; Debian).
setup:
    tests/e2e/setup

# Formatting and lints.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# All tests but the end-to-end ones.
test:
    cargo test

# Whole relays on a simulated network.
sim:
    cargo test -p sim

# The built relay with OBS, ffmpeg and ffplay; takes names of cases, or --keep.
e2e *args:
    cargo build --release --package rtmp-relay
    python3 tests/e2e/run.py {{args}}
