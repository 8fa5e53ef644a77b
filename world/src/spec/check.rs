//! Whether a specification lies within what training shows. Every refusal is a sentence that says what to change.

use super::turns::check_turns;
use super::{Asked, Content, EventSpec, FactSpec, Kind, ObjectSpec, PartSpec, PictureSpec};
use super::{SaidSpec, SceneSpec, Spec, TurnSpec};
use crate::attributes::Look;
use crate::picture::{SIZES, slack_px};
use crate::tasks::visual_qa::{MOST_OBJECTS, ORDINALS};
use crate::vocabulary::{NAMES, OBJECTS};
use crate::{WorldError, deed_is_held_out, look_is_held_out, succession_is_held_out};

/// No composed sound is longer.
const LONGEST_SOUND_SECS: f64 = 30.0;
/// How long an event of a track may be.
const EVENT_SECS: (f64, f64) = (0.75, 1.2);
/// How long a film's event may be.
const FILM_EVENT_SECS: (f64, f64) = (0.8, 1.3);
/// How near a film's event may come to the ends of its scene.
const SCENE_MARGIN_SECS: f64 = 0.15;
/// The trained paces of speech.
const SPEEDS: (f64, f64) = (0.95, 1.3);

pub(super) fn refuse<T>(sentence: impl Into<String>) -> Result<T, WorldError> {
    Err(WorldError::Spec(sentence.into()))
}

fn within(value: f64, (low, high): (f64, f64)) -> bool {
    // Also refuses what is not a number.
    (low - 1e-9..=high + 1e-9).contains(&value)
}

impl Spec {
    /// Whether everything is within bounds.
    ///
    /// # Errors
    /// [`WorldError::Spec`] with a sentence that says what to change.
    pub fn check(&self) -> Result<(), WorldError> {
        match &self.content {
            Content::VisualQa { pictures, .. } => check_pictures(pictures)?,
            Content::AudioQa { sounds, .. } => {
                if !(2..=6).contains(&sounds.len()) {
                    return refuse("A question about sounds needs two to six of them.");
                }
                check_events(sounds)?;
            }
            Content::Speech { said } => {
                if !(1..=6).contains(&said.len()) {
                    return refuse("A recording holds one to six spoken sentences.");
                }
                said.iter().try_for_each(check_said)?;
            }
            Content::VideoQa { scenes, .. } => check_scenes(scenes)?,
            Content::Dialogue { turns } => check_turns(turns)?,
            Content::Mixed { parts } => check_parts(parts)?,
        }
        match self.asked() {
            Some(asked) if !self.may_ask(asked) => {
                refuse("This question does not fit what is shown and heard. Choose another one.")
            }
            _ => Ok(()),
        }
    }

    /// The question, where there is one.
    #[must_use]
    pub fn asked(&self) -> Option<Asked> {
        match &self.content {
            Content::VisualQa { question, .. }
            | Content::AudioQa { question, .. }
            | Content::VideoQa { question, .. } => Some(*question),
            Content::Speech { .. } | Content::Dialogue { .. } | Content::Mixed { .. } => None,
        }
    }

    /// What of it training never showed, each as a clause: "a red star".
    pub fn unseen(&self) -> impl Iterator<Item = String> {
        let found = match &self.content {
            Content::VisualQa { pictures, .. } => pictures.iter().flat_map(unseen_in).collect(),
            Content::AudioQa { sounds, .. } => unseen_order(sounds),
            Content::Speech { said } => said.iter().flat_map(unseen_said).collect(),
            Content::VideoQa { scenes, .. } => unseen_looks(scenes.iter().map(SceneSpec::look)),
            Content::Dialogue { turns } => turns.iter().flat_map(unseen_turn).collect(),
            Content::Mixed { parts } => parts.iter().flat_map(unseen_part).collect(),
        };
        found.into_iter()
    }
}

fn unseen_part(part: &PartSpec) -> Vec<String> {
    match part {
        PartSpec::Text(fact) => unseen_fact(fact).into_iter().collect(),
        PartSpec::Picture(own) => unseen_in(own),
        PartSpec::Speech { said } => said.iter().flat_map(unseen_said).collect(),
        PartSpec::Events { sounds } => unseen_order(sounds),
    }
}

fn unseen_turn(turn: &TurnSpec) -> Vec<String> {
    match turn {
        TurnSpec::Fact(fact) => unseen_fact(fact).into_iter().collect(),
        TurnSpec::Chat { .. } => Vec::new(),
        TurnSpec::Picture { picture, .. } => unseen_in(picture),
    }
}

