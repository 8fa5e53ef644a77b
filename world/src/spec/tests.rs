//! Tests of composed samples: exact sources, bounds that refuse with sentences, links, and that nothing moves but what is moved.

use super::*;
use crate::attributes::{Colour, Quadrant, Shape};
use crate::sample::Block;
use crate::sound::Event;

fn object(shape: Shape, colour: Colour, quadrant: Quadrant) -> ObjectSpec {
    ObjectSpec {
        shape,
        colour,
        quadrant,
        dx: 0,
        dy: 0,
        radius_px: 22,
    }
}

fn asked(kind: Kind, of: usize) -> Asked {
    Asked {
        kind,
        of,
        wording: 0,
    }
}

fn picture(objects: Vec<ObjectSpec>) -> PictureSpec {
    PictureSpec {
        width: 112,
        height: 112,
        objects,
    }
}

fn pictures() -> Spec {
    let pictures = vec![picture(vec![
        object(Shape::Star, Colour::Red, Quadrant::BottomRight),
        object(Shape::Ring, Colour::Orange, Quadrant::TopLeft),
    ])];
    let question = asked(Kind::Place, 0);
    Spec {
        seed: 4,
        content: Content::VisualQa { pictures, question },
    }
}

fn event(event: Event, at_secs: f64) -> EventSpec {
    EventSpec {
        event,
        at_secs,
        secs: 1.0,
    }
}

fn sounds() -> Spec {
    Spec {
        seed: 9,
        content: Content::AudioQa {
            sounds: vec![
                event(Event::Bell, 0.5),
                event(Event::Drum, 0.6),
                event(Event::Rain, 5.0),
            ],
            question: asked(Kind::After, 0),
        },
    }
}

fn fact() -> FactSpec {
    FactSpec {
        name: "Anna".into(),
        verb: "lost".into(),
        object: "radio".into(),
        place: "beach".into(),
    }
}

fn said() -> SaidSpec {
    SaidSpec {
        fact: fact(),
        voice: "amber".into(),
        speed: 1.1,
        at_secs: 0.2,
    }
}

fn scene(shape: Shape, colour: Colour, heard: Option<Event>) -> SceneSpec {
    SceneSpec {
        shape,
        colour,
        secs: 2,
        heard: heard.map(|event| HeardSpec {
            event,
            at_secs: 0.4,
            secs: 1.0,
        }),
    }
}

fn film() -> Spec {
    Spec {
        seed: 1,
        content: Content::VideoQa {
            scenes: vec![
                scene(Shape::Heart, Colour::Red, None),
                scene(Shape::Cross, Colour::Black, Some(Event::Siren)),
            ],
            question: asked(Kind::SeenWhenHeard, 1),
        },
    }
}

fn mixed() -> Spec {
    let parts = vec![
        PartSpec::Text(fact()),
        PartSpec::Speech { said: vec![said()] },
        PartSpec::Picture(picture(vec![object(
            Shape::Star,
            Colour::Red,
            Quadrant::TopLeft,
        )])),
    ];
    Spec {
        seed: 2,
        content: Content::Mixed { parts },
    }
}

fn conversation() -> Spec {
    let chat = TurnSpec::Chat {
        name: "Boris".into(),
        wording: 3,
    };
    let shown = TurnSpec::Picture {
        name: "Carla".into(),
        wording: 1,
        picture: picture(vec![object(Shape::Star, Colour::Red, Quadrant::BottomLeft)]),
    };
    let turns = vec![
        TurnSpec::Fact(fact()),
        chat,
        shown,
        TurnSpec::Fact(FactSpec {
            name: "Boris".into(),
            ..fact()
        }),
    ];
    Spec {
        seed: 6,
        content: Content::Dialogue { turns },
    }
}

fn all() -> [Spec; 6] {
    let speech = Spec {
        seed: 3,
        content: Content::Speech {
            said: vec![
                said(),
                SaidSpec {
                    at_secs: 0.0,
                    voice: "basil".into(),
                    ..said()
                },
            ],
        },
    };
    [
        pictures(),
        sounds(),
        speech,
        film(),
        conversation(),
        mixed(),
    ]
}

