//! The loops against the tensors; untraced steps and rewound generations; decoders with and without norms of heads.

use super::*;
use candle_core::DType;

mod together;

/// A small decoder with (`true`) or without norms of heads; where it has them it has no biases, as in Qwen3.
fn shape(head_norms: bool) -> DecoderShape {
    DecoderShape {
        hidden: 256,
        inner: 704,
        layers: 4,
        heads: 4,
        kv_heads: 2,
        head_dim: 64,
        vocabulary: 768,
        norm_eps: 1e-6,
        tied: false,
        bias: !head_norms,
        head_norms,
    }
}

fn rope() -> Rope {
    Rope::new(64, 1e6, &[8, 12, 12])
}

/// Largest difference, in parts of the largest value.
fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let top = a.iter().fold(1e-12f32, |top, x| top.max(x.abs()));
    let apart = a.iter().zip(b).map(|(a, b)| (a - b).abs() / top);
    apart.fold(0.0, f32::max)
}

/// Rows of layers come up to a factor.
fn mean_of_ones(rows: &[f32]) -> Vec<f32> {
    let mean = rows.iter().sum::<f32>() / rows.len() as f32;
    rows.iter().map(|value| value / mean).collect()
}

/// Logits and signals of a prompt and two tokens after it.
fn run(decoder: &Decoder, prompt: usize) -> Vec<(Vec<f32>, StepAttention, StepGradients)> {
    let ids: Vec<u32> = (0..prompt as u32).map(|i| i * 37 % 256).collect();
    let positions: Vec<Position> = (0..prompt as u32).map(|i| [i, i / 3, i / 7]).collect();
    let embeds = decoder.embed(&ids).expect("embeds");
    let start = Start {
        embeds: &embeds,
        positions: &positions,
        next_position: prompt as u32,
        max_new_tokens: 4,
        wanted: Wanted::Everything,
    };
    let mut session = decoder
        .begin(&start, &mut |_, _| true)
        .expect("runs")
        .expect("is not stopped");
    let mut steps = Vec::new();
    for id in [11, 12, 13] {
        let attention = session.attention().expect("attention");
        session.hold(id, &[1, 2]).expect("holds");
        steps.push((session.logits().to_vec(), attention));
        session.advance(id).expect("advances");
    }
    let gradients = session.gradients().expect("gradients");
    assert_eq!(gradients.len(), steps.len());
    (steps.into_iter().zip(gradients))
        .map(|((logits, attention), gradients)| (logits, attention, gradients))
        .collect()
}

#[test]
fn loops_and_tensors_agree_over_several_blocks() {
    for head_norms in [false, true] {
        let shape = shape(head_norms);
        let vb = crate::bench::random_weights(DType::F32, &Device::Cpu);
        let loops = Decoder::load(&vb, shape, rope()).expect("loads");
        let tensors = Decoder::load_as_on_a_device(&vb, shape, rope()).expect("loads");
        // One token; within a block of keys; over two blocks of rows and three of keys.
        for prompt in [1, 100, 700] {
            for (ours, theirs) in run(&loops, prompt).iter().zip(run(&tensors, prompt)) {
                let pairs = [
                    (&ours.0, &theirs.0),
                    (&ours.1.attmean, &theirs.1.attmean),
                    (&ours.1.attraw, &theirs.1.attraw),
                    (
                        &mean_of_ones(&ours.1.layers),
                        &mean_of_ones(&theirs.1.layers),
                    ),
                    (&ours.2.attgrads, &theirs.2.attgrads),
                    (&ours.2.added, &theirs.2.added),
                ];
                // A single position may well speak against the word.
                assert!(prompt == 1 || ours.2.added.iter().any(|own| *own > 0.0));
                for (index, (ours, theirs)) in pairs.into_iter().enumerate() {
                    let apart = distance(theirs, ours);
                    let case = (head_norms, prompt, index);
                    assert!(apart < 5e-5, "{case:?}: {apart}");
                }
            }
        }
    }
}

