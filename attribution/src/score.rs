//! Unit scores: one step's signal over prompt positions becomes a mass per source unit.
//! In: `a_t[position]` and the unit of each position. Out: per unit sum and largest value; a score under any rule.

use crate::record::{Extent, Modality, Source, Track, Unit, UnitMass, UnitScore};

/// A modality, with the two tracks of a film apart: the groups within which votes are curated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Group {
    /// Text units, the prompt's among them.
    Text,
    /// Pictures and their regions.
    Image,
    /// Sounds.
    Audio,
    /// The pictures of films.
    Picture,
    /// The sound of films.
    Sound,
}

impl Group {
    /// Every group, in citation order.
    pub const ALL: [Self; 5] = [
        Self::Text,
        Self::Image,
        Self::Audio,
        Self::Picture,
        Self::Sound,
    ];

    /// Position in [`Group::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// What it is part of.
    pub fn modality(self) -> Modality {
        match self {
            Self::Text => Modality::Text,
            Self::Image => Modality::Image,
            Self::Audio => Modality::Audio,
            Self::Picture | Self::Sound => Modality::Video,
        }
    }
}

/// The group of a unit.
pub fn group(source: &Source, unit: &Unit) -> Group {
    match (source.modality(), &unit.extent) {
        (Modality::Text, _) => Group::Text,
        (Modality::Image, _) => Group::Image,
        (Modality::Audio, _) => Group::Audio,
        (
            Modality::Video,
            Extent::Time {
                track: Track::Sound,
                ..
            },
        ) => Group::Sound,
        (Modality::Video, _) => Group::Picture,
    }
}

impl UnitScore {
    /// Every rule, in the order in which a page offers them.
    pub const ALL: [Self; 3] = [Self::Sum, Self::Max, Self::Mean];

    /// The name used in records, flags and URLs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Max => "max",
            Self::Mean => "mean",
        }
    }

    /// The score of a unit with these masses over that many positions.
    ///
    /// DIFFERENCE: the released package takes the unit of the single strongest position, which is `Max` here; its
    /// paper's Algorithm 1 sums over the unit, which is the default.
    pub fn of(self, sum: f32, max: f32, positions: u32) -> f64 {
        match self {
            Self::Sum => f64::from(sum),
            Self::Max => f64::from(max),
            Self::Mean if positions == 0 => 0.0,
            Self::Mean => f64::from(sum) / f64::from(positions),
        }
    }
}

impl std::str::FromStr for UnitScore {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|rule| rule.name() == name)
            .ok_or_else(|| format!("no unit score {name:?}: choose sum, max or mean"))
    }
}

/// Per unit `[unit, sum, max]` of one step; positions without a unit and values that are not positive count nothing.
pub fn unit_masses(scores: &[f32], unit_of: &[Option<u32>], units: usize) -> Vec<UnitMass> {
    let mut sums = vec![0f64; units];
    let mut maxima = vec![0f32; units];
    for (&score, unit) in scores.iter().zip(unit_of) {
        if let Some(unit) = unit
            && score > 0.0
            && score.is_finite()
        {
            let unit = *unit as usize;
            sums[unit] += f64::from(score);
            maxima[unit] = maxima[unit].max(score);
        }
    }
    (0u32..)
        .zip(sums)
        .zip(maxima)
        .map(|((unit, sum), max)| UnitMass(unit, sum as f32, max))
        .collect()
}
