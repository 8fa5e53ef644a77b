//! How each event is made. Every recipe fills `n` samples and draws pitch, rate and timbre from its own range.
//!
//! The events are kept apart on purpose: each owns a register and a rhythm that no other one has (see the table in `mod.rs`).

use super::synth::{Decay, Filter, Phase, RATE, beats, fade, mix, noise, samples};
use crate::rng::Rng;

/// A church bell: inharmonic partials, each stroke ringing into the next.
pub(super) fn bell(n: usize, rng: &mut Rng) -> Vec<f64> {
    let hz = rng.range_f64(480.0, 720.0);
    // Ratios and weights of hum, prime, tierce, quint, nominal and the partials above.
    let partials = [
        (0.5, 0.5),
        (1.0, 0.9),
        (1.19, 0.7),
        (1.5, 0.3),
        (2.0, 1.0),
        (2.74, 0.5),
        (3.76, 0.35),
        (5.1, 0.2),
    ];
    let tau = rng.range_f64(0.55, 0.8);
    let mut out = vec![0.0; n];
    for beat in beats(n, rng.range_f64(0.75, 1.15), 0.03, rng) {
        let mut hit = vec![0.0; (n - beat.at).min(samples(3.0))];
        for (ratio, weight) in partials {
            let mut phase = Phase::random(rng);
            let detuned = hz * ratio * rng.range_f64(0.997, 1.003);
            let mut ring = Decay::new(tau / libm::sqrt(ratio));
            for x in &mut hit {
                *x += weight * ring.step() * phase.sine(detuned);
            }
        }
        fade(&mut hit, 0.002, 0.3);
        mix(&mut out, beat.at, &hit);
    }
    out
}

/// A siren: one rich tone that wails slowly up and down.
pub(super) fn siren(n: usize, rng: &mut Rng) -> Vec<f64> {
    let (low, high) = (rng.range_f64(480.0, 600.0), rng.range_f64(1_250.0, 1_550.0));
    let mut wail = Phase::random(rng);
    let wail_hz = 1.0 / rng.range_f64(0.8, 1.3);
    let weights = [1.0, 0.15, 0.35, 0.1, rng.range_f64(0.1, 0.25)];
    let mut tone = Phase::default();
    (0..n)
        .map(|_| {
            let up = 0.5 - 0.5 * libm::cos(core::f64::consts::TAU * wail.step(wail_hz));
            tone.harmonics(low * libm::pow(high / low, up), &weights)
        })
        .collect()
}

/// A car horn: a steady chord of two bright tones, in long blasts.
pub(super) fn horn(n: usize, rng: &mut Rng) -> Vec<f64> {
    let hz = rng.range_f64(290.0, 370.0);
    let second = hz * rng.range_f64(1.24, 1.27);
    let brightness = rng.range_f64(0.8, 0.88);
    let mut weight = 1.0;
    let weights: Vec<f64> = (0..18)
        .map(|_| {
            weight *= brightness;
            weight
        })
        .collect();
    let mut out = vec![0.0; n];
    for beat in beats(n, rng.range_f64(0.8, 1.2), 0.1, rng) {
        // A short rest between blasts; none where the beat is too short for one.
        let length = beat
            .length
            .saturating_sub(samples(rng.range_f64(0.1, 0.16)));
        let length = if length * 2 < beat.length {
            beat.length
        } else {
            length
        };
        let (mut a, mut b) = (Phase::random(rng), Phase::random(rng));
        let mut blast: Vec<f64> = (0..length)
            .map(|_| a.harmonics(hz, &weights) + 0.9 * b.harmonics(second, &weights))
            .collect();
        fade(&mut blast, 0.015, 0.03);
        mix(&mut out, beat.at, &blast);
    }
    out
}

/// A few people clapping: sharp bursts of noise in the middle of the spectrum.
pub(super) fn clapping(n: usize, rng: &mut Rng) -> Vec<f64> {
    let mut out = vec![0.0; n];
    let step = rng.range_f64(0.19, 0.27);
    for _ in 0..rng.between(2, 3) {
        let centre = rng.range_f64(1_100.0, 1_700.0);
        for beat in beats(n, step * rng.range_f64(0.96, 1.04), 0.1, rng) {
            let late = samples(rng.range_f64(0.0, 0.018));
            let mut body = Filter::band(centre * rng.range_f64(0.92, 1.08), 1.3);
            let mut fall = Decay::new(rng.range_f64(0.012, 0.02));
            let loud = rng.range_f64(0.7, 1.0);
            let hit: Vec<f64> = (0..samples(0.11))
                .map(|_| loud * body.run(noise(rng)) * fall.step())
                .collect();
            mix(&mut out, beat.at + late, &hit);
        }
    }
    out
}

