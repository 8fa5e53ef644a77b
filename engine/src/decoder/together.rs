//! A step of several generations: those that read the same weights on the CPU in one pass, others one after another.
//! In: sessions, each with the token that was chosen for it. Out: what each would have come to alone, bit for bit.

use super::rope::{Position, Rope};
use crate::EngineError;
use crate::cpu::{CpuDecoder, CpuState, MOST, RotaryTables, Turn};
use crate::model::Session;

/// A generation's place in a step that others take with it.
pub(crate) struct Seat<'s> {
    pub(super) decoder: &'s CpuDecoder,
    pub(super) rope: &'s Rope,
    pub(super) state: &'s mut CpuState,
    /// Of the token that is fed next.
    pub(super) position: &'s mut u32,
}

/// A session and the token chosen for it.
pub(crate) type Chosen<'s, 'a> = (&'s mut (dyn Session + 'a), u32);

/// Feeds each generation its token. One that cannot be fed says so alone.
pub(crate) fn advance(chosen: &mut [Chosen<'_, '_>]) -> Vec<Result<(), EngineError>> {
    let mut all = unanswered(chosen.len());
    let (mut seated, alone) = seats(chosen);
    for group in &mut seated {
        if feed(group).is_ok() {
            continue;
        }
        // Nothing was fed: whose token it is will be found.
        for taken in group {
            let at = taken.at;
            all[at] = feed(std::slice::from_mut(taken)).map_err(EngineError::from);
        }
    }
    for at in alone {
        let (session, id) = &mut chosen[at];
        all[at] = session.advance(*id);
    }
    all
}

/// One answer each, to be filled in.
fn unanswered<T: Default>(count: usize) -> Vec<Result<T, EngineError>> {
    (0..count).map(|_| Ok(T::default())).collect()
}

/// A seat that is taken, and the place of its generation among those given.
struct Taken<'s> {
    at: usize,
    seat: Seat<'s>,
    id: u32,
}

/// Those that step together, by decoder and at most [`MOST`]; and the places of those that step alone.
fn seats<'s>(chosen: &'s mut [Chosen<'_, '_>]) -> (Vec<Vec<Taken<'s>>>, Vec<usize>) {
    let (mut groups, mut alone): (Vec<Vec<Taken<'s>>>, _) = (Vec::new(), Vec::new());
    for (at, (session, id)) in chosen.iter_mut().enumerate() {
        let Some(seat) = session.seat() else {
            alone.push(at);
            continue;
        };
        let taken = Taken { at, seat, id: *id };
        let room = |group: &&mut Vec<Taken<'_>>| {
            group.len() < MOST && std::ptr::eq(group[0].seat.decoder, taken.seat.decoder)
        };
        match groups.iter_mut().find(room) {
            Some(group) => group.push(taken),
            None => groups.push(vec![taken]),
        }
    }
    (groups, alone)
}

/// One step of generations of one decoder.
fn feed(group: &mut [Taken<'_>]) -> candle_core::Result<()> {
    let Some(first) = group.first() else {
        return Ok(());
    };
    let (decoder, rope) = (first.seat.decoder, first.seat.rope);
    let ids: Vec<u32> = group.iter().map(|taken| taken.id).collect();
    let positions: Vec<Position> = (group.iter())
        .map(|taken| [*taken.seat.position; 3])
        .collect();
    let rotary = RotaryTables::new(&rope.angles(&positions), rope.width());
    let embeds = decoder.embed(&ids)?;
    let width = embeds.len() / group.len();
    let mut turns: Vec<Turn<'_>> = (group.iter_mut().enumerate())
        .map(|(k, taken)| Turn {
            state: &mut *taken.seat.state,
            embed: &embeds[k * width..(k + 1) * width],
            cos: rotary.cos(k),
            sin: rotary.sin(k),
        })
        .collect();
    decoder.step(&mut turns);
    for taken in group {
        *taken.seat.position += 1;
    }
    Ok(())
}
