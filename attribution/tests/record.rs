//! Records: what is live, what is stored and what is re-curated are the same; old ones load, broken ones are refused.
#![cfg(all(feature = "sentences", feature = "tagger"))]
#![allow(clippy::unwrap_used, reason = "tests")]

mod sample;

use attribution::AttributionError;
use attribution::curation::{Competition, CurationConfig, recurate};
use attribution::heat::cell_values;
use attribution::record::*;
use attribution::{label, score};

fn methods() -> Vec<Method> {
    let mut out = Vec::new();
    for signal in SignalKind::ALL {
        for unit_score in UnitScore::ALL {
            for cite_prompt in [false, true] {
                for competition in [Competition::All, Competition::Together, Competition::Apart] {
                    for reach in [0.0, 0.7] {
                        let curation = CurationConfig {
                            competition,
                            reach,
                            ..CurationConfig::default()
                        };
                        out.push(Method {
                            signal,
                            unit_score,
                            cite_prompt,
                            curation,
                        });
                    }
                }
            }
        }
    }
    out
}

#[test]
fn live_stored_and_recurated_are_one() {
    for method in methods() {
        let (record, closed) = sample::traced(&method);
        assert_eq!(record.response, sample::ANSWER.concat());
        assert_eq!(closed.len(), record.chunks.len());
        for (k, chunk) in closed.iter().enumerate() {
            assert_eq!(chunk.index as usize, k);
            assert_eq!(chunk.chunk, record.chunks[k]);
            assert_eq!(chunk.attribution, record.attributions[k]);
            assert_eq!(chunk.heat, record.signals[method.signal.index()].heat[k]);
        }
        let read = Record::from_json(&record.to_json().unwrap()).unwrap();
        assert_eq!(read, record);
        assert_eq!(recurate(&read, &method), record.attributions);
    }
}

/// A record made under one method re-curates to what the engine would have said under any other.
#[test]
fn one_record_holds_every_method() {
    let (record, _) = sample::traced(&Method::default());
    for method in methods() {
        let (other, _) = sample::traced(&method);
        assert_eq!(recurate(&record, &method), other.attributions, "{method:?}");
    }
}

/// The winner among the few masses kept is the winner among all units.
#[test]
fn kept_masses_hold_the_winner() {
    let layout = sample::layout();
    let (record, _) = sample::traced(&Method::default());
    for step in 0..record.tokens.len() {
        for signal in SignalKind::ALL {
            let scores = sample::scores(&layout, step, signal.index());
            let all = score::unit_masses(&scores, &layout.unit_of, layout.units.len());
            let kept = &record.signals[signal.index()].tokens[step];
            assert!(kept.len() < all.len());
            for rule in UnitScore::ALL {
                let best = |masses: &[UnitMass]| {
                    let value =
                        |m: &UnitMass| rule.of(m.1, m.2, layout.units[m.0 as usize].positions);
                    masses
                        .iter()
                        .max_by(|a, b| value(a).total_cmp(&value(b)))
                        .unwrap()
                        .0
                };
                assert_eq!(best(kept), best(&all), "step {step} {signal} {rule:?}");
            }
        }
    }
}

#[test]
fn chunks_tags_and_labels_of_the_sample() {
    let (record, _) = sample::traced(&Method {
        cite_prompt: true,
        ..Method::default()
    });
    let texts: Vec<&str> = record
        .chunks
        .iter()
        .map(|c| &record.response[c.start as usize..c.end as usize])
        .collect();
    assert_eq!(
        texts,
        [
            "The red boat is in the upper left. ",
            "Then a bell rings after 2 seconds.\n",
            "1. Trains."
        ]
    );
    let tags: Vec<&str> = record.tokens.iter().map(|t| t.pos.name()).collect();
    assert_eq!(
        tags[..9],
        [
            "DET", "ADJ", "NOUN", "AUX", "ADP", "DET", "ADJ", "NOUN", "PUNCT"
        ]
    );
    // Both pieces of "Trains" carry its tag; the special token none.
    assert_eq!(tags[19], tags[20]);
    assert_eq!(tags[22], "X");
    let labels: Vec<String> = [1, 3, 4, 7, 8]
        .map(|unit| label::unit_label(&record, unit))
        .to_vec();
    assert_eq!(
        labels,
        ["T2", "Image 1", "0:00-0:01", "0:03.0-0:03.3", "0:00-0:01"]
    );
    assert_eq!(label::unit_label(&record, 999), "?");
}

