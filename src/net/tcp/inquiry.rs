//! An inquiry: what Linux knows of one TCP connection, asked by its two addresses (sock_diag(7)).
//!
//! `getsockopt(TCP_INFO)` and `ioctl(SIOCOUTQ)` know the same, but no library that is kept has a safe way to call them. A
//! netlink socket is a socket like others: a question goes in, and its answer is there when `send` returns.

use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::net::Delivery;

const AF_NETLINK: i32 = 16;
const NETLINK_SOCK_DIAG: i32 = 4;
/// Also the type of the answer. Errors have another.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const TCP: u8 = 6;
/// The attribute with the kernel's `tcp_info`.
const INET_DIAG_INFO: u16 = 2;
/// In every state.
const ALL: u32 = u32::MAX;

/// Where an answer's `inet_diag_msg` begins, behind the message's header.
const ANSWER: usize = 16;
/// `idiag_wqueue` in it.
const WQUEUE: usize = 60;
/// Where its attributes begin.
const ATTRIBUTES: usize = ANSWER + 72;
/// `tcpi_rtt` in `tcp_info`, in microseconds.
const RTT: usize = 68;

/// Where the kernel is asked, by one after the other.
static KERNEL: Mutex<Option<Socket>> = Mutex::new(None);

/// What is known of the connection between these addresses; nothing where the kernel does not say.
pub(super) fn delivery(ours: SocketAddr, theirs: SocketAddr) -> Option<Delivery> {
    let mut kernel = KERNEL.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    // Whatever went wrong, nobody after this one is given its answer.
    let socket = kernel.take().or_else(open)?;
    socket.send(&question(ours, theirs)).ok()?;
    // One connection's answer has some 400 bytes, and grows a little with each kernel.
    let mut answer = [0; 2048];
    let length = (&socket).read(&mut answer).ok()?;
    *kernel = Some(socket);
    read(&answer[..length])
}

fn open() -> Option<Socket> {
    let kind = Type::RAW.nonblocking().cloexec();
    Socket::new_raw(Domain::from(AF_NETLINK), kind, Some(Protocol::from(NETLINK_SOCK_DIAG))).ok()
}

/// `nlmsghdr` and `inet_diag_req_v2`.
fn question(ours: SocketAddr, theirs: SocketAddr) -> Vec<u8> {
    let family = if ours.is_ipv4() { AF_INET } else { AF_INET6 };
    let mut bytes = vec![family, TCP, 1 << (INET_DIAG_INFO - 1), 0];
    bytes.extend(ALL.to_ne_bytes());
    bytes.extend([ours, theirs].iter().flat_map(|address| address.port().to_be_bytes()));
    bytes.extend([ours, theirs].iter().flat_map(|address| padded(address.ip())));
    let any_interface = 0u32;
    bytes.extend(any_interface.to_ne_bytes());
    // Whichever it is that has these addresses.
    let no_cookie = [u32::MAX; 2];
    bytes.extend(no_cookie.iter().flat_map(|half| half.to_ne_bytes()));
    let length = (ANSWER + bytes.len()) as u32;
    let header = [&length.to_ne_bytes()[..], &SOCK_DIAG_BY_FAMILY.to_ne_bytes(), &NLM_F_REQUEST.to_ne_bytes(), &[0; 8]];
    [&header.concat()[..], &bytes].concat()
}

fn padded(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&address.octets());
            bytes
        }
        IpAddr::V6(address) => address.octets(),
    }
}

fn read(answer: &[u8]) -> Option<Delivery> {
    if short(answer, 4)? != SOCK_DIAG_BY_FAMILY {
        return None;
    }
    let queued = long(answer, ANSWER + WQUEUE)? as usize;
    let mut attributes = answer.get(ATTRIBUTES..)?;
    loop {
        let (length, kind) = (usize::from(short(attributes, 0)?), short(attributes, 2)?);
        if kind == INET_DIAG_INFO {
            let micros = long(attributes, 4 + RTT)?;
            return Some(Delivery { queued, round_trip: Duration::from_micros(micros.into()) });
        }
        // An attribute has its own header at least, so this comes to an end.
        attributes = attributes.get(length.max(4).next_multiple_of(4)..)?;
    }
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes))
}

fn long(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn pair(listen: &str) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind(listen).expect("a port");
        let ours = TcpStream::connect(listener.local_addr().expect("an address")).expect("it listens");
        (ours, listener.accept().expect("it has come").0)
    }

    fn of(stream: &TcpStream) -> Option<Delivery> {
        delivery(stream.local_addr().expect("an address"), stream.peer_addr().expect("an address"))
    }

    #[test]
    fn what_a_peer_does_not_read_is_queued_and_what_it_reads_is_not() {
        let (mut ours, mut theirs) = pair("127.0.0.1:0");
        ours.set_nonblocking(true).expect("a socket");
        let mut given = 0;
        while let Ok(written) = ours.write(&[7; 100_000]) {
            given += written;
        }
        let full = of(&ours).expect("Linux says");
        assert!(full.queued > 0 && full.queued <= given, "{full:?} of {given}");
        assert!(full.round_trip > Duration::ZERO && full.round_trip < Duration::from_secs(1), "{full:?}");
        let mut bytes = vec![0; 1 << 20];
        while given > 0 {
            given -= theirs.read(&mut bytes).expect("more");
        }
        // The last acknowledgement may be on its way.
        while of(&ours).expect("Linux says").queued > 0 {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_connection_that_is_not_there_is_not_known() {
        let (ours, _theirs) = pair("127.0.0.1:0");
        let gone = (ours.local_addr().expect("an address"), ours.peer_addr().expect("an address"));
        assert!(delivery(gone.0, gone.1).is_some());
        assert_eq!(delivery(gone.0, SocketAddr::new(gone.1.ip(), 1)), None);
    }

    #[test]
    fn an_answer_cut_anywhere_is_none_and_harms_nobody() {
        let mut answer = vec![0; ATTRIBUTES];
        answer[4] = SOCK_DIAG_BY_FAMILY as u8;
        answer[ANSWER + WQUEUE..][..4].copy_from_slice(&77u32.to_ne_bytes());
        // Another attribute before it, of five bytes and padding, and one that says it has none.
        answer.extend([5, 0, 8, 0, 1, 0, 0, 0, 0, 0, 9, 0]);
        answer.extend([4 + 72, 0, INET_DIAG_INFO as u8, 0]);
        answer.extend([0; RTT]);
        answer.extend(1500u32.to_ne_bytes());
        let whole = Delivery { queued: 77, round_trip: Duration::from_micros(1500) };
        assert_eq!(read(&answer), Some(whole));
        for length in 0..answer.len() {
            assert_eq!(read(&answer[..length]), None, "{length}");
        }
    }

    #[test]
    fn ipv6_is_asked_about_as_well() {
        match TcpListener::bind("[::1]:0") {
            Ok(_) => assert!(of(&pair("[::1]:0").0).is_some()),
            Err(error) => eprintln!("NOT TESTED: this machine has no IPv6: {error}"),
        }
    }
}