fn unseen_in(picture: &PictureSpec) -> Vec<String> {
    unseen_looks(picture.objects.iter().map(ObjectSpec::look))
}

fn unseen_looks(looks: impl Iterator<Item = Look>) -> Vec<String> {
    let unseen = looks.filter(|&look| look_is_held_out(look));
    unseen.map(Look::with_article).collect()
}

fn unseen_order(sounds: &[EventSpec]) -> Vec<String> {
    let pairs = sounds.windows(2);
    let unseen =
        pairs.filter(|pair| succession_is_held_out(pair[0].event as usize, pair[1].event as usize));
    unseen
        .map(|pair| {
            format!(
                "{} right after {}",
                pair[1].event.name(),
                pair[0].event.name()
            )
        })
        .collect()
}

fn unseen_fact(fact: &FactSpec) -> Option<String> {
    let name = NAMES.iter().position(|own| *own == fact.name)?;
    let object = OBJECTS.iter().position(|own| *own == fact.object)?;
    deed_is_held_out(name, object).then(|| format!("{} with a {}", fact.name, fact.object))
}

fn unseen_said(said: &SaidSpec) -> Vec<String> {
    let voice = said.voice().filter(|voice| voice.held_out);
    let voice = voice.map(|voice| format!("the voice {}", voice.name));
    unseen_fact(&said.fact).into_iter().chain(voice).collect()
}

fn check_pictures(pictures: &[PictureSpec]) -> Result<(), WorldError> {
    let shown = if pictures.len() == 1 { 2..=3 } else { 1..=2 };
    if pictures.is_empty() || pictures.len() > ORDINALS.len() {
        return refuse("A question about pictures needs one to four of them.");
    }
    for picture in pictures {
        check_picture(picture)?;
        if !shown.contains(&picture.objects.len()) {
            return refuse(match pictures.len() {
                1 => "A picture that stands alone shows two or three things.",
                _ => "Each of several pictures shows one or two things.",
            });
        }
    }
    let mut shapes: Vec<_> = (pictures.iter())
        .flat_map(|own| own.objects.iter().map(|own| own.shape))
        .collect();
    if shapes.len() > MOST_OBJECTS {
        return refuse(format!(
            "At most {MOST_OBJECTS} things in all pictures together."
        ));
    }
    shapes.sort_unstable();
    match shapes.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => refuse(format!(
            "There are two shapes of the kind {}: a question could not tell them apart. Change one of them.",
            pair[0].name()
        )),
        None => Ok(()),
    }
}

pub(super) fn check_picture(picture: &PictureSpec) -> Result<(), WorldError> {
    if !SIZES.contains(&(picture.width, picture.height)) {
        return refuse("A picture is 112, 140 or 168 pixels wide and as many high.");
    }
    let mut taken = Vec::new();
    for own in &picture.objects {
        let radius = f64::from(own.radius_px);
        if !within(radius, (19.0, 24.0)) {
            return refuse("A shape reaches 19 to 24 pixels from its middle.");
        }
        let far = f64::from(own.dx).abs().max(f64::from(own.dy).abs());
        if far > slack_px(radius) {
            return refuse(
                "A shape lies wholly within its quarter: move it towards the middle of the quarter.",
            );
        }
        if taken.contains(&own.quadrant) {
            return refuse(format!(
                "There are two things at the {}: one fits into a quarter.",
                own.quadrant.name()
            ));
        }
        taken.push(own.quadrant);
    }
    Ok(())
}

pub(super) fn check_events(sounds: &[EventSpec]) -> Result<(), WorldError> {
    let mut heard = Vec::new();
    for own in sounds {
        if !within(own.secs, EVENT_SECS) {
            return refuse("A sound lasts 0.75 to 1.2 seconds.");
        }
        check_begin(own.at_secs)?;
        if heard.contains(&own.event) {
            return refuse(format!(
                "The sound {} is there twice: a question could not tell them apart. Change one of them.",
                own.event.name()
            ));
        }
        heard.push(own.event);
    }
    Ok(())
}

fn check_begin(at_secs: f64) -> Result<(), WorldError> {
    if within(at_secs, (0.0, LONGEST_SOUND_SECS - 4.0)) {
        return Ok(());
    }
    refuse("A sound begins within the first 26 seconds of its track.")
}