#[test]
fn what_was_placed_is_what_the_sentences_rest_on() {
    let sample = pictures().compose().expect("a sample");
    let texts: Vec<_> = sample
        .answer
        .iter()
        .map(|own| own.sentence.as_str())
        .collect();
    assert_eq!(
        texts[0],
        "The first picture shows an orange ring at the top left."
    );
    assert_eq!(texts[1], "It also shows a red star at the bottom right.");
    assert_eq!(texts[2], "So the star is at the bottom right.");
    assert!(texts[3].starts_with("So the answer is bottom right ("));
    let [x0, y0, x1, y1] = sample.answer[2].support.image[0].rect;
    assert!(x0 > 0.5 && y0 > 0.5 && x1 < 0.97 && y1 < 0.97);

    let sample = sounds().compose().expect("a sample");
    let spans: Vec<_> = sample
        .answer
        .iter()
        .map(|own| own.support.time.clone())
        .collect();
    assert_eq!(spans[0], [[0.5, 1.5]]);
    assert_eq!(spans[1], [[1.85, 2.85]], "it waits for the one before");
    assert_eq!(spans[2], [[5.0, 6.0]]);
    assert_eq!(
        sample.answer[3].sentence,
        "So right after the bell there is a drum."
    );
    assert_eq!(sample.answer[3].support.time, spans[1]);

    let sample = film().compose().expect("a sample");
    assert_eq!(sample.answer[0].sentence, "First a red heart is shown.");
    assert_eq!(sample.answer[2].support.time, [[2.4, 3.4]]);
    assert_eq!(
        sample.answer[3].sentence,
        "So when the siren is heard there is a black cross."
    );
}

#[test]
fn a_conversation_is_retold_without_its_small_talk() {
    let sample = conversation().compose().expect("a sample");
    let lines = sample.text_units();
    let told: Vec<_> = (sample.answer.iter())
        .map(|own| (own.sentence.as_str(), own.support.text.clone()))
        .collect();
    assert_eq!(
        told,
        [
            ("Anna lost a radio at the beach.", vec![0]),
            ("Carla shared a picture of a red star.", vec![2]),
            ("Boris lost a radio at the beach.", vec![3]),
        ]
    );
    assert_eq!(lines[0], "Anna: I lost a radio at the beach.\n");
    assert_eq!(lines[1], "Boris: How are you today?\n");
    assert_eq!(lines[2], "Carla: Look at this picture.\n");
    let [x0, y0, ..] = sample.answer[1].support.image[0].rect;
    assert!(x0 < 0.5 && y0 > 0.5);
}

#[test]
fn every_kind_composes_survives_its_link_and_repeats() {
    for spec in all() {
        let sample = spec.compose().expect("a sample");
        assert_eq!(sample, spec.compose().expect("a sample"));
        assert!(sample.answer.iter().all(|own| !own.support.is_empty()));
        assert_eq!(Spec::from_link(&spec.to_link()).expect("a link"), spec);
        let json = serde_json::to_string(&spec).expect("JSON");
        assert_eq!(serde_json::from_str::<Spec>(&json).expect("JSON"), spec);
        for question in spec.questions() {
            assert!(spec.may_ask(question.asked), "{question:?}");
            assert!(
                question
                    .wordings
                    .iter()
                    .all(|own| own.ends_with('?') && !own.contains("{}"))
            );
        }
    }
    assert!(
        mixed().compose().expect("a sample").answer[1]
            .sentence
            .starts_with("The speaker says that Anna")
    );
    for wrong in ["", "!!", "e30", &"A".repeat(9_000)] {
        assert!(Spec::from_link(wrong).is_err());
    }
}

#[test]
fn to_move_one_thing_changes_nothing_else() {
    let before = pictures().compose().expect("a sample");
    let mut moved = pictures();
    if let Content::VisualQa { pictures, .. } = &mut moved.content {
        pictures[0].objects[0].dx = -3;
    }
    let after = moved.compose().expect("a sample");
    assert_eq!(
        before.blocks[2..],
        after.blocks[2..],
        "question and options"
    );
    let (Block::Image(before), Block::Image(after)) = (&before.blocks[1], &after.blocks[1]) else {
        panic!("a picture");
    };
    // The ring in the other quarter, and the ground around it.
    let half = |rgb: &[u8]| rgb[..56 * 112 * 3].to_vec();
    assert_eq!(half(&before.rgb), half(&after.rgb));
    assert_ne!(before.rgb, after.rgb);
}

