//! What the ends of a connection say they can do with Enhanced RTMP, in `connect` and in its answer (E-RTMP v2 "Enhancing
//! NetConnection connect Command").
//!
//! Saying nothing says nothing: OBS announces no codec and sends HEVC, YouTube announces none and takes it.

use super::amf0::Amf0;
use crate::flv::{Codec, Kind, Need, codec::FOUR_CCS};

/// What a peer has announced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    all_audio: bool,
    all_video: bool,
    codecs: Vec<Codec>,
    caps_ex: u32,
}

/// What we say of ourselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announce {
    /// Nothing, as before there was anything to say.
    Nothing,
    /// That we forward whatever there is …
    Forwarding,
    /// … and connect again when asked to; from a server, that it may ask.
    Reconnecting,
}

/// Bits of `capsEx`.
mod caps_ex {
    pub(super) const RECONNECT: u32 = 1;
    pub(super) const MULTITRACK: u32 = 2;
    pub(super) const MOD_EX: u32 = 4;
    pub(super) const NANO_OFFSET: u32 = 8;
}

/// Bits of the info maps. A peer that only encodes a codec (2) does not take it.
mod info {
    pub(super) const DECODE: u32 = 1;
    pub(super) const FORWARD: u32 = 4;
}

const FOUR_CC_LIST: &str = "fourCcList";
const VIDEO_MAP: &str = "videoFourCcInfoMap";
const AUDIO_MAP: &str = "audioFourCcInfoMap";
const CAPS_EX: &str = "capsEx";
const ALL: &str = "*";

impl Announce {
    /// The properties that say so. A relay forwards every codec, and decodes none.
    pub fn properties(self) -> Vec<(&'static str, Amf0)> {
        let reconnect = match self {
            Announce::Nothing => return Vec::new(),
            Announce::Forwarding => 0,
            Announce::Reconnecting => caps_ex::RECONNECT,
        };
        let list = FOUR_CCS.iter().map(|(name, _)| String::from_utf8_lossy(*name).into_owned().as_str().into());
        let forwards = || Amf0::object([(ALL, f64::from(info::FORWARD).into())]);
        let caps_ex = reconnect | caps_ex::MULTITRACK | caps_ex::MOD_EX | caps_ex::NANO_OFFSET;
        vec![
            (FOUR_CC_LIST, Amf0::StrictArray(list.collect())),
            (VIDEO_MAP, forwards()),
            (AUDIO_MAP, forwards()),
            (CAPS_EX, f64::from(caps_ex).into()),
        ]
    }
}

impl Capabilities {
    /// What these objects announce between them; none where they have none of the properties. Servers put them into either
    /// object of their answer.
    pub fn read<'a>(objects: impl IntoIterator<Item = &'a Amf0>) -> Option<Self> {
        let mut announced = None;
        for object in objects {
            for (key, value) in object.properties().unwrap_or_default() {
                if [FOUR_CC_LIST, VIDEO_MAP, AUDIO_MAP, CAPS_EX].contains(&key.as_str()) {
                    announced.get_or_insert_with(Capabilities::default).add(key, value);
                }
            }
        }
        announced
    }

    /// Whether it takes this.
    pub fn takes(&self, need: Need) -> bool {
        match need {
            Need::Codec(Kind::Audio, _) if self.all_audio => true,
            Need::Codec(Kind::Video, _) if self.all_video => true,
            Need::Codec(_, codec) => self.codecs.contains(&codec),
            Need::Multitrack => self.caps_ex & caps_ex::MULTITRACK != 0,
            Need::ModEx => self.caps_ex & caps_ex::MOD_EX != 0,
        }
    }

    /// Whether it obeys a reconnect request.
    pub fn reconnects(&self) -> bool {
        self.caps_ex & caps_ex::RECONNECT != 0
    }

    fn add(&mut self, key: &str, value: &Amf0) {
        match key {
            CAPS_EX => self.caps_ex |= value.as_f64().map_or(0, |bits| bits as u32),
            FOUR_CC_LIST => {
                let Amf0::StrictArray(names) = value else { return };
                for name in names.iter().filter_map(Amf0::as_str) {
                    self.add_codec(name, true, true);
                }
            }
            _ => {
                for (name, bits) in value.properties().unwrap_or_default() {
                    if bits.as_f64().map_or(0, |bits| bits as u32) & (info::DECODE | info::FORWARD) != 0 {
                        self.add_codec(name, key == AUDIO_MAP, key == VIDEO_MAP);
                    }
                }
            }
        }
    }

    fn add_codec(&mut self, name: &str, audio: bool, video: bool) {
        if name == ALL {
            self.all_audio |= audio;
            self.all_video |= video;
        } else if let Ok(four_cc) = name.as_bytes().try_into() {
            self.codecs.push(Codec::from_four_cc(four_cc));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(properties: &[(&str, Amf0)]) -> Option<Capabilities> {
        Capabilities::read([&Amf0::object(properties.iter().cloned())])
    }

    /// Of HEVC, Opus, multitrack and ModEx, what is taken.
    fn takes(properties: &[(&str, Amf0)]) -> String {
        let all = [
            Need::Codec(Kind::Video, Codec::Hevc),
            Need::Codec(Kind::Audio, Codec::Opus),
            Need::Multitrack,
            Need::ModEx,
        ];
        let capabilities = read(properties).expect("announced");
        let taken = all.into_iter().filter(|need| capabilities.takes(*need)).map(|need| need.to_string());
        taken.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_property_says_what_it_is_for() {
        let list = |names: &[&str]| Amf0::StrictArray(names.iter().map(|name| (*name).into()).collect());
        let map = |name, bits: f64| Amf0::object([(name, bits.into())]);
        for (properties, taken) in [
            (&[("fourCcList", list(&["av01", "hvc1"]))][..], "HEVC"),
            (&[("fourCcList", list(&["*"]))], "HEVC Opus"),
            (&[("fourCcList", list(&[])), ("capsEx", 15.0.into())], "multitrack ModEx"),
            (&[("videoFourCcInfoMap", map("hvc1", 1.0))], "HEVC"),
            (&[("videoFourCcInfoMap", map("hvc1", 2.0))], ""),
            (&[("videoFourCcInfoMap", map("*", 4.0))], "HEVC"),
            (&[("audioFourCcInfoMap", map("*", 5.0)), ("capsEx", 2.0.into())], "Opus multitrack"),
            (&[("audioFourCcInfoMap", map("Opus", 4.0)), ("capsEx", f64::NAN.into())], "Opus"),
            (&[("fourCcList", "hvc1".into()), ("videoFourCcInfoMap", 4.0.into())], ""),
        ] {
            assert_eq!(takes(properties), taken, "{properties:?}");
        }
        assert_eq!(read(&[("app", "live".into()), ("videoFunction", 1.0.into())]), None);
    }

    #[test]
    fn a_relay_takes_everything() {
        for (announce, reconnects) in [(Announce::Forwarding, false), (Announce::Reconnecting, true)] {
            assert_eq!(takes(&announce.properties()), "HEVC Opus multitrack ModEx");
            assert_eq!(read(&announce.properties()).expect("announced").reconnects(), reconnects);
        }
        assert_eq!(read(&Announce::Nothing.properties()), None);
    }
}
