//! Source curation: a chunk's token votes become a few sources (paper, appendix A.1), with every switch of its table 3.
//! In: token traces of one chunk with tags and confidences; or a whole record and a method. Out: cited units.
//!
//! Pure f64 in insertion order, `pow` from `libm`: the server, the command line and the page compute the same bits.

use serde::{Deserialize, Serialize};

use crate::pos::Upos;
use crate::record::{
    Chunk, ChunkAttribution, Citation, Method, Modality, Record, SignalKind, Source, SourceRole,
    Token, Unit, UnitMass, UnitScore,
};
use crate::score::{self, Group};
use crate::time;

/// The paper's parameters and the switches of its ablation. Fields missing from JSON take their default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CurationConfig {
    /// Sources are taken until their shares sum to this.
    pub coverage: f64,
    /// A source with a smaller share is skipped, unless its run is strong.
    pub p_min: f64,
    /// A run with at least this share is strong.
    pub run_min: f64,
    /// Weight of the share against the run in the ranking.
    pub alpha: f64,
    /// Exponent of the confidence.
    pub gamma: f64,
    /// Off: every tag counts 1 (table 3, "w/o POS Weighting").
    pub use_pos_weights: bool,
    /// Off: the exponent is 1 (table 3, "w/o Confidence Weight").
    pub use_gamma: bool,
    /// Off: every token's confidence is 1 (table 3, "w/o Confidence").
    pub use_confidence: bool,
    /// Off: the ranking is by share alone and no run is strong (table 3, "w/o Run Coherence").
    pub use_runs: bool,
    /// Off: nothing is skipped (table 3, "w/o p_min Filtering").
    pub use_p_min: bool,
    /// Which units a token's trace is chosen from.
    pub competition: Competition,
    /// A second of a sound or film is no source by itself but a slice of one: a vote for it goes to the stretch of slices around
    /// it whose scores are less than this share below its own. 0, the paper's: to the one slice alone.
    pub reach: f64,
}

impl Default for CurationConfig {
    /// The paper's.
    fn default() -> Self {
        Self {
            coverage: 0.85,
            p_min: 0.07,
            run_min: 0.10,
            alpha: 0.8,
            gamma: 2.0,
            use_pos_weights: true,
            use_gamma: true,
            use_confidence: true,
            use_runs: true,
            use_p_min: true,
            competition: Competition::All,
            reach: 0.0,
        }
    }
}

/// Which units compete for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Competition {
    /// All of them: a token is traced to one unit (the paper's Algorithm 1; the package for images and text).
    #[default]
    All,
    /// All of them, and a chunk's votes are curated as one: a source needs its share of the whole chunk, not of what its
    /// modality got.
    Together,
    /// Those of each modality and track apart: a token votes once in each (the package for sound and film).
    Apart,
}

impl Competition {
    /// Every way, the paper's first.
    pub const WAYS: [Self; 3] = [Self::All, Self::Together, Self::Apart];

    /// The name used in records, flags and URLs.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Together => "together",
            Self::Apart => "apart",
        }
    }
}

impl Default for Method {
    /// What new traces use: the paper's, but curated together, with votes for stretches (DESIGN.md has the numbers).
    fn default() -> Self {
        Self {
            curation: CurationConfig {
                competition: Competition::Together,
                reach: 0.7,
                ..CurationConfig::default()
            },
            ..Self::paper()
        }
    }
}

impl Method {
    /// The paper's: votes are curated within each modality.
    pub fn paper() -> Self {
        Self {
            signal: SignalKind::AttMean,
            unit_score: UnitScore::Sum,
            cite_prompt: false,
            curation: CurationConfig::default(),
        }
    }
}

/// One token's vote, or a part of it: the unit it was traced to, its tag, and its confidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Vote {
    /// The unit with the highest score, or one of the stretch around it.
    pub unit: u32,
    /// The token's part of speech.
    pub pos: Upos,
    /// The score of the unit, or of the whole stretch.
    pub confidence: f64,
    /// Which part of the token's vote this is: 1 but in a stretch.
    pub part: f64,
    /// The token; its parts stand together.
    pub token: u32,
}

impl CurationConfig {
    /// What one token's vote counts. Never negative, never NaN; a wild gamma may make it 0.
    pub fn vote_weight(&self, pos: Upos, confidence: f64) -> f64 {
        let semantic = if self.use_pos_weights {
            pos.weight()
        } else {
            1.0
        };
        let gamma = if self.use_gamma { self.gamma } else { 1.0 };
        let confidence = match (self.use_confidence, confidence.max(0.0)) {
            (false, _) => 1.0,
            // Multiplication rounds better than any `pow`; these two exponents are the usual ones.
            (true, c) if gamma == 2.0 => c * c,
            (true, c) if gamma == 1.0 => c,
            (true, c) => libm::pow(c, gamma),
        };
        let weight = semantic * confidence;
        if weight.is_finite() { weight } else { 0.0 }
    }
}