#[test]
fn every_refusal_is_a_sentence() {
    let refused = |spec: &Spec, about: &str| {
        let message = spec.compose().expect_err("refused").to_string();
        assert!(
            message.contains(about) && message.ends_with('.'),
            "{message}"
        );
    };
    let with = |change: &dyn Fn(&mut Vec<PictureSpec>, &mut Asked)| {
        let mut spec = pictures();
        if let Content::VisualQa { pictures, question } = &mut spec.content {
            change(pictures, question);
        }
        spec
    };
    refused(&with(&|own, _| own.clear()), "one to four");
    refused(&with(&|own, _| own[0].width = 10_000), "112, 140 or 168");
    refused(
        &with(&|own, _| own[0].objects[0].radius_px = 200),
        "19 to 24",
    );
    refused(&with(&|own, _| own[0].objects[0].dx = i8::MIN), "quarter");
    refused(
        &with(&|own, _| own[0].objects[0].quadrant = Quadrant::TopLeft),
        "top left",
    );
    refused(
        &with(&|own, _| own[0].objects[0].shape = Shape::Ring),
        "ring",
    );
    refused(&with(&|_, asked| asked.of = 7), "question");
    refused(&with(&|_, asked| asked.wording = 99), "question");
    refused(&with(&|_, asked| asked.kind = Kind::Picture), "question");
    refused(&with(&|_, asked| asked.kind = Kind::Last), "question");
    let mut spec = sounds();
    if let Content::AudioQa { sounds, .. } = &mut spec.content {
        sounds[0].at_secs = f64::NAN;
    }
    refused(&spec, "26 seconds");
    let mut spec = film();
    if let Content::VideoQa { scenes, .. } = &mut spec.content {
        scenes[1].colour = Colour::Red;
    }
    refused(&spec, "neighbours");
    let talk = |change: &dyn Fn(&mut Vec<TurnSpec>)| {
        let mut spec = conversation();
        if let Content::Dialogue { turns } = &mut spec.content {
            change(turns);
        }
        spec
    };
    refused(&talk(&|own| own.truncate(2)), "three to five");
    let chat = |name: &str, wording| TurnSpec::Chat {
        name: name.into(),
        wording,
    };
    refused(&talk(&|own| own[0] = chat("Anna", 0)), "at least two");
    refused(&talk(&|own| own[1] = chat("Nobody", 0)), "people");
    refused(&talk(&|own| own[1] = chat("Anna", 99)), "Small talk");
    refused(&talk(&|own| own[1] = own[2].clone()), "one picture");
    let bare = &|own: &mut Vec<TurnSpec>| {
        if let TurnSpec::Picture { picture, .. } = &mut own[2] {
            picture.objects.clear();
        }
    };
    refused(&talk(bare), "shows one thing");
    let mut spec = mixed();
    if let Content::Mixed { parts } = &mut spec.content {
        parts.pop();
    }
    refused(&spec, "One line of text");
    let fitted = with(&|_, asked| asked.of = 7).with_fitting_question();
    assert!(fitted.check().is_ok());
}

#[test]
fn what_training_never_showed_is_named() {
    let mut spec = pictures();
    // Found by the rule, not by heart.
    let unseen = (Colour::ALL.into_iter())
        .find(|&colour| {
            crate::look_is_held_out(crate::attributes::Look {
                shape: Shape::Star,
                colour,
            })
        })
        .expect("one colour of each shape");
    assert_eq!(spec.unseen().count(), 0);
    if let Content::VisualQa { pictures, .. } = &mut spec.content {
        pictures[0].objects[0].colour = unseen;
    }
    assert_eq!(spec.unseen().collect::<Vec<_>>().len(), 1);
    assert!(spec.compose().expect("a sample").held_out);
}
