//! Events: what a scenario's script has happen to its world.

use crate::World;

/// Something that happens to a world.
pub struct Event(Box<dyn FnOnce(&mut World)>);

impl Event {
    fn new(happens: impl FnOnce(&mut World) + 'static) -> Self {
        Event(Box::new(happens))
    }

    pub(crate) fn happen(self, world: &mut World) {
        (self.0)(world);
    }
}

macro_rules! events {
    ($($name:ident($($argument:ident),+);)+) => {$(
        #[doc = concat!("See [`World::", stringify!($name), "`].")]
        pub fn $name($($argument: &'static str),+) -> Event {
            Event::new(move |world| world.$name($($argument),+))
        }
    )+};
}

events! {
    crash(host);
    bounce(host);
    hold(a, b);
    release(a, b);
    partition(a, b);
    repair(a, b);
    move_name(name, host);
    shut_down(relay);
}
