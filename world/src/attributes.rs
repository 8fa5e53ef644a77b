//! What pictures and films show: shapes, colours and places within a picture.

use serde::{Deserialize, Serialize};

/// A drawn shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // each variant is its own name
pub enum Shape {
    Circle,
    Square,
    Triangle,
    Star,
    Heart,
    Cross,
    Ring,
    Diamond,
}

/// The colour of a shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // each variant is its own name
pub enum Colour {
    Red,
    Orange,
    Yellow,
    Green,
    Blue,
    Purple,
    Pink,
    Black,
}

/// A quarter of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // each variant is its own name
pub enum Quadrant {
    TopLeft,
    TopRight,
    BottomLeft,
    BottomRight,
}

impl Shape {
    /// All shapes, in label order.
    pub const ALL: [Self; 8] = [
        Self::Circle,
        Self::Square,
        Self::Triangle,
        Self::Star,
        Self::Heart,
        Self::Cross,
        Self::Ring,
        Self::Diamond,
    ];

    /// The shape's word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Circle => "circle",
            Self::Square => "square",
            Self::Triangle => "triangle",
            Self::Star => "star",
            Self::Heart => "heart",
            Self::Cross => "cross",
            Self::Ring => "ring",
            Self::Diamond => "diamond",
        }
    }
}

impl Colour {
    /// All colours, in label order.
    pub const ALL: [Self; 8] = [
        Self::Red,
        Self::Orange,
        Self::Yellow,
        Self::Green,
        Self::Blue,
        Self::Purple,
        Self::Pink,
        Self::Black,
    ];

    /// The colour's word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Red => "red",
            Self::Orange => "orange",
            Self::Yellow => "yellow",
            Self::Green => "green",
            Self::Blue => "blue",
            Self::Purple => "purple",
            Self::Pink => "pink",
            Self::Black => "black",
        }
    }

    /// The middle of the colour's range; drawing varies it a little.
    #[must_use]
    pub const fn rgb(self) -> [u8; 3] {
        match self {
            Self::Red => [215, 25, 30],
            Self::Orange => [245, 130, 15],
            Self::Yellow => [240, 215, 25],
            Self::Green => [30, 155, 55],
            Self::Blue => [25, 70, 220],
            Self::Purple => [120, 35, 165],
            Self::Pink => [250, 130, 195],
            Self::Black => [25, 25, 28],
        }
    }
}

impl Quadrant {
    /// All quarters, in reading order.
    pub const ALL: [Self; 4] = [
        Self::TopLeft,
        Self::TopRight,
        Self::BottomLeft,
        Self::BottomRight,
    ];

    /// The quarter in words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TopLeft => "top left",
            Self::TopRight => "top right",
            Self::BottomLeft => "bottom left",
            Self::BottomRight => "bottom right",
        }
    }

    /// The quarter's middle, in fractions of width and height.
    #[must_use]
    pub const fn centre(self) -> (f64, f64) {
        match self {
            Self::TopLeft => (0.25, 0.25),
            Self::TopRight => (0.75, 0.25),
            Self::BottomLeft => (0.25, 0.75),
            Self::BottomRight => (0.75, 0.75),
        }
    }
}

/// A coloured shape, as a sentence names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Look {
    /// What it is.
    pub shape: Shape,
    /// Its colour.
    pub colour: Colour,
}

impl Look {
    /// `red star`.
    #[must_use]
    pub fn name(self) -> String {
        format!("{} {}", self.colour.name(), self.shape.name())
    }
}

impl Look {
    /// `a red star`, `an orange ring`.
    #[must_use]
    pub fn with_article(self) -> String {
        let article = if self.colour == Colour::Orange {
            "an"
        } else {
            "a"
        };
        format!("{article} {}", self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::{Colour, Look, Shape};

    #[test]
    fn articles_follow_the_word() {
        for shape in Shape::ALL {
            for colour in Colour::ALL {
                let look = Look { shape, colour };
                let vowel = look.name().starts_with(['a', 'e', 'i', 'o', 'u']);
                assert_eq!(
                    look.with_article().starts_with("an "),
                    vowel,
                    "{}",
                    look.name()
                );
            }
        }
    }
}