/// Every unit voted for, with share, heaviest run and score, strongest first; the first seen wins a tie.
/// Empty when the votes weigh nothing.
pub fn rank(votes: &[Vote], config: &CurationConfig) -> Vec<Citation> {
    let weights: Vec<f64> = votes
        .iter()
        .map(|v| config.vote_weight(v.pos, v.confidence) * v.part)
        .collect();
    let total = weights.iter().fold(0.0, |sum, w| sum + w);
    // Finite weights may still sum to infinity: then shares mean nothing.
    if !(total > 0.0 && total.is_finite()) {
        return Vec::new();
    }
    // A chunk has few distinct units: a list in first-seen order serves as the map. With each, the run that it is in, and which
    // voter was its last.
    let mut ranked: Vec<(Citation, f64, usize)> = Vec::new();
    let (mut voters, mut token) = (0, None);
    for (vote, &weight) in votes.iter().zip(&weights) {
        if token.replace(vote.token) != Some(vote.token) {
            voters += 1;
        }
        match ranked.iter_mut().find(|own| own.0.unit == vote.unit) {
            Some((entry, run, last)) => {
                *run = if *last + 1 >= voters {
                    *run + weight
                } else {
                    weight
                };
                *last = voters;
                entry.mass += weight;
                // Weights are never negative, so the longest prefix of a run is its heaviest.
                entry.run = entry.run.max(*run);
            }
            None => {
                let entry = Citation {
                    unit: vote.unit,
                    score: 0.0,
                    mass: weight,
                    run: weight,
                };
                ranked.push((entry, weight, voters));
            }
        }
    }
    let mut ranked: Vec<Citation> = ranked.into_iter().map(|own| own.0).collect();
    let alpha = if config.use_runs { config.alpha } else { 1.0 };
    for entry in &mut ranked {
        entry.mass /= total;
        entry.run /= total;
        entry.score = alpha * entry.mass + (1.0 - alpha) * entry.run;
    }
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score));
    ranked
}

/// The paper's `CurateSourcesWithConf`: the strongest units until `coverage` is reached, weak ones skipped.
pub fn curate(votes: &[Vote], config: &CurationConfig) -> Vec<Citation> {
    let mut taken = Vec::new();
    let mut covered = 0.0;
    for entry in rank(votes, config) {
        let strong_run = config.use_runs && entry.run >= config.run_min;
        if config.use_p_min && entry.mass < config.p_min && !strong_run {
            continue;
        }
        covered += entry.mass;
        taken.push(entry);
        if covered >= config.coverage {
            break;
        }
    }
    taken
}

/// The sources of every chunk of a record under any method: what the server, the command line and the page all call.
/// `recurate(r, &r.method) == r.attributions` for every record made here.
pub fn recurate(record: &Record, method: &Method) -> Vec<ChunkAttribution> {
    let Some(trace) = record.signals.iter().find(|s| s.signal == method.signal) else {
        return vec![ChunkAttribution::default(); record.chunks.len()];
    };
    let curator = Curator::new(&record.sources, &record.units, method);
    record
        .chunks
        .iter()
        .map(|chunk| curator.chunk(&record.response, chunk, &record.tokens, &trace.tokens))
        .collect()
}

/// Curates chunk after chunk under one method; what is known of the units is computed once.
pub struct Curator<'a> {
    sources: &'a [Source],
    units: &'a [Unit],
    /// Per unit: its group, or none where it may not be cited.
    groups: Vec<Option<Group>>,
    /// Per unit: the slices before and after it; empty where votes have no reach.
    beside: Vec<[Option<u32>; 2]>,
    method: &'a Method,
}

impl<'a> Curator<'a> {
    /// For these units and this method.
    pub fn new(sources: &'a [Source], units: &'a [Unit], method: &'a Method) -> Self {
        let groups = units
            .iter()
            .map(|unit| {
                let source = sources.get(unit.source as usize)?;
                let citable = method.cite_prompt || source.role != SourceRole::Prompt;
                citable.then(|| score::group(source, unit))
            })
            .collect();
        Self {
            sources,
            units,
            groups,
            beside: if method.curation.reach > 0.0 {
                time::slices_beside(sources, units)
            } else {
                Vec::new()
            },
            method,
        }
    }

