//! Universal parts of speech (UPOS) and the paper's weight of each.
//! In: a tag. Out: its name and how much a token with it counts in curation.

use serde::{Deserialize, Serialize};

/// The universal part-of-speech tags, written in upper case as in the UD treebanks.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum Upos {
    /// Adjective.
    Adj,
    /// Adposition.
    Adp,
    /// Adverb.
    Adv,
    /// Auxiliary.
    Aux,
    /// Coordinating conjunction.
    Cconj,
    /// Determiner.
    Det,
    /// Interjection.
    Intj,
    /// Noun.
    Noun,
    /// Numeral.
    Num,
    /// Particle.
    Part,
    /// Pronoun.
    Pron,
    /// Proper noun.
    Propn,
    /// Punctuation.
    Punct,
    /// Subordinating conjunction.
    Sconj,
    /// Symbol.
    Sym,
    /// Verb.
    Verb,
    /// Anything else; also what is not a word.
    #[default]
    X,
}

impl Upos {
    /// Every tag, in alphabetical order.
    pub const ALL: [Self; 17] = [
        Self::Adj,
        Self::Adp,
        Self::Adv,
        Self::Aux,
        Self::Cconj,
        Self::Det,
        Self::Intj,
        Self::Noun,
        Self::Num,
        Self::Part,
        Self::Pron,
        Self::Propn,
        Self::Punct,
        Self::Sconj,
        Self::Sym,
        Self::Verb,
        Self::X,
    ];

    /// The tag as UD writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Adj => "ADJ",
            Self::Adp => "ADP",
            Self::Adv => "ADV",
            Self::Aux => "AUX",
            Self::Cconj => "CCONJ",
            Self::Det => "DET",
            Self::Intj => "INTJ",
            Self::Noun => "NOUN",
            Self::Num => "NUM",
            Self::Part => "PART",
            Self::Pron => "PRON",
            Self::Propn => "PROPN",
            Self::Punct => "PUNCT",
            Self::Sconj => "SCONJ",
            Self::Sym => "SYM",
            Self::Verb => "VERB",
            Self::X => "X",
        }
    }

    /// The tag of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tag| tag.name() == name)
    }

    /// What a token's vote is multiplied with (paper, appendix A.1): content words count, function words hardly.
    pub fn weight(self) -> f64 {
        match self {
            Self::Noun | Self::Propn | Self::Num => 1.0,
            Self::Verb => 0.9,
            Self::Adj => 0.8,
            Self::Adv => 0.5,
            Self::Aux
            | Self::Pron
            | Self::Det
            | Self::Adp
            | Self::Cconj
            | Self::Sconj
            | Self::Part => 0.1,
            Self::Punct => 0.0,
            Self::Intj | Self::Sym | Self::X => 0.3,
        }
    }
}
