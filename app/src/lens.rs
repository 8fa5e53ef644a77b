//! How a record is looked at: the method, the size of the pieces that are explained, the parts of a picture that are named.
//! In: a record and a URL's query. Out: the same lens again, or the query that stands for it; only what differs from the
//! record is written.

use attribution::curation::{Competition, CurationConfig};
use attribution::record::{ChunkSize, Method, Record, SignalKind, UnitScore};
use attribution::resize::Size;

/// Finest named parts of a picture: 4 x 4.
pub const MAX_REGIONS: u32 = 4;

/// How a record is looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Lens {
    /// Signal, unit score, curation.
    pub method: Method,
    /// What is explained at once.
    pub size: Size,
    /// Pictures are named by parts of `regions` x `regions`; 0: by boxes around the hottest patches.
    pub regions: u32,
}

/// A number among the parameters: its key in the URL, its label, its bounds and step, and where it is kept.
pub struct Parameter {
    /// In the URL.
    pub key: &'static str,
    /// On the page.
    pub label: &'static str,
    /// What it does, in one sentence.
    pub about: &'static str,
    /// Largest value; the smallest is 0.
    pub max: f64,
    /// Of the slider.
    pub step: f64,
    /// Where it is kept.
    pub of: fn(&mut CurationConfig) -> &mut f64,
}

/// Every number of the curation.
pub const PARAMETERS: [Parameter; 6] = [
    Parameter {
        key: "coverage",
        label: "Coverage",
        about: "Sources are taken until their shares add up to this.",
        max: 1.0,
        step: 0.01,
        of: |c| &mut c.coverage,
    },
    Parameter {
        key: "p_min",
        label: "Smallest share",
        about: "A source with less is skipped, unless it has a strong run.",
        max: 0.5,
        step: 0.01,
        of: |c| &mut c.p_min,
    },
    Parameter {
        key: "run_min",
        label: "Strong run",
        about: "A run of tokens with at least this share counts as strong.",
        max: 0.5,
        step: 0.01,
        of: |c| &mut c.run_min,
    },
    Parameter {
        key: "alpha",
        label: "Share against run",
        about: "1 ranks by share alone, 0 by the longest run alone.",
        max: 1.0,
        step: 0.05,
        of: |c| &mut c.alpha,
    },
    Parameter {
        key: "gamma",
        label: "Confidence exponent",
        about: "How much more a sure token counts than an unsure one.",
        max: 4.0,
        step: 0.1,
        of: |c| &mut c.gamma,
    },
    Parameter {
        key: "reach",
        label: "Reach in time",
        about: "A vote for a second goes to its neighbours too, if they score at most this much less. 0: to the second alone.",
        max: 1.0,
        step: 0.05,
        of: |c| &mut c.reach,
    },
];

/// A part of the curation that can be switched off.
pub struct Part {
    /// In the URL's list `off`.
    pub key: &'static str,
    /// On the page.
    pub label: &'static str,
    /// Where it is kept.
    pub of: fn(&mut CurationConfig) -> &mut bool,
}

/// Every part, as in the paper's table 3.
pub const PARTS: [Part; 5] = [
    Part {
        key: "pos",
        label: "Weights by part of speech",
        of: |c| &mut c.use_pos_weights,
    },
    Part {
        key: "confidence",
        label: "Confidence",
        of: |c| &mut c.use_confidence,
    },
    Part {
        key: "gamma",
        label: "Confidence exponent",
        of: |c| &mut c.use_gamma,
    },
    Part {
        key: "runs",
        label: "Runs",
        of: |c| &mut c.use_runs,
    },
    Part {
        key: "p_min",
        label: "Skipping of small shares",
        of: |c| &mut c.use_p_min,
    },
];

impl Lens {
    /// As the record was made.
    pub fn recorded(record: &Record) -> Self {
        let clauses = (record.receipt.settings.as_ref())
            .is_some_and(|settings| settings.chunk == ChunkSize::Clause);
        Self {
            method: record.method.clone(),
            size: if clauses {
                Size::Clause
            } else {
                Size::Sentence
            },
            regions: 0,
        }
    }