#[test]
fn heat_maps_are_whole() {
    let (record, _) = sample::traced(&Method::default());
    let maps: Vec<&HeatMap> = record
        .signals
        .iter()
        .flat_map(|s| s.heat.iter().flatten())
        .collect();
    assert!(!maps.is_empty());
    for map in maps {
        let values = cell_values(map);
        assert_eq!(values.len(), (map.grid.rows * map.grid.cols) as usize);
        assert!(values.contains(&1.0));
        for b in &map.boxes {
            let r = b.rect_in_source;
            assert!(
                0.0 <= r.x0
                    && r.x0 < r.x1
                    && r.x1 <= 1.0
                    && 0.0 <= r.y0
                    && r.y0 < r.y1
                    && r.y1 <= 1.0
            );
            assert!(b.share > 0.0 && b.share <= 1.0);
        }
    }
}

/// Every version ever shipped loads. `OMNITRACE_BLESS=1` writes the current version's file anew.
#[test]
fn golden_records_load() {
    let path = |version: u32| {
        let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
        format!("{tests}/v{version}.json")
    };
    let (record, _) = sample::traced(&Method::default());
    if std::env::var_os("OMNITRACE_BLESS").is_some() {
        std::fs::write(path(RECORD_VERSION), record.to_json().unwrap()).unwrap();
    }
    let read = |version| Record::from_json(&std::fs::read_to_string(path(version)).unwrap());
    let golden = read(RECORD_VERSION).unwrap();
    assert_eq!(golden, record);
    assert_eq!(recurate(&golden, &golden.method), golden.attributions);

    // Version 2: five signals, and votes without reach.
    let second = read(2).unwrap();
    let (short, _) = sample::traced(&second.method);
    assert_eq!(second.method.curation.reach, 0.0);
    assert_eq!(second.signals, short.signals[..5]);
    assert_eq!(second.attributions, short.attributions);
    assert_eq!(recurate(&second, &second.method), second.attributions);

    // Version 1: the paper's three signals, curated as the paper does; what they say has not changed.
    let (mut paper, _) = sample::traced(&Method::paper());
    for signal in &mut paper.signals {
        // Those records are older than this field.
        signal.inside.clear();
    }
    let first = read(1).unwrap();
    assert_eq!(first.signals, paper.signals[..3]);
    assert_eq!(first.attributions, paper.attributions);
    assert_eq!(recurate(&first, &first.method), first.attributions);
    let newer = Method {
        signal: SignalKind::AttFocus,
        ..Method::default()
    };
    assert!(
        recurate(&first, &newer)
            .iter()
            .all(|own| own.cited.is_empty())
    );
}

#[test]
fn other_versions_and_damage_are_refused() {
    let (record, _) = sample::traced(&Method::default());
    let json = record.to_json().unwrap();
    let newer = json.replacen("\"version\":3", "\"version\":4", 1);
    assert!(matches!(
        Record::from_json(&newer),
        Err(AttributionError::RecordVersion {
            found: 4,
            newest: 3
        })
    ));
    assert!(matches!(
        Record::from_json("{\"version\":0}"),
        Err(AttributionError::RecordVersion { found: 0, .. })
    ));
    assert!(matches!(
        Record::from_json("{}"),
        Err(AttributionError::RecordJson(_))
    ));
    assert!(matches!(
        Record::from_json(&json[..json.len() / 2]),
        Err(AttributionError::RecordJson(_))
    ));
    let broken: [fn(&mut Record); 6] = [
        |r| r.units[0].source = 99,
        |r| r.chunks[1].start += 1,
        |r| r.tokens[0].end = 10_000,
        |r| {
            r.attributions[0].cited.push(Citation {
                unit: 99,
                score: 1.0,
                mass: 1.0,
                run: 1.0,
            })
        },
        |r| r.signals[0].tokens[0].push(UnitMass(99, 1.0, 1.0)),
        |r| r.signals[1].heat.clear(),
    ];
    for damage in broken {
        let mut damaged = record.clone();
        damage(&mut damaged);
        let json = serde_json::to_string(&damaged).unwrap();
        assert!(matches!(
            Record::from_json(&json),
            Err(AttributionError::RecordDamaged(_))
        ));
    }
}

#[test]
fn a_number_too_large_for_its_place_is_refused() {
    // JSON holds it; an f32 does not, and what was read could not be written again.
    let (record, _) = sample::traced(&Method::default());
    let mut marked = record.clone();
    marked.signals[0].tokens[0][0].1 = 0.0625;
    let json = marked.to_json().unwrap();
    assert!(json.contains("0.0625"));
    assert!(matches!(
        Record::from_json(&json.replacen("0.0625", "9.8e50", 1)),
        Err(AttributionError::RecordDamaged(_))
    ));
}