#[test]
fn untraced_steps_choose_alike_and_a_rewound_generation_repeats() {
    let vb = crate::bench::random_weights(DType::BF16, &Device::Cpu);
    let decoder = Decoder::load(&vb, shape(true), rope()).expect("loads");
    let ids: Vec<u32> = (0..300).collect();
    let positions: Vec<Position> = ids.iter().map(|&i| [i; 3]).collect();
    let embeds = decoder.embed(&ids).expect("embeds");
    let start = Start {
        embeds: &embeds,
        positions: &positions,
        next_position: 300,
        max_new_tokens: 4,
        wanted: Wanted::Everything,
    };
    let mut session = decoder
        .begin(&start, &mut |_, _| true)
        .expect("runs")
        .expect("is not stopped");
    let (mut logits, mut means) = (Vec::new(), Vec::new());
    let mut gradients: Vec<StepGradients> = Vec::new();
    for wanted in [
        Wanted::Everything,
        Wanted::Nothing,
        Wanted::Means,
        Wanted::Gradients,
        Wanted::Attention,
        Wanted::Values,
    ] {
        session.rewind(wanted);
        session.advance(5).expect("advances");
        session.advance(6).expect("advances");
        logits.push(session.logits().to_vec());
        let scores = session.attention().expect("attention");
        if wanted != Wanted::Nothing {
            means.push([scores.attmean.clone(), scores.attraw.clone()]);
        }
        let rows = if wanted.rows_of_layers() { 4 * 300 } else { 0 };
        assert_eq!(scores.layers.len(), rows, "{wanted:?}");
        session.hold(7, &[1, 3]).expect("holds");
        let own = session.gradients().expect("gradients").remove(0);
        let attgrads = if wanted.gradients() { 300 } else { 0 };
        assert_eq!(own.attgrads.len(), attgrads);
        let added = if wanted.probabilities_of_layers() {
            300
        } else {
            0
        };
        assert_eq!(own.added.len(), added);
        gradients.push(own);
        let mass: f32 = scores.attmean.iter().sum();
        assert_eq!(mass > 0.9, wanted != Wanted::Nothing, "{mass}");
    }
    assert!(logits.iter().all(|l| *l == logits[0]));
    assert!(means.windows(2).all(|pair| pair[0] == pair[1]));
    let alike = |of: fn(&StepGradients) -> &Vec<f32>| {
        let there: Vec<_> = gradients
            .iter()
            .map(of)
            .filter(|own| !own.is_empty())
            .collect();
        there.len() == 2 && there[0] == there[1]
    };
    assert!(alike(|own| &own.attgrads) && alike(|own| &own.added));
}

#[test]
fn held_steps_come_to_the_bits_of_each_alone() {
    for dtype in [DType::F32, DType::BF16] {
        let vb = crate::bench::random_weights(dtype, &Device::Cpu);
        let decoder = Decoder::load(&vb, shape(false), rope()).expect("loads");
        let ids: Vec<u32> = (0..530).map(|i| i * 37 % 768).collect();
        let positions: Vec<Position> = (0..530).map(|i| [i, i / 3, i / 7]).collect();
        let embeds = decoder.embed(&ids).expect("embeds");
        let start = Start {
            embeds: &embeds,
            positions: &positions,
            next_position: 530,
            max_new_tokens: 20,
            wanted: Wanted::Everything,
        };
        let begun = decoder.begin(&start, &mut |_, _| true).expect("runs");
        let mut session = begun.expect("is not stopped");
        // Layers differ from step to step, the last one among them.
        let layers = |step: usize| [step % 3, 3 - step % 2];
        let mut passes = Vec::new();
        for held in [1, 3, 8, 11] {
            session.rewind(Wanted::Everything);
            let mut all = Vec::new();
            for step in 0..11 {
                session.advance(step as u32 * 5).expect("advances");
                let chosen = step as u32 * 13 + 1;
                session.hold(chosen, &layers(step)).expect("holds");
                if step % held == held - 1 {
                    all.extend(session.gradients().expect("gradients"));
                }
            }
            all.extend(session.gradients().expect("gradients"));
            assert_eq!(all.len(), 11);
            passes.push(all);
        }
        assert!(passes.iter().all(|pass| *pass == passes[0]));
        let some = |own: &[f32]| own.iter().any(|value| *value > 0.0);
        assert!(
            passes[0]
                .iter()
                .all(|own| some(&own.attgrads) && some(&own.added))
        );
        // What was held when a generation was rewound is forgotten.
        session.hold(1, &[0]).expect("holds");
        session.rewind(Wanted::Everything);
        assert_eq!(session.gradients().expect("gradients"), []);
    }
}
