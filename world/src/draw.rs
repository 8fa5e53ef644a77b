//! What a sample may be made of: draws facts, looks, sounds and voices within its split.

use crate::Split;
use crate::attributes::{Colour, Look, Shape};
use crate::rng::Rng;
use crate::sound::Event;
use crate::speech::{VOICES, Voice};
use crate::vocabulary::{NAMES, OBJECTS, PLACES, VERBS};

/// Somebody did something somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fact {
    pub name: &'static str,
    pub verb: &'static str,
    pub object: &'static str,
    pub place: &'static str,
}

impl Fact {
    /// `lost a boat at the school`.
    pub(crate) fn deed(self) -> String {
        format!("{} a {} at the {}", self.verb, self.object, self.place)
    }

    /// The sentence word by word, as it is spoken.
    pub(crate) fn words(self) -> [&'static str; 7] {
        [
            self.name,
            self.verb,
            "a",
            self.object,
            "at",
            "the",
            self.place,
        ]
    }
}

/// Whether training never shows this shape in this colour (one colour of each shape).
#[must_use]
pub fn look_is_held_out(look: Look) -> bool {
    // 3 is coprime to 8: each shape loses one colour, each colour one shape.
    (look.shape as usize * 3 + 2) % 8 == look.colour as usize
}

/// Whether training never shows this person with this thing; indices into the vocabulary's lists.
#[must_use]
pub fn deed_is_held_out(name: usize, object: usize) -> bool {
    (name * 3 + 1) % 8 == object
}

/// Whether training never lets `next` follow `previous` directly; indices into [`Event::ALL`].
#[must_use]
pub fn succession_is_held_out(previous: usize, next: usize) -> bool {
    (previous + 5) % Event::ALL.len() == next
}

/// Draws attributes for one sample and keeps its promise: none held out in `Train` and `Eval`, at least one in `Heldout`.
#[derive(Debug)]
pub(crate) struct Draw {
    split: Split,
    /// Whether something held out was drawn.
    pub held_out: bool,
}

impl Draw {
    pub(crate) fn new(split: Split) -> Self {
        Self {
            split,
            held_out: false,
        }
    }

    /// Whether the draw now due takes a held-out combination: the first one of a `Heldout` sample does, later ones at random.
    fn wants_held_out(&self, rng: &mut Rng) -> bool {
        self.split == Split::Heldout && (!self.held_out || rng.chance(0.3))
    }

    /// Draws until the combination is on the wanted side. Every combination has a positive chance, so this ends.
    fn until<T>(
        &mut self,
        rng: &mut Rng,
        mut draw: impl FnMut(&mut Rng) -> T,
        held_out: impl Fn(&T) -> bool,
    ) -> T {
        let wanted = self.wants_held_out(rng);
        loop {
            let drawn = draw(rng);
            if held_out(&drawn) == wanted {
                self.held_out |= wanted;
                return drawn;
            }
        }
    }

    pub(crate) fn look(&mut self, rng: &mut Rng) -> Look {
        self.until(
            rng,
            |rng| Look {
                shape: Shape::ALL[rng.below(8)],
                colour: Colour::ALL[rng.below(8)],
            },
            |&look| look_is_held_out(look),
        )
    }

    pub(crate) fn fact(&mut self, rng: &mut Rng) -> Fact {
        let (name, object) = self.until(
            rng,
            |rng| (rng.below(8), rng.below(8)),
            |&(name, object)| deed_is_held_out(name, object),
        );
        Fact {
            name: NAMES[name],
            verb: VERBS[rng.below(8)],
            object: OBJECTS[object],
            place: PLACES[rng.below(8)],
        }
    }

    /// A voice; in `Heldout` samples half of the time one that training never hears, elsewhere one that it knows.
    pub(crate) fn voice(&mut self, rng: &mut Rng) -> Voice {
        let wanted = self.split == Split::Heldout && rng.chance(0.5);
        let able: Vec<Voice> = VOICES
            .into_iter()
            .filter(|voice| voice.held_out == wanted)
            .collect();
        self.held_out |= wanted && !able.is_empty();
        rng.choose(&able).copied().unwrap_or(VOICES[0])
    }

    /// `count` distinct events in their order.
    pub(crate) fn events(&mut self, count: usize, rng: &mut Rng) -> Vec<Event> {
        let wanted = self.wants_held_out(rng) && count > 1;
        loop {
            let mut order: Vec<usize> = (0..Event::ALL.len()).collect();
            rng.shuffle(&mut order);
            order.truncate(count);
            let held_out = order
                .windows(2)
                .any(|pair| succession_is_held_out(pair[0], pair[1]));
            if held_out == wanted {
                self.held_out |= wanted;
                return order.into_iter().map(|k| Event::ALL[k]).collect();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Draw, deed_is_held_out, look_is_held_out, succession_is_held_out};
    use crate::Split;
    use crate::attributes::{Colour, Look, Shape};
    use crate::rng::Rng;

    #[test]
    fn one_combination_in_eight_or_twelve_is_held_out() {
        let mut per_colour = [0; 8];
        for shape in Shape::ALL {
            for colour in Colour::ALL {
                per_colour[colour as usize] +=
                    usize::from(look_is_held_out(Look { shape, colour }));
            }
        }
        assert_eq!(per_colour, [1; 8]);
        for name in 0..8 {
            assert_eq!((0..8).filter(|&o| deed_is_held_out(name, o)).count(), 1);
        }
        for previous in 0..12 {
            let held = (0..12).filter(|&n| succession_is_held_out(previous, n));
            assert_eq!(held.count(), 1);
        }
    }

    #[test]
    fn held_out_voices_speak_in_held_out_samples_alone() {
        let rng = &mut Rng::new(1);
        for split in Split::ALL {
            let held_out = (0..200)
                .filter(|_| Draw::new(split).voice(rng).held_out)
                .count();
            match split {
                Split::Heldout => assert!((60..140).contains(&held_out), "{held_out}"),
                _ => assert_eq!(held_out, 0, "{split:?}"),
            }
        }
    }
}
