//! Curation against the paper's function: 10,000 recorded inputs and outputs (`fixtures/curation/make.py`).

use attribution::curation::{CurationConfig, Vote, curate, rank};
use attribution::pos::Upos;
use proptest::prelude::*;

const CASES: &str = include_str!("../../fixtures/curation/cases.txt");

fn parse(line: &str) -> Option<(CurationConfig, Vec<Vote>, Vec<u32>)> {
    let fields: Vec<&str> = line.split('|').collect();
    let [numbers, off, tokens, expected] = fields.as_slice() else {
        return None;
    };
    let numbers: Vec<f64> = numbers
        .split_whitespace()
        .map(|n| n.parse().ok())
        .collect::<Option<_>>()?;
    let [coverage, p_min, run_min, alpha, gamma] = *numbers.as_slice() else {
        return None;
    };
    let on = |switch: &str| !off.split_whitespace().any(|s| s == switch);
    let config = CurationConfig {
        coverage,
        p_min,
        run_min,
        alpha,
        gamma,
        use_pos_weights: on("pos"),
        use_gamma: on("gamma"),
        use_confidence: on("confidence"),
        use_runs: on("runs"),
        use_p_min: on("p_min"),
        ..CurationConfig::default()
    };
    let votes = tokens
        .split_whitespace()
        .map(|token| {
            let parts: Vec<&str> = token.split(':').collect();
            let [unit, tag, confidence] = parts.as_slice() else {
                return None;
            };
            Some(Vote {
                unit: unit.parse().ok()?,
                pos: Upos::from_name(tag)?,
                confidence: confidence.parse().ok()?,
            })
        })
        .collect::<Option<_>>()?;
    let expected = expected
        .split_whitespace()
        .map(|u| u.parse().ok())
        .collect::<Option<_>>()?;
    Some((config, votes, expected))
}

#[test]
fn equals_the_paper_on_ten_thousand_inputs() {
    let mut seen = 0;
    for (number, line) in CASES.lines().enumerate() {
        let (config, votes, expected) =
            parse(line).unwrap_or_else(|| panic!("line {}", number + 1));
        let units: Vec<u32> = curate(&votes, &config).iter().map(|c| c.unit).collect();
        assert_eq!(units, expected, "line {}: {line}", number + 1);
        seen += 1;
    }
    assert_eq!(seen, 10_000);
}

#[test]
fn votes_that_weigh_nothing_cite_nothing() {
    let silent = |pos, confidence| Vote {
        unit: 0,
        pos,
        confidence,
    };
    let config = CurationConfig::default();
    assert!(curate(&[], &config).is_empty());
    assert!(
        curate(
            &[
                silent(Upos::Punct, 0.9),
                silent(Upos::Noun, 0.0),
                silent(Upos::Noun, -1.0)
            ],
            &config
        )
        .is_empty()
    );
    assert!(curate(&[silent(Upos::Noun, f64::NAN)], &config).is_empty());
    let wild = CurationConfig {
        gamma: -1.0,
        ..config
    };
    assert!(curate(&[silent(Upos::Noun, 0.0)], &wild).is_empty());
}

fn votes() -> impl Strategy<Value = Vec<Vote>> {
    let vote = (0u32..6, 0usize..17, -0.2f64..1.0).prop_map(|(unit, tag, confidence)| Vote {
        unit,
        pos: Upos::ALL[tag],
        confidence,
    });
    prop::collection::vec(vote, 0..40)
}

proptest! {
    #[test]
    fn curated_are_distinct_voted_units_in_rank_order(votes in votes(), coverage in 0.0f64..1.2, gamma in 0.0f64..4.0) {
        let config = CurationConfig { coverage, gamma, ..CurationConfig::default() };
        let ranked = rank(&votes, &config);
        let taken = curate(&votes, &config);
        prop_assert!(ranked.iter().all(|c| votes.iter().any(|v| v.unit == c.unit)));
        let mut order = ranked.iter();
        for citation in &taken {
            prop_assert!(order.any(|c| c == citation));
            prop_assert!(citation.run <= citation.mass + 1e-12);
        }
        let total: f64 = ranked.iter().map(|c| c.mass).sum();
        prop_assert!(ranked.is_empty() || (total - 1.0).abs() < 1e-9);
    }
}
