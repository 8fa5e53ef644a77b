"""The world's words, as in world/src/vocabulary.rs, attributes.rs and sound/mod.rs (a test compares them with `dataset words`)."""

NAMES = "Anna Boris Carla David Emma Frank Julia Peter".split()
VERBS = "lost found sold painted cleaned broke repaired bought".split()
OBJECTS = "boat guitar radio chair cake bicycle lamp camera".split()
PLACES = "school museum station library beach hotel market garden".split()
SHAPES = "circle square triangle star heart cross ring diamond".split()
COLOURS = "red orange yellow green blue purple pink black".split()
EVENTS = "bell siren horn clapping knocking chirping barking engine alarm whistle drum rain".split()
COUNTABLE = set("bell siren horn engine alarm whistle drum".split())
QUADRANTS = ["top left", "top right", "bottom left", "bottom right"]
ORDINALS = ["first", "second", "third", "fourth"]
NUMBERS = "no one two three four five six".split()
MOST_OBJECTS = 6


def with_article(name):
    """`a red star`, `an engine`, `clapping`."""
    if name in EVENTS and name not in COUNTABLE:
        return name
    return ("an " if name[0] in "aeiou" else "a ") + name


def look_is_held_out(shape, colour):
    return (SHAPES.index(shape) * 3 + 2) % 8 == COLOURS.index(colour)


def deed_is_held_out(name, thing):
    return (NAMES.index(name) * 3 + 1) % 8 == OBJECTS.index(thing)


def succession_is_held_out(previous, following):
    return (EVENTS.index(previous) + 5) % 12 == EVENTS.index(following)
