//! A race of one host's addresses (RFC 8305, "happy eyeballs"): one that leads nowhere costs a quarter of a second, and no
//! attempt.
//!
//! ```text
//!  IPv6  ├──────────────────────────────── silence          dropped
//!  IPv4  · 250 ms ·├──── connected                          the winner
//!  IPv6  · 250 ms ·· until then, or a failure ··            never begun
//! ```

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::sleep;

use crate::limits::ADDRESSES;

/// Each address has this long before the next one is tried beside it (RFC 8305 §5).
pub const HEAD_START: Duration = Duration::from_millis(250);

/// What the first of `addresses` to connect has connected to; the others are dropped, and none is begun after it. Where all of
/// them fail, how the last one did. It waits for as long as they do: the caller has a deadline.
pub async fn race<T, F>(addresses: &[SocketAddr], connect: impl Fn(SocketAddr) -> F) -> io::Result<(SocketAddr, T)>
where
    F: Future<Output = io::Result<T>>,
{
    let mut waiting = interleaved(addresses).into_iter().take(ADDRESSES);
    let mut racing: Vec<(SocketAddr, Pin<Box<F>>)> = Vec::new();
    let mut error = io::ErrorKind::NotFound.into();
    loop {
        match waiting.next() {
            Some(address) => racing.push((address, Box::pin(connect(address)))),
            None if racing.is_empty() => return Err(error),
            None => {}
        }
        tokio::select! {
            biased;
            (address, ended) = first(&mut racing) => match ended {
                Ok(connected) => return Ok((address, connected)),
                Err(failed) => error = failed,
            },
            () = sleep(HEAD_START), if waiting.len() > 0 => {}
        }
    }
}

/// Takes out the first one that ends, the oldest of several. Cancel safe.
async fn first<T, F>(racing: &mut Vec<(SocketAddr, Pin<Box<F>>)>) -> (SocketAddr, io::Result<T>)
where
    F: Future<Output = io::Result<T>>,
{
    poll_fn(|cx| {
        for at in 0..racing.len() {
            if let Poll::Ready(ended) = racing[at].1.as_mut().poll(cx) {
                return Poll::Ready((racing.remove(at).0, ended));
            }
        }
        Poll::Pending
    })
    .await
}

/// One family after the other (RFC 8305 §4), beginning with that of the first: the resolver knows best.
fn interleaved(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let preferred = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (ours, theirs): (Vec<SocketAddr>, Vec<SocketAddr>) =
        addresses.iter().copied().partition(|address| address.is_ipv6() == preferred);
    let (mut ours, mut theirs) = (ours.into_iter(), theirs.into_iter());
    let mut order = Vec::new();
    while order.len() < addresses.len() {
        order.extend(ours.next().into_iter().chain(theirs.next()));
    }
    order
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::time::{Instant, timeout};

    use super::*;

    /// Addresses in a row, as in `6s 4c`: IPv6 that stays silent, IPv4 that connects at once (`c`), after a second (`l`), or
    /// fails at once (`f`). Says which won, or the error, when, and when each was begun.
    async fn raced(field: &str) -> (Result<usize, io::ErrorKind>, Duration, Vec<(usize, u64)>) {
        let runners: Vec<&str> = field.split_whitespace().collect();
        let address = |(port, runner): (usize, &&str)| {
            let ip = if runner.starts_with('6') { "[2001:db8::1]" } else { "192.0.2.1" };
            format!("{ip}:{port}").parse::<SocketAddr>().expect("an address")
        };
        let addresses: Vec<SocketAddr> = runners.iter().enumerate().map(address).collect();
        let (start, begun) = (Instant::now(), Mutex::new(Vec::new()));
        let won = race(&addresses, |address| {
            let number = usize::from(address.port());
            let deed = runners[number].as_bytes()[1];
            begun.lock().expect("no panic").push((number, start.elapsed().as_millis() as u64));
            async move {
                match deed {
                    b'c' => Ok(()),
                    b'l' => {
                        sleep(Duration::from_secs(1)).await;
                        Ok(())
                    }
                    b'f' => Err(io::ErrorKind::ConnectionRefused.into()),
                    _ => std::future::pending().await,
                }
            }
        });
        let won = timeout(Duration::from_secs(10), won).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let won = won.map(|(address, ())| usize::from(address.port())).map_err(|error| error.kind());
        (won, start.elapsed(), begun.into_inner().expect("no panic"))
    }

    #[tokio::test(start_paused = true)]
    async fn the_families_take_turns_a_quarter_of_a_second_apart_and_the_first_to_connect_wins() {
        let ms = Duration::from_millis;
        for (field, won, took, begun) in [
            ("6c 4c", Ok(0), 0, &[(0, 0)][..]),
            ("6s 6s 4c", Ok(2), 250, &[(0, 0), (2, 250)]),
            ("4s 6s 4c 6c", Ok(2), 500, &[(0, 0), (1, 250), (2, 500)]),
            ("6f 6f 4c", Ok(2), 0, &[(0, 0), (2, 0)]),
            ("6l 4l", Ok(0), 1000, &[(0, 0), (1, 250)]),
            ("6s 4f 6l", Ok(2), 1250, &[(0, 0), (1, 250), (2, 250)]),
            ("6f 4f", Err(io::ErrorKind::ConnectionRefused), 0, &[(0, 0), (1, 0)]),
            ("6s 4f", Err(io::ErrorKind::TimedOut), 10_000, &[(0, 0), (1, 250)]),
            ("", Err(io::ErrorKind::NotFound), 0, &[]),
        ] {
            assert_eq!(raced(field).await, (won, ms(took), begun.to_vec()), "{field}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_host_with_very_many_addresses_a_few_are_tried() {
        let (won, _, begun) = raced(&"4f ".repeat(ADDRESSES + 1)).await;
        assert_eq!((won, begun.len()), (Err(io::ErrorKind::ConnectionRefused), ADDRESSES));
    }
}