    /// As a link says; what it does not say, or says wrongly, is as recorded.
    pub fn from_query(record: &Record, query: &str) -> Self {
        let mut lens = Self::recorded(record);
        let curation = &mut lens.method.curation;
        for (key, value) in pairs(query) {
            match key {
                "signal" => {
                    let kind = value.parse::<SignalKind>().ok();
                    let known =
                        |kind: &SignalKind| record.signals.iter().any(|s| s.signal == *kind);
                    if let Some(kind) = kind.filter(known) {
                        lens.method.signal = kind;
                    }
                }
                "score" => {
                    if let Ok(score) = value.parse::<UnitScore>() {
                        lens.method.unit_score = score;
                    }
                }
                "prompt" => lens.method.cite_prompt = value == "1",
                "compete" => {
                    let mut ways = Competition::WAYS.into_iter();
                    if let Some(way) = ways.find(|way| way.name() == value) {
                        curation.competition = way;
                    }
                }
                "chunk" => lens.size = Size::from_name(value).unwrap_or(lens.size),
                "regions" => {
                    lens.regions = value.parse().unwrap_or(0).min(MAX_REGIONS);
                }
                "off" => {
                    for part in &PARTS {
                        *(part.of)(curation) = !value.split(',').any(|off| off == part.key);
                    }
                }
                _ => {
                    if let Some(parameter) = PARAMETERS.iter().find(|p| p.key == key)
                        && let Ok(number) = value.parse::<f64>()
                        && (0.0..=parameter.max).contains(&number)
                    {
                        *(parameter.of)(curation) = number;
                    }
                }
            }
        }
        lens
    }

    /// The query that stands for this lens, without `?`; empty where it is as recorded.
    pub fn query(&self, recorded: &Self) -> String {
        let mut out = Vec::new();
        let mut note = |key: &str, value: String| out.push(format!("{key}={value}"));
        let (own, was) = (&self.method, &recorded.method);
        if own.signal != was.signal {
            note("signal", own.signal.name().to_owned());
        }
        if own.unit_score != was.unit_score {
            note("score", own.unit_score.name().to_owned());
        }
        if own.cite_prompt != was.cite_prompt {
            note("prompt", u8::from(own.cite_prompt).to_string());
        }
        if own.curation.competition != was.curation.competition {
            note("compete", own.curation.competition.name().to_owned());
        }
        if self.size != recorded.size {
            note("chunk", self.size.name().to_owned());
        }
        if self.regions != recorded.regions {
            note("regions", self.regions.to_string());
        }
        let (mut own, mut was) = (own.curation.clone(), was.curation.clone());
        for parameter in &PARAMETERS {
            let number = *(parameter.of)(&mut own);
            if number != *(parameter.of)(&mut was) {
                note(parameter.key, format!("{number}"));
            }
        }
        let off = |config: &mut CurationConfig| -> Vec<&str> {
            (PARTS
                .iter()
                .filter(|part| !*(part.of)(config))
                .map(|part| part.key))
            .collect()
        };
        let (own, was) = (off(&mut own), off(&mut was));
        if own != was {
            note("off", own.join(","));
        }
        out.join("&")
    }
}

/// Keys and values of a query, `?` or not. Nothing that this page writes needs escapes.
pub fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = query.trim_start_matches('?').split('&');
    pairs.filter_map(|pair| pair.split_once('='))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shown::tests::record;

    #[test]
    fn a_link_brings_back_the_lens_that_it_was_made_from() {
        let record = record();
        let recorded = Lens::recorded(&record);
        assert_eq!(recorded.query(&recorded), "");
        let mut lens = recorded.clone();
        lens.method.signal = SignalKind::AttGrads;
        lens.method.unit_score = UnitScore::Mean;
        lens.method.cite_prompt = true;
        lens.method.curation.coverage = 0.62;
        lens.method.curation.gamma = 0.0;
        lens.method.curation.use_runs = false;
        lens.method.curation.use_p_min = false;
        lens.method.curation.competition = Competition::Apart;
        lens.size = Size::Clause;
        lens.regions = 3;
        let query = lens.query(&recorded);
        assert_eq!(
            query,
            "signal=attgrads&score=mean&prompt=1&compete=apart&chunk=clause&regions=3&coverage=0.62&gamma=0&off=runs,p_min"
        );
        assert_eq!(Lens::from_query(&record, &format!("?s=1&{query}")), lens);
    }

    #[test]
    fn nonsense_in_a_link_changes_nothing() {
        let record = record();
        let query = "?signal=best&score=&coverage=7&gamma=NaN&p_min=-1&alpha&=&chunk=word&regions=x&off=everything";
        assert_eq!(Lens::from_query(&record, query), Lens::recorded(&record));
        assert_eq!(
            Lens::from_query(&record, "regions=900").regions,
            MAX_REGIONS
        );
    }
}
