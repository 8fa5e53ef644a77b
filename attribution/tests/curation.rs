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
    let votes = (0..)
        .zip(tokens.split_whitespace())
        .map(|(number, token)| {
            let parts: Vec<&str> = token.split(':').collect();
            let [unit, tag, confidence] = parts.as_slice() else {
                return None;
            };
            Some(Vote {
                unit: unit.parse().ok()?,
                pos: Upos::from_name(tag)?,
                confidence: confidence.parse().ok()?,
                part: 1.0,
                token: number,
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
        part: 1.0,
        token: 0,
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
    // One token may vote twice, for two seconds of a stretch.
    let vote =
        (0u32..6, 0usize..17, -0.2f64..1.0, 0u32..2).prop_map(|(unit, tag, confidence, next)| {
            let vote = Vote {
                unit,
                pos: Upos::ALL[tag],
                confidence,
                part: 1.0,
                token: 0,
            };
            (vote, next)
        });
    prop::collection::vec(vote, 0..40).prop_map(|votes| {
        let mut token = 0;
        let numbered = votes.into_iter().map(|(vote, next)| {
            token += next;
            Vote { token, ..vote }
        });
        numbered.collect()
    })
}

#[test]
fn a_run_goes_on_where_a_stretch_shares_the_vote() {
    let vote = |token, unit, part| Vote {
        unit,
        pos: Upos::Noun,
        confidence: 1.0,
        part,
        token,
    };
    // Two tokens for the stretch of 3 and 4, one for 7, one for 4 alone.
    let votes = [
        vote(0, 3, 0.5),
        vote(0, 4, 0.5),
        vote(1, 4, 0.75),
        vote(1, 3, 0.25),
        vote(2, 7, 1.0),
        vote(3, 4, 1.0),
    ];
    let ranked = rank(&votes, &CurationConfig::default());
    let of = |unit: u32| {
        let own = ranked.iter().filter(|own| own.unit == unit);
        own.map(|own| (own.mass * 4.0, own.run * 4.0))
            .collect::<Vec<_>>()
    };
    assert_eq!(of(3), [(0.75, 0.75)]);
    assert_eq!(of(4), [(2.25, 1.25)]);
    assert_eq!(of(7), [(1.0, 1.0)]);
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
