//! What stands on the bench at the start: one small sample of each kind, to be changed at once.

use world::attributes::{Colour, Quadrant, Shape};
use world::sound::Event;
use world::spec::{
    Asked, Content, EventSpec, FactSpec, HeardSpec, Kind, ObjectSpec, PartSpec, PictureSpec,
    SaidSpec, SceneSpec, Spec, TurnSpec,
};

/// One of each task, in the order of the tabs.
pub fn starters() -> [Spec; 6] {
    let asked = |kind, of| Asked {
        kind,
        of,
        wording: 0,
    };
    let contents = [
        Content::VisualQa {
            pictures: vec![picture(vec![
                object(Shape::Heart, Colour::Red, Quadrant::TopLeft),
                object(Shape::Star, Colour::Blue, Quadrant::BottomRight),
            ])],
            question: asked(Kind::Colour, 1),
        },
        Content::AudioQa {
            sounds: vec![
                event(Event::Bell, 0.5),
                event(Event::Barking, 2.2),
                event(Event::Rain, 3.9),
            ],
            question: asked(Kind::After, 0),
        },
        Content::Speech {
            said: vec![
                said(["Emma", "painted", "boat", "beach"], "iris", 0.2),
                said(["David", "lost", "lamp", "station"], "basil", 3.4),
            ],
        },
        Content::VideoQa {
            scenes: vec![
                scene(Shape::Circle, Colour::Yellow, Some(Event::Whistle)),
                scene(Shape::Cross, Colour::Purple, None),
                scene(Shape::Diamond, Colour::Green, Some(Event::Drum)),
            ],
            question: asked(Kind::SeenWhenHeard, 2),
        },
        Content::Dialogue {
            turns: vec![
                TurnSpec::Fact(fact(["Anna", "found", "camera", "garden"])),
                chat("Boris", 3),
                shown(
                    "Carla",
                    object(Shape::Star, Colour::Yellow, Quadrant::TopRight),
                ),
                TurnSpec::Fact(fact(["Frank", "lost", "guitar", "school"])),
            ],
        },
        Content::Mixed {
            parts: vec![
                PartSpec::Text(fact(["Julia", "repaired", "radio", "market"])),
                PartSpec::Picture(picture(vec![object(
                    Shape::Ring,
                    Colour::Orange,
                    Quadrant::TopRight,
                )])),
                PartSpec::Events {
                    sounds: vec![event(Event::Siren, 0.5)],
                },
            ],
        },
    ];
    contents.map(|content| Spec { seed: 1, content })
}

/// A picture of the usual size.
pub fn picture(objects: Vec<ObjectSpec>) -> PictureSpec {
    PictureSpec {
        width: 112,
        height: 112,
        objects,
    }
}

/// A shape in the middle of its quarter.
pub fn object(shape: Shape, colour: Colour, quadrant: Quadrant) -> ObjectSpec {
    ObjectSpec {
        shape,
        colour,
        quadrant,
        dx: 0,
        dy: 0,
        radius_px: 22,
    }
}

/// A sound of a second.
pub fn event(event: Event, at_secs: f64) -> EventSpec {
    EventSpec {
        event,
        at_secs,
        secs: 1.0,
    }
}

/// Somebody did something somewhere.
pub fn fact([name, verb, object, place]: [&str; 4]) -> FactSpec {
    FactSpec {
        name: name.to_owned(),
        verb: verb.to_owned(),
        object: object.to_owned(),
        place: place.to_owned(),
    }
}

/// Small talk.
pub fn chat(name: &str, wording: usize) -> TurnSpec {
    TurnSpec::Chat {
        name: name.to_owned(),
        wording,
    }
}

/// Somebody shows a picture of one thing.
pub fn shown(name: &str, own: ObjectSpec) -> TurnSpec {
    TurnSpec::Picture {
        name: name.to_owned(),
        wording: 1,
        picture: picture(vec![own]),
    }
}

/// The same, spoken.
pub fn said(words: [&str; 4], voice: &str, at_secs: f64) -> SaidSpec {
    SaidSpec {
        fact: fact(words),
        voice: voice.to_owned(),
        speed: 1.1,
        at_secs,
    }
}

/// A scene of two seconds, its sound in the middle.
pub fn scene(shape: Shape, colour: Colour, heard: Option<Event>) -> SceneSpec {
    SceneSpec {
        shape,
        colour,
        secs: 2,
        heard: heard.map(|event| HeardSpec {
            event,
            at_secs: 0.5,
            secs: 1.0,
        }),
    }
}
