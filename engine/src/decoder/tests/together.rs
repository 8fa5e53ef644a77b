//! A generation writes and traces the same bits alone and among others, whoever comes and goes, on any number of threads.

use super::super::together::{Chosen, advance};
use super::*;
use crate::bench::random_weights;
use candle_core::DType;

/// Lengths of prompts: one position, parts of blocks, several blocks.
const PROMPTS: [usize; 5] = [300, 1, 40, 700, 257];
const STEPS: usize = 4;

/// What a generation came to in one step: logits, then every signal.
type Bits = Vec<u32>;

/// Token of generation `k` in its step `step`.
fn token(k: usize, step: usize) -> u32 {
    ((k * 131 + step * 17) % 768) as u32
}

fn bits(session: &mut dyn Session, chosen: u32) -> Bits {
    let attention = session.attention().expect("attention");
    session.hold(chosen, &[0, 2]).expect("holds");
    let gradients = session.gradients().expect("gradients").remove(0);
    let rows = [
        session.logits(),
        &attention.attmean,
        &attention.attraw,
        &attention.layers,
        &gradients.attgrads,
        &gradients.added,
    ];
    let values = rows.into_iter().flatten();
    values.map(|value| value.to_bits()).collect()
}

fn begin(decoder: &Decoder, k: usize) -> Box<dyn Session + '_> {
    let ids: Vec<u32> = (0..PROMPTS[k] as u32)
        .map(|at| (at * 37 + k as u32 * 11) % 768)
        .collect();
    let positions: Vec<Position> = (0..ids.len() as u32)
        .map(|i| [i, i / 3, i / (k as u32 + 2)])
        .collect();
    let embeds = decoder.embed(&ids).expect("embeds");
    let start = Start {
        embeds: &embeds,
        positions: &positions,
        next_position: ids.len() as u32,
        max_new_tokens: STEPS,
        wanted: Wanted::Everything,
    };
    let begun = decoder.begin(&start, &mut |_, _| true).expect("runs");
    begun.expect("is not stopped")
}

/// One step of all of them, and what each came to.
fn stepped(chosen: &mut [Chosen<'_, '_>]) -> Vec<Bits> {
    for advanced in advance(chosen) {
        advanced.expect("advances");
    }
    let each = chosen.iter_mut();
    each.map(|(session, id)| bits(*session, *id)).collect()
}

/// One step of those generations that `here` names, each having done `done` steps; `expected` by generation and step.
fn step_of(
    here: &[usize],
    sessions: &mut [Box<dyn Session + '_>],
    done: &mut [usize],
    expected: &[Vec<Bits>],
) {
    let mut chosen = Vec::new();
    for (k, session) in sessions.iter_mut().enumerate() {
        if here.contains(&k) {
            chosen.push((session.as_mut(), token(k, done[k])));
        }
    }
    let stepped = stepped(&mut chosen);
    let mut here: Vec<usize> = here.to_vec();
    here.sort_unstable();
    for (k, own) in here.iter().zip(stepped) {
        assert_eq!(own, expected[*k][done[*k]], "generation {k}, {here:?}");
        done[*k] += 1;
    }
}

/// Alone, together, and coming and going: all alike. Gives everything that was compared.
fn compared(decoder: &Decoder) -> Vec<Vec<Bits>> {
    let mut sessions: Vec<_> = (0..PROMPTS.len()).map(|k| begin(decoder, k)).collect();
    let mut expected = Vec::new();
    for (k, session) in sessions.iter_mut().enumerate() {
        let mut steps = Vec::new();
        for step in 0..STEPS {
            session.advance(token(k, step)).expect("advances");
            steps.push(bits(session.as_mut(), token(k, step)));
        }
        expected.push(steps);
    }
    let all: &[usize] = &[0, 1, 2, 3, 4];
    let rounds: [[&[usize]; STEPS]; 4] = [
        [&[3]; STEPS],
        [&[0, 2]; STEPS],
        [all; STEPS],
        // They come and go between steps.
        [&[1], &[4, 1, 0], all, &[2, 4]],
    ];
    for round in rounds {
        let mut done = [0; PROMPTS.len()];
        for session in &mut sessions {
            session.rewind(Wanted::Everything);
        }
        for here in round {
            step_of(here, &mut sessions, &mut done, &expected);
        }
    }
    expected
}

#[test]
fn company_changes_not_one_bit() {
    for dtype in [DType::F32, DType::BF16, DType::F16] {
        for head_norms in [false, true] {
            let vb = random_weights(dtype, &Device::Cpu);
            let decoder = Decoder::load(&vb, shape(head_norms), rope()).expect("loads");
            compared(&decoder);
        }
    }
}

#[test]
fn a_token_that_is_none_stops_nobody_else() {
    let vb = random_weights(DType::F32, &Device::Cpu);
    let decoder = Decoder::load(&vb, shape(false), rope()).expect("loads");
    let mut sessions: Vec<_> = (0..2).map(|_| begin(&decoder, 2)).collect();
    let (first, second) = sessions.split_at_mut(1);
    let mut chosen: Vec<Chosen<'_, '_>> = vec![(first[0].as_mut(), 768), (second[0].as_mut(), 7)];
    let advanced = advance(&mut chosen);
    assert!(advanced[0].is_err() && advanced[1].is_ok());
    let together = second[0].logits().to_vec();
    let mut alone = begin(&decoder, 2);
    alone.advance(7).expect("advances");
    assert_eq!(alone.logits(), together);
}

#[test]
fn more_than_one_step_holds_are_taken_in_turns_and_tensors_one_by_one() {
    let vb = random_weights(DType::BF16, &Device::Cpu);
    let loops = Decoder::load(&vb, shape(false), rope()).expect("loads");
    let vb = random_weights(DType::F32, &Device::Cpu);
    let tensors = Decoder::load_as_on_a_device(&vb, shape(false), rope()).expect("loads");
    for (decoder, count) in [(&loops, crate::cpu::MOST + 3), (&tensors, 2)] {
        let mut sessions: Vec<_> = (0..count).map(|_| begin(decoder, 2)).collect();
        let mut chosen: Vec<_> = (sessions.iter_mut())
            .map(|session| (session.as_mut(), 7))
            .collect();
        let stepped = stepped(&mut chosen);
        assert!(stepped.iter().all(|own| *own == stepped[0]));
    }
}

/// Run by the next test in processes of their own, as the number of threads is fixed at the start.
#[test]
#[ignore = "a part of the next test"]
fn print_digest() {
    let mut bytes = Vec::new();
    for dtype in [DType::F32, DType::BF16] {
        let vb = random_weights(dtype, &Device::Cpu);
        let decoder = Decoder::load(&vb, shape(true), rope()).expect("loads");
        for bits in compared(&decoder).iter().flatten().flatten() {
            bytes.extend(bits.to_le_bytes());
        }
    }
    println!("digest {}", media::content_hash(&bytes));
}

#[test]
fn nor_do_threads() {
    let digest = |threads: &str| {
        let name = "decoder::tests::together::print_digest";
        let out = std::process::Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", name, "--ignored", "--nocapture"])
            .env("RAYON_NUM_THREADS", threads)
            .output()
            .expect("runs");
        let text = String::from_utf8(out.stdout).expect("UTF-8");
        let line = text.lines().find(|line| line.contains("digest "));
        let line = line.unwrap_or_default().to_owned();
        assert!(line.len() > 20, "{text}");
        line
    };
    let one = digest("1");
    assert_eq!(one, digest("2"));
    assert_eq!(one, digest("5"));
}