/// Knuckles on a wooden door: groups of short, dull knocks.
pub(super) fn knocking(n: usize, rng: &mut Rng) -> Vec<f64> {
    let hz = rng.range_f64(330.0, 460.0);
    let mut out = vec![0.0; n];
    let gap = rng.range_f64(0.13, 0.17);
    let per_group = rng.between(3, 4);
    for group in beats(
        n,
        gap * per_group as f64 + rng.range_f64(0.16, 0.24),
        0.03,
        rng,
    ) {
        for k in 0..per_group {
            let at = group.at + samples(gap * k as f64 * rng.range_f64(0.98, 1.02));
            if at + samples(0.05) > group.at + group.length && k > 0 {
                break;
            }
            let (mut wood, mut panel) = (Phase::default(), Phase::default());
            let (mut fall, mut slow, mut click) =
                (Decay::new(0.016), Decay::new(0.03), Decay::new(0.002));
            let mut dull = Filter::low(1_600.0);
            let hit: Vec<f64> = (0..samples(0.16))
                .map(|_| {
                    let knock =
                        fall.step() * wood.sine(hz * 1.9) * 0.7 + slow.step() * panel.sine(hz);
                    knock + 1.2 * dull.run(noise(rng) * click.step())
                })
                .collect();
            mix(&mut out, at, &hit);
        }
    }
    out
}

/// A small bird: quick bright glides, two to four in a phrase.
pub(super) fn chirping(n: usize, rng: &mut Rng) -> Vec<f64> {
    let base = rng.range_f64(4_000.0, 4_900.0);
    let span = rng.range_f64(1_000.0, 1_700.0);
    let rising = rng.chance(0.5);
    let each = rng.range_f64(0.07, 0.1);
    let per_phrase = rng.between(3, 4);
    let mut out = vec![0.0; n];
    for phrase in beats(
        n,
        (each + 0.035) * per_phrase as f64 + rng.range_f64(0.08, 0.16),
        0.03,
        rng,
    ) {
        for k in 0..per_phrase {
            let at = phrase.at + samples((each + 0.035) * k as f64);
            let length = samples(each * rng.range_f64(0.9, 1.1));
            if at + length > phrase.at + phrase.length && k > 0 {
                break;
            }
            let mut tone = Phase::default();
            let mut hit: Vec<f64> = (0..length)
                .map(|i| {
                    let along = i as f64 / length as f64;
                    let up = if rising { along } else { 1.0 - along };
                    tone.sine(base + span * up * up)
                })
                .collect();
            fade(&mut hit, 0.02, 0.03);
            mix(&mut out, at, &hit);
        }
    }
    out
}

/// A dog: hoarse voiced barks, the pitch jumping up and falling, through two resonances of a throat.
pub(super) fn barking(n: usize, rng: &mut Rng) -> Vec<f64> {
    let hz = rng.range_f64(330.0, 480.0);
    let (throat, mouth) = (
        rng.range_f64(850.0, 1_050.0),
        rng.range_f64(1_900.0, 2_300.0),
    );
    let weights: Vec<f64> = (1..=16).map(|k| 1.0 / f64::from(k)).collect();
    let mut out = vec![0.0; n];
    for beat in beats(n, rng.range_f64(0.34, 0.46), 0.06, rng) {
        let length = samples(rng.range_f64(0.17, 0.22)).min(beat.length.max(1));
        let mut voice = Phase::default();
        let (mut low, mut high) = (Filter::band(throat, 2.5), Filter::band(mouth, 3.0));
        let mut bark: Vec<f64> = (0..length)
            .map(|i| {
                let along = i as f64 / length as f64;
                // Up in the first fifth, then down by a third.
                let bend = if along < 0.2 {
                    0.8 + 2.0 * along
                } else {
                    1.2 - 0.65 * (along - 0.2)
                };
                let source = voice.harmonics(hz * bend, &weights) + 0.35 * noise(rng);
                let shape = libm::exp(-2.2 * along);
                shape * (low.run(source) + 0.7 * high.run(source) + 0.08 * source)
            })
            .collect();
        fade(&mut bark, 0.012, 0.05);
        mix(&mut out, beat.at, &bark);
    }
    out
}