pub(super) fn check_fact(fact: &FactSpec) -> Result<(), WorldError> {
    match fact.fact() {
        Some(_) => Ok(()),
        None => refuse("A sentence is made of the words that are offered, no others."),
    }
}

pub(super) fn check_said(said: &SaidSpec) -> Result<(), WorldError> {
    check_fact(&said.fact)?;
    check_begin(said.at_secs)?;
    if said.voice().is_none() {
        return refuse("There is no such voice. Choose one of those that are offered.");
    }
    if !within(said.speed, SPEEDS) {
        return refuse("Speech is 0.95 to 1.3 times as fast as the voice's own pace.");
    }
    Ok(())
}

fn check_scenes(scenes: &[SceneSpec]) -> Result<(), WorldError> {
    if !(2..=5).contains(&scenes.len()) {
        return refuse("A film has two to five scenes.");
    }
    let longest = if scenes.len() == 5 { 3 } else { 4 };
    let mut events = Vec::new();
    for (k, own) in scenes.iter().enumerate() {
        check_scene(own, longest)?;
        if scenes[..k].iter().any(|other| other.look() == own.look()) {
            return refuse(format!(
                "There are two scenes with {}: a question could not tell them apart. Change one of them.",
                own.look().with_article()
            ));
        }
        if k > 0 && (scenes[k - 1].shape == own.shape || scenes[k - 1].colour == own.colour) {
            return refuse(format!(
                "Scenes {k} and {} are alike: neighbours differ in shape and in colour.",
                k + 1
            ));
        }
        let Some(heard) = own.heard else { continue };
        if events.contains(&heard.event) {
            return refuse(format!(
                "The sound {} is there twice: a question could not tell them apart. Change one of them.",
                heard.event.name()
            ));
        }
        events.push(heard.event);
    }
    if !(1..=3).contains(&events.len()) {
        return refuse("One to three scenes of a film have a sound.");
    }
    Ok(())
}

/// One scene alone.
pub(super) fn check_scene(own: &SceneSpec, longest: u8) -> Result<(), WorldError> {
    if !(2..=longest).contains(&own.secs) {
        return refuse(format!(
            "A scene of this film lasts 2 to {longest} seconds."
        ));
    }
    let Some(heard) = own.heard else {
        return Ok(());
    };
    let end = f64::from(own.secs) - SCENE_MARGIN_SECS - heard.secs;
    if !within(heard.secs, FILM_EVENT_SECS) || !within(heard.at_secs, (SCENE_MARGIN_SECS, end)) {
        return refuse(
            "A scene's sound lasts 0.8 to 1.3 seconds and lies wholly within its scene.",
        );
    }
    Ok(())
}

fn check_parts(parts: &[PartSpec]) -> Result<(), WorldError> {
    let mut kinds = [0; 3];
    for part in parts {
        let kind = match part {
            PartSpec::Text(fact) => {
                check_fact(fact)?;
                0
            }
            PartSpec::Picture(own) => {
                check_picture(own)?;
                if !(1..=2).contains(&own.objects.len()) {
                    return refuse("The picture beside text and sound shows one or two things.");
                }
                1
            }
            PartSpec::Speech { said } => {
                said.iter().try_for_each(check_said)?;
                if said.len() != 1 {
                    return refuse(
                        "The recording beside text and picture holds one spoken sentence.",
                    );
                }
                2
            }
            PartSpec::Events { sounds } => {
                check_events(sounds)?;
                if !(1..=2).contains(&sounds.len()) {
                    return refuse("The track beside text and picture holds one or two sounds.");
                }
                2
            }
        };
        kinds[kind] += 1;
    }
    if kinds != [1; 3] {
        return refuse("One line of text, one picture and one sound, in any order.");
    }
    Ok(())
}

/// Whether the kind of a question is one of its task's.
pub(super) fn fits(content: &Content, kind: Kind) -> bool {
    match content {
        Content::VisualQa { .. } => {
            matches!(
                kind,
                Kind::Colour | Kind::Place | Kind::Count | Kind::Picture
            )
        }
        Content::AudioQa { .. } => {
            matches!(kind, Kind::First | Kind::Last | Kind::After | Kind::Before)
        }
        Content::VideoQa { .. } => matches!(
            kind,
            Kind::First | Kind::Last | Kind::SeenWhenHeard | Kind::HeardWhileSeen
        ),
        Content::Speech { .. } | Content::Dialogue { .. } | Content::Mixed { .. } => false,
    }
}
