//! Tests of the sounds: determinism, levels, lengths, and that the events can be told apart.

use super::{EVENT_PEAK, Event, MAX_DURATION_SECS, SAMPLE_RATE_HZ, background, render};
use crate::rng::Rng;

/// FNV-1a over the exact bits.
fn hash(sound: &[f32]) -> u64 {
    sound
        .iter()
        .flat_map(|x| x.to_bits().to_le_bytes())
        .fold(0xCBF2_9CE4_8422_2325, |h, b| {
            (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01B3)
        })
}

fn rms(sound: &[f32]) -> f64 {
    let sum: f64 = sound.iter().map(|x| f64::from(x * x)).sum();
    (sum / sound.len().max(1) as f64).sqrt()
}

/// The sounds are part of the training data: they change on purpose only, and then these numbers change too.
#[test]
fn every_event_sounds_bit_for_bit_as_recorded() {
    let found: Vec<(&str, u64)> = Event::ALL
        .iter()
        .map(|&e| (e.name(), hash(&render(e, 1.25, &mut Rng::new(17)))))
        .collect();
    let recorded: Vec<(&str, u64)> = vec![
        ("bell", 0xEDC1_531F_E8EA_A104),
        ("siren", 0xF6FD_5784_6810_C63A),
        ("horn", 0xA0E3_BD6A_7EDE_979A),
        ("clapping", 0xB146_DC59_6C9F_DD2A),
        ("knocking", 0x73BB_1E6A_8E68_9672),
        ("chirping", 0x405A_601C_3522_09BE),
        ("barking", 0xBFEB_7873_90CF_946E),
        ("engine", 0x5861_264E_1F38_31B5),
        ("alarm", 0x9E3F_F391_3BA7_94E4),
        ("whistle", 0x214A_F14C_DC78_E7D6),
        ("drum", 0x71EE_44DF_E27D_0422),
        ("rain", 0x2B80_6D27_1678_1653),
    ];
    assert_eq!(found, recorded);
}

#[test]
fn seeds_vary_the_sound() {
    for event in Event::ALL {
        assert_ne!(
            hash(&render(event, 0.8, &mut Rng::new(1))),
            hash(&render(event, 0.8, &mut Rng::new(2))),
            "{event:?}"
        );
    }
}

#[test]
fn length_and_peak_are_exact_and_ends_are_gentle() {
    for event in Event::ALL {
        for (k, secs) in [0.05, 0.3, 0.777, 2.0, 3.5].into_iter().enumerate() {
            let sound = render(event, secs, &mut Rng::new(k as u64));
            assert_eq!(
                sound.len(),
                (secs * f64::from(SAMPLE_RATE_HZ)).round() as usize,
                "{event:?} {secs}"
            );
            let peak = sound.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
            assert!(
                (peak - EVENT_PEAK).abs() < 1e-4,
                "{event:?} {secs}: peak {peak}"
            );
            assert!(
                sound[0].abs() < 0.05 && sound[sound.len() - 1].abs() < 0.05,
                "{event:?} {secs}: clicks at an end"
            );
        }
    }
}

/// An answer's support is the event's whole interval, so it must be heard from its start to near its end.
#[test]
fn events_are_heard_throughout_their_interval() {
    for event in Event::ALL {
        for seed in 0..8 {
            let sound = render(event, 2.0, &mut Rng::new(seed));
            let first = rms(&sound[..3_200]);
            let last = rms(&sound[sound.len() - 9_600..]);
            assert!(
                first > 0.01 && last > 0.01,
                "{event:?} seed {seed}: first 0.2 s {first:.4}, last 0.6 s {last:.4}"
            );
        }
    }
}