    /// The votes of the tokens `chunk.token_start..chunk.token_end`, each with its group, in token order.
    /// A token without visible text (special, white space) does not vote.
    pub fn votes(
        &self,
        response: &str,
        chunk: &Chunk,
        tokens: &[Token],
        masses: &[Vec<UnitMass>],
    ) -> Vec<(Group, Vote)> {
        let mut votes = Vec::new();
        for index in chunk.token_start as usize..chunk.token_end as usize {
            let (Some(token), Some(masses)) = (tokens.get(index), masses.get(index)) else {
                break;
            };
            let text = response
                .get(token.start as usize..token.end as usize)
                .unwrap_or_default();
            if text.trim().is_empty() {
                continue;
            }
            let mut cast = |of: Option<Group>| {
                if let Some((unit, confidence)) = self.winner(masses, of)
                    && let Some(group) = self.groups[unit as usize]
                {
                    let (parts, confidence) = self.stretch(masses, unit, confidence);
                    votes.extend(parts.into_iter().map(|(unit, part)| {
                        let vote = Vote {
                            unit,
                            pos: token.pos,
                            confidence,
                            part,
                            token: index as u32,
                        };
                        (group, vote)
                    }));
                }
            };
            match self.method.curation.competition {
                Competition::All | Competition::Together => cast(None),
                Competition::Apart => Group::ALL.into_iter().for_each(|group| cast(Some(group))),
            }
        }
        votes
    }

    /// A vote for a slice as one for the stretch around it: its units, each with its part, and the score of them all. Every
    /// other unit stands alone.
    fn stretch(&self, masses: &[UnitMass], unit: u32, score: f64) -> (Vec<(u32, f64)>, f64) {
        let rule = self.method.unit_score;
        let mut parts = vec![(unit, 1.0)];
        let (Some(beside), Some(own)) = (
            self.beside.get(unit as usize),
            masses.iter().find(|mass| mass.0 == unit),
        ) else {
            return (parts, score);
        };
        parts[0].1 = score;
        let least = score * (1.0 - self.method.curation.reach.min(1.0));
        let positions = |unit: u32| self.units[unit as usize].positions;
        let (mut sum, mut max, mut count) = (own.1, own.2, positions(unit));
        for (side, first) in beside.iter().enumerate() {
            let mut at = *first;
            while let Some(next) = at
                && let Some(mass) = masses.iter().find(|mass| mass.0 == next)
            {
                let value = rule.of(mass.1, mass.2, positions(next));
                if !(value > 0.0 && value >= least) {
                    break;
                }
                parts.push((next, value));
                (sum, max) = (sum + mass.1, max.max(mass.2));
                count = count.saturating_add(positions(next));
                at = self.beside.get(next as usize).and_then(|own| own[side]);
            }
        }
        let whole: f64 = parts.iter().map(|(_, value)| value).sum();
        parts.iter_mut().for_each(|(_, value)| *value /= whole);
        (parts, rule.of(sum, max, count))
    }

    /// The unit with the highest score (first wins a tie) among those of `group`, or among all; none if nothing scores.
    pub fn winner(&self, masses: &[UnitMass], group: Option<Group>) -> Option<(u32, f64)> {
        let mut best: Option<(u32, f64)> = None;
        for &UnitMass(unit, sum, max) in masses {
            let Some(Some(own)) = self.groups.get(unit as usize) else {
                continue;
            };
            if group.is_some_and(|g| g != *own) {
                continue;
            }
            let value = self
                .method
                .unit_score
                .of(sum, max, self.units[unit as usize].positions);
            if value > best.map_or(0.0, |(_, v)| v) {
                best = Some((unit, value));
            }
        }
        best
    }

    /// The sources of one chunk. Shares are rounded to 1e-6, so that a record reads back as it was written.
    pub fn chunk(
        &self,
        response: &str,
        chunk: &Chunk,
        tokens: &[Token],
        masses: &[Vec<UnitMass>],
    ) -> ChunkAttribution {
        let config = &self.method.curation;
        let votes = self.votes(response, chunk, tokens, masses);
        let of = |wanted: &dyn Fn(Group) -> bool| -> Vec<Citation> {
            let own = votes.iter().filter(|(group, _)| wanted(*group));
            curate(&own.map(|(_, vote)| *vote).collect::<Vec<_>>(), config)
        };
        let taken: Vec<Citation> = match config.competition {
            Competition::Together => of(&|_| true),
            Competition::All | Competition::Apart => (Group::ALL.into_iter())
                .flat_map(|group| of(&move |own| own == group))
                .collect(),
        };
        let mut cited: Vec<(Modality, Citation)> = taken
            .into_iter()
            .filter_map(|own| Some((self.groups[own.unit as usize]?.modality(), own)))
            .collect();
        // Stable: within a film, picture and sound interleave by score.
        cited.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.score.total_cmp(&a.1.score)));
        let cited: Vec<Citation> = cited.into_iter().map(|(_, c)| rounded(c)).collect();
        let intervals = time::cited_intervals(self.sources, self.units, &cited);
        ChunkAttribution { cited, intervals }
    }
}

fn rounded(c: Citation) -> Citation {
    let round = |x: f64| (x * 1e6).round() / 1e6;
    Citation {
        unit: c.unit,
        score: round(c.score),
        mass: round(c.mass),
        run: round(c.run),
    }
}