/// A motor: a low buzz of firing cylinders, its speed drifting a little.
pub(super) fn engine(n: usize, rng: &mut Rng) -> Vec<f64> {
    let hz = rng.range_f64(45.0, 75.0);
    let mut drift = Phase::random(rng);
    let drift_hz = rng.range_f64(0.3, 0.7);
    let mut firing = Phase::default();
    let mut uneven = Phase::random(rng);
    let (mut muffler, mut body, mut air) = (
        Filter::low(420.0),
        Filter::band(rng.range_f64(130.0, 190.0), 1.0),
        Filter::low(700.0),
    );
    (0..n)
        .map(|_| {
            let speed = hz * (1.0 + 0.08 * drift.sine(drift_hz));
            let turn = firing.step(speed);
            // One sharp push per turn; every other one a little weaker.
            let push = libm::exp(-9.0 * turn) * (1.0 + 0.25 * uneven.sine(speed / 2.0));
            let x = push - 0.11 + 0.12 * noise(rng) * (0.4 + push);
            muffler.run(x) + 1.4 * body.run(x) + 0.3 * air.run(x)
        })
        .collect()
}

/// An alarm clock: groups of hard, even beeps on one pitch.
pub(super) fn alarm(n: usize, rng: &mut Rng) -> Vec<f64> {
    let hz = rng.range_f64(1_850.0, 2_250.0);
    let weights = [1.0, 0.0, rng.range_f64(0.3, 0.5)];
    let mut out = vec![0.0; n];
    for beat in beats(n, rng.range_f64(0.15, 0.19), 0.0, rng) {
        let length = beat.length * 11 / 20;
        let mut tone = Phase::default();
        let mut beep: Vec<f64> = (0..length).map(|_| tone.harmonics(hz, &weights)).collect();
        fade(&mut beep, 0.004, 0.006);
        mix(&mut out, beat.at, &beep);
    }
    out
}

/// A referee's whistle: a high breathy tone whose pea flutters fast, in long blows.
pub(super) fn whistle(n: usize, rng: &mut Rng) -> Vec<f64> {
    let hz = rng.range_f64(2_900.0, 3_300.0);
    let flutter_hz = rng.range_f64(24.0, 34.0);
    let mut out = vec![0.0; n];
    for beat in beats(n, rng.range_f64(0.7, 1.1), 0.1, rng) {
        let length = beat.length.saturating_sub(samples(0.1));
        let length = if length * 2 < beat.length {
            beat.length
        } else {
            length
        };
        let (mut tone, mut upper, mut pea) =
            (Phase::default(), Phase::default(), Phase::random(rng));
        let mut breath = Filter::band(hz * 1.05, 4.0);
        let mut blow: Vec<f64> = (0..length)
            .map(|_| {
                let swing = pea.sine(flutter_hz);
                let now = hz * (1.0 + 0.035 * swing);
                (0.75 + 0.25 * swing) * (tone.sine(now) + 0.6 * upper.sine(now * 1.11))
                    + 0.5 * breath.run(noise(rng))
            })
            .collect();
        fade(&mut blow, 0.03, 0.05);
        mix(&mut out, beat.at, &blow);
    }
    out
}

/// A deep drum: slow booming strokes whose pitch drops.
pub(super) fn drum(n: usize, rng: &mut Rng) -> Vec<f64> {
    let hz = rng.range_f64(70.0, 100.0);
    let tau = rng.range_f64(0.11, 0.16);
    let mut out = vec![0.0; n];
    for beat in beats(n, rng.range_f64(0.36, 0.5), 0.03, rng) {
        let loud = rng.range_f64(0.8, 1.0);
        let (mut skin, mut rim) = (Phase::default(), Phase::default());
        let (mut fall, mut drop, mut slap) =
            (Decay::new(tau), Decay::new(0.035), Decay::new(0.012));
        let mut dull = Filter::low(900.0);
        let mut hit: Vec<f64> = (0..samples(0.6))
            .map(|_| {
                let now = hz * (1.0 + 1.1 * drop.step());
                let stick = slap.step();
                loud * (fall.step() * (skin.sine(now) + 0.25 * rim.sine(now * 1.59))
                    + 0.8 * stick * dull.run(noise(rng)))
            })
            .collect();
        fade(&mut hit, 0.003, 0.1);
        mix(&mut out, beat.at, &hit);
    }
    out
}

/// Rain on a roof: an even bright hiss with many small drops.
pub(super) fn rain(n: usize, rng: &mut Rng) -> Vec<f64> {
    let (mut floor, mut air) = (
        Filter::high(rng.range_f64(1_500.0, 2_200.0)),
        Filter::low(6_800.0),
    );
    let mut out: Vec<f64> = (0..n).map(|_| air.run(floor.run(noise(rng)))).collect();
    let drops = (n as f64 / RATE * rng.range_f64(30.0, 50.0)) as usize;
    for _ in 0..drops {
        let hz = rng.range_f64(2_000.0, 6_000.0);
        let at = rng.below(n);
        let mut tone = Phase::random(rng);
        let mut fall = Decay::new(0.004);
        let hit: Vec<f64> = (0..samples(0.02))
            .map(|_| 0.35 * fall.step() * tone.sine(hz))
            .collect();
        mix(&mut out, at, &hit);
    }
    out
}