#[test]
fn odd_lengths_do_not_panic() {
    for event in Event::ALL {
        let mut rng = Rng::new(5);
        for secs in [0.0, -1.0, f64::NAN, f64::NEG_INFINITY] {
            assert!(render(event, secs, &mut rng).is_empty(), "{event:?} {secs}");
            assert!(background(secs, 0.005, &mut rng).is_empty());
        }
        for n in 1..40 {
            assert_eq!(
                render(event, f64::from(n) / 16_000.0, &mut rng).len(),
                n as usize,
                "{event:?}"
            );
        }
    }
    let long = background(f64::INFINITY, 0.005, &mut Rng::new(0));
    assert_eq!(long.len(), (MAX_DURATION_SECS * 16_000.0) as usize);
}

#[test]
fn background_has_the_asked_level_and_is_mild() {
    for (seed, level) in [(1, 0.002), (2, 0.005), (3, 0.01)] {
        let sound = background(2.0, level, &mut Rng::new(seed));
        assert!((rms(&sound) / level - 1.0).abs() < 1e-3);
        assert!(sound.iter().all(|x| f64::from(x.abs()) < 8.0 * level));
    }
    assert!(
        background(0.1, f64::NAN, &mut Rng::new(1))
            .iter()
            .all(|x| *x == 0.0)
    );
}

#[test]
fn names_are_distinct_and_lead_back() {
    for event in Event::ALL {
        assert_eq!(Event::from_name(event.name()), Some(event));
        assert!(event.with_article().ends_with(event.name()));
    }
    assert_eq!(Event::from_name("trumpet"), None);
}

/// Log energy in 14 bands (Goertzel-free: a bank of two-pole filters), mean and spread over 10 ms blocks.
fn features(sound: &[f32]) -> Vec<f64> {
    let mut features = Vec::new();
    for k in 0..14 {
        let hz = 80.0 * (7_000.0_f64 / 80.0).powf(f64::from(k) / 13.0);
        let mut filter = super::synth::Filter::band(hz, 3.0);
        let filtered: Vec<f64> = sound.iter().map(|&x| filter.run(f64::from(x))).collect();
        let logs: Vec<f64> = filtered
            .chunks(160)
            .map(|b| (b.iter().map(|x| x * x).sum::<f64>() / b.len() as f64 + 1e-7).log10())
            .collect();
        let mean = logs.iter().sum::<f64>() / logs.len() as f64;
        let spread =
            (logs.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / logs.len() as f64).sqrt();
        features.extend([mean, spread]);
    }
    features
}

/// If the nearest centroid of plain band energies finds the event, a model can.
#[test]
fn events_are_told_apart_in_background_noise_by_simple_band_energies() {
    let noisy = |event: Event, seed: u64| {
        let mut rng = Rng::new(seed);
        let secs = rng.range_f64(0.7, 1.3);
        let mut sound = render(event, secs, &mut rng);
        let noise = background(secs, 0.013, &mut rng);
        for (x, n) in sound.iter_mut().zip(noise) {
            *x += n;
        }
        features(&sound)
    };
    let centroids: Vec<Vec<f64>> = Event::ALL
        .iter()
        .map(|&event| {
            let examples: Vec<Vec<f64>> = (0..12).map(|seed| noisy(event, seed)).collect();
            (0..28)
                .map(|k| examples.iter().map(|f| f[k]).sum::<f64>() / 12.0)
                .collect()
        })
        .collect();
    let mut right = 0;
    let mut wrong = Vec::new();
    for (label, &event) in Event::ALL.iter().enumerate() {
        for seed in 1_000..1_020 {
            let f = noisy(event, seed);
            let distance = |c: &[f64]| {
                c.iter()
                    .zip(&f)
                    .map(|(a, b)| (a - b) * (a - b))
                    .sum::<f64>()
            };
            let nearest = (0..12)
                .min_by(|&a, &b| distance(&centroids[a]).total_cmp(&distance(&centroids[b])));
            if nearest == Some(label) {
                right += 1;
            } else {
                wrong.push((event, nearest.map(|n| Event::ALL[n])));
            }
        }
    }
    assert!(right >= 235, "{right} of 240 right; wrong: {wrong:?}");
}
