//! An aggregate message (RTMP 1.0 §7.1.6): messages of one stream in a row, each as in an FLV file. FMS, Wowza and a few encoders
//! send them.

use bytes::{Buf, Bytes};

use super::message::type_id;
use super::{Message, Payload};

/// Type, length, time with its high byte last, and a stream id, of which the aggregate's own is the one that counts.
const HEADER: usize = 11;
/// The size again, behind each message. Not looked at.
const BACK_POINTER: usize = 4;

/// What is left of an aggregate. Taken apart one by one, so that a million empty messages cost no memory.
#[derive(Debug)]
pub struct Aggregate {
    rest: Bytes,
    stream: u32,
    /// From the times in it to the aggregate's time line, modulo 2^32: the first message has the time of the aggregate.
    shift: u32,
}

impl Aggregate {
    /// The messages in a message of type 22.
    pub fn new(message: Message) -> Self {
        let first = message.payload.first_chunk().map_or(0, timestamp);
        let (stream, shift) = (message.stream, message.timestamp.wrapping_sub(first));
        Aggregate { rest: message.payload.into_bytes(), stream, shift }
    }
}

/// Media and data; a message that is cut short ends it, and others are left out.
impl Iterator for Aggregate {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        loop {
            let header = *self.rest.first_chunk::<HEADER>()?;
            let [type_id, l2, l1, l0, ..] = header;
            let end = HEADER + u32::from_be_bytes([0, l2, l1, l0]) as usize;
            let payload = Payload::from(self.rest.get(HEADER..end)?);
            self.rest.advance(self.rest.len().min(end + BACK_POINTER));
            if let type_id::AUDIO | type_id::VIDEO | type_id::DATA | type_id::DATA_AMF3 = type_id {
                let timestamp = timestamp(&header).wrapping_add(self.shift);
                return Some(Message { timestamp, type_id, stream: self.stream, payload });
            }
        }
    }
}

fn timestamp(header: &[u8; HEADER]) -> u32 {
    let [_, _, _, _, t2, t1, t0, t3, ..] = *header;
    u32::from_be_bytes([t3, t2, t1, t0])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Messages as `(type, time, payload)`.
    fn packed(messages: &[(u8, u32, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (type_id, time, payload) in messages {
            let [t3, t2, t1, t0] = time.to_be_bytes();
            let [_, l2, l1, l0] = (payload.len() as u32).to_be_bytes();
            out.extend([*type_id, l2, l1, l0, t2, t1, t0, t3, 9, 9, 9]);
            out.extend_from_slice(payload);
            out.extend((payload.len() as u32 + 11).to_be_bytes());
        }
        out
    }

    /// What comes out of an aggregate at this time.
    fn unpacked(time: u32, payload: &[u8]) -> Vec<(u8, u32, Vec<u8>)> {
        let message = Message { timestamp: time, type_id: type_id::AGGREGATE, stream: 5, payload: payload.into() };
        let messages: Vec<_> = Aggregate::new(message).collect();
        assert!(messages.iter().all(|m| m.stream == 5));
        messages.into_iter().map(|m| (m.type_id, m.timestamp, m.payload.to_vec())).collect()
    }

    #[test]
    fn the_first_message_has_the_time_of_the_aggregate_and_the_others_their_distance_to_it() {
        // RTMP 1.0 §7.1.6: 1000 and 1020 in an aggregate at 5000.
        let wire = packed(&[(8, 1000, b"\xaf\x01\xaa\xbb"), (9, 1020, b"\x27\x01\0\0\0\xde\xad")]);
        assert_eq!(
            unpacked(5000, &wire),
            [(8, 5000, b"\xaf\x01\xaa\xbb".to_vec()), (9, 5020, b"\x27\x01\0\0\0\xde\xad".to_vec())]
        );
    }

    #[test]
    fn times_of_32_bits_wrap_and_may_go_back() {
        let times = |time, times: &[u32]| {
            let messages: Vec<_> = times.iter().map(|t| (8, *t, &b"\xaf\x01"[..])).collect();
            unpacked(time, &packed(&messages)).into_iter().map(|(_, t, _)| t).collect::<Vec<_>>()
        };
        assert_eq!(times(0x0123_4567, &[0x0123_4567, 0x0123_4580]), [0x0123_4567, 0x0123_4580]);
        assert_eq!(times(u32::MAX, &[100, 110, 90]), [u32::MAX, 9, u32::MAX - 10]);
        assert_eq!(times(7, &[u32::MAX, 3]), [7, 11]);
    }

    #[test]
    fn one_cut_short_is_left_out_and_those_before_it_are_not() {
        let wire = packed(&[(8, 0, b"\xaf\x01"), (9, 20, b"\x27\x01\0\0\0")]);
        let first = 11 + 2;
        for length in 0..wire.len() {
            let whole = usize::from(length >= first) + usize::from(length >= wire.len() - 4);
            assert_eq!(unpacked(0, &wire[..length]).len(), whole, "{length} bytes");
        }
    }

    #[test]
    fn only_media_and_data_come_out_and_wrong_back_pointers_change_nothing() {
        let mut wire = packed(&[(20, 0, b"x"), (1, 0, b"\0\0\0\0"), (22, 0, b"x"), (18, 10, b"\x02"), (9, 20, b"")]);
        assert_eq!(unpacked(0, &wire), [(18, 10, b"\x02".to_vec()), (9, 20, Vec::new())]);
        let end = wire.len();
        wire[end - 4..].fill(0xff);
        assert_eq!(unpacked(0, &wire).len(), 2);
    }

    proptest! {
        #[test]
        fn any_bytes_are_messages_or_none(
            time in any::<u32>(),
            bytes in prop::collection::vec(prop_oneof![3 => Just(0u8), 2 => 0u8..24, 1 => any::<u8>()], 0..200),
        ) {
            let held: usize = unpacked(time, &bytes).iter().map(|(.., payload)| HEADER + payload.len()).sum();
            prop_assert!(held <= bytes.len());
        }
    }
}
