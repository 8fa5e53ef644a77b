"""The training split of the world without pixels and sound: texts and perception labels only, as fast as they can be read.

The decoder's first stage learns on these, with ideal perception in place of the encoders' vectors. The sentences are those of
world/src/tasks/*.rs; what the shards of the Rust exporter hold has the last word (tests compare the two).

A sample: {"task", "pieces": [(kind, value)], "branches": [(question text, [sentences], letter or None)]}. Pieces come first, then one
question (or several about the same media). Values: text str; image {"size": (w, h), "objects"}; audio {"secs", "segments"};
video {"frames": [objects per frame], "segments", "secs"}. Objects: (shape, colour, [x0, y0, x1, y1]). Segments: (start, end, word).
"""

from omni.words import (
    COLOURS, EVENTS, MOST_OBJECTS, NAMES, NUMBERS, OBJECTS, ORDINALS, PLACES, QUADRANTS, SHAPES, VERBS,
    deed_is_held_out, look_is_held_out, succession_is_held_out, with_article,
)

CHAT = ["Good morning everyone.", "That is nice to hear.", "Thank you very much.", "How are you today?", "I am so tired.",
        "What a lovely day!", "See you tomorrow.", "I did not know that."]
SHOWS = ["I made this picture.", "Look at this picture.", "Here is my new picture."]
SIZES = [(112, 112), (140, 112), (112, 140), (168, 112), (112, 168), (140, 140), (168, 140), (140, 168), (168, 168)]
EXPLAIN = " and answer the question. Explain your reasoning step by step."
PROMPTS = {
    "dialogue": ["Summarize the conversation.", "Summarize this conversation."],
    "speech": ["Summarize the recording.", "Summarize this recording."],
    "audio-qa": ["Listen to the audio" + EXPLAIN, "Answer the question about the sounds. Explain your reasoning step by step."],
    "visual-qa": ["Look at the pictures" + EXPLAIN, "Answer the question about the pictures. Explain your reasoning step by step."],
    "video-qa": ["Watch the film" + EXPLAIN, "Answer the question about the film. Explain your reasoning step by step."],
    "mixed": ["Describe everything that you read, see and hear.", "Describe everything that you see, hear and read."],
}
SOUND_AT_AN_END = ["Which sound comes {}?", "What is the {} sound?", "What do you hear {}?", "Which sound is heard {}?"]
SOUND_NEXT_TO = ["Which sound comes right {}?", "What do you hear right {}?", "Which sound is heard right {}?", "What comes right {}?"]
COLOUR_OF = ["What colour is the {}?", "Which colour does the {} have?", "What is the colour of the {}?"]
PLACE_OF = ["Where is the {}?", "In which corner is the {}?", "Which corner shows the {}?"]
HOW_MANY = ["How many objects are there in total?", "How many objects do the pictures show?", "How many objects do you see?"]
PICTURE_OF = ["Which picture shows the {}?", "In which picture is the {}?", "In which picture do you see the {}?"]
SHOWN_AT_AN_END = ["What is shown {}?", "Which object comes {}?", "What do you see {}?", "Which object is shown {}?"]
SEEN_WHEN_HEARD = ["What is on the screen when the {} is heard?", "What is shown when the {} is heard?",
                   "What do you see when the {} is heard?", "Which object is shown when you hear the {}?"]
HEARD_WHILE_SEEN = ["Which sound is heard while the {} is shown?", "What can you hear while the {} is shown?",
                    "What do you hear when you see the {}?", "Which sound comes while the {} is on the screen?"]
SPOKEN_SECS = {"a": 0.1, "at": 0.18, "the": 0.13}


def look(rng):
    while True:
        found = rng.choice(SHAPES), rng.choice(COLOURS)
        if not look_is_held_out(*found):
            return found


def look_name(found):
    return f"{found[1]} {found[0]}"


def fact(rng):
    while True:
        name, thing = rng.choice(NAMES), rng.choice(OBJECTS)
        if not deed_is_held_out(name, thing):
            return [name, rng.choice(VERBS), "a", thing, "at", "the", rng.choice(PLACES)]


def events(rng, count):
    while True:
        found = rng.sample(EVENTS, count)
        if not any(succession_is_held_out(a, b) for a, b in zip(found, found[1:])):
            return found


def picture(rng, placed):
    """placed: [(look, quadrant index)]."""
    w, h = SIZES[0] if rng.random() < 0.4 else rng.choice(SIZES[1:])
    objects = []
    for (shape, colour), quadrant in placed:
        r = rng.uniform(19, 24) * 0.95
        cx = (0.25 + 0.5 * (quadrant % 2)) * w + rng.uniform(-3, 3)
        cy = (0.25 + 0.5 * (quadrant // 2)) * h + rng.uniform(-3, 3)
        objects.append((shape, colour, [(cx - r) / w, (cy - r) / h, (cx + r) / w, (cy + r) / h]))
    return {"size": (w, h), "objects": objects}


def track_of_events(rng, found):
    at, segments = rng.uniform(0.2, 0.6), []
    pause = (0.35, 0.7) if rng.random() < 0.75 else (0.7, 4.0)
    for k, event in enumerate(found):
        at += rng.uniform(*pause) if k else 0.0
        end = at + rng.uniform(0.75, 1.2)
        segments.append((at, end, event))
        at = end
    return {"secs": at + rng.uniform(0.2, 0.5), "segments": segments}


def spoken(rng, at, words, segments):
    speed = rng.uniform(0.95, 1.3)
    for k, word in enumerate(words):
        at += rng.uniform(0.015, 0.05) if k else 0.0
        end = at + SPOKEN_SECS.get(word, rng.uniform(0.36, 0.6)) / speed
        segments.append((at, end, word))
        at = end
    return at


def options(rng, right, wrong):
    texts = [right]
    for text in wrong:
        if len(texts) < 3 and text not in texts:
            texts.append(text)
    rng.shuffle(texts)
    letter = "ABC"[texts.index(right)]
    lines = "".join(f" ({'ABC'[k]}) {text}\n" for k, text in enumerate(texts))
    return lines, letter


def ask(rng, question, right, wrong, conclusion, sentences):
    lines, letter = options(rng, right, wrong)
    return f"{question}\n{lines}", [*sentences, conclusion, f"So the answer is {right} ({letter})."], letter


def dialogue(rng, _):
    turns = ["fact", "fact"] + (["picture"] if rng.random() < 0.5 else [])
    count = rng.randint(3, 5)
    while len(turns) < count:
        turns.append(rng.choice(["fact", "chat"]))
    rng.shuffle(turns)
    pieces, sentences = [("text", rng.choice(PROMPTS["dialogue"]))], []
    for turn in turns:
        name = rng.choice(NAMES)
        if turn == "fact":
            name, *deed = fact(rng)
            deed = " ".join(deed)
            pieces.append(("text", f"{name}: I {deed}.\n"))
            sentences.append(f"{name} {deed}.")
        elif turn == "chat":
            pieces.append(("text", f"{name}: {rng.choice(CHAT)}\n"))
        else:
            found = look(rng)
            pieces += [("text", f"{name}: {rng.choice(SHOWS)}\n"), ("image", picture(rng, [(found, rng.randrange(4))]))]
            sentences.append(f"{name} shared a picture of {with_article(look_name(found))}.")
    return pieces, [("", sentences, None)]


def speech(rng, _):
    at, segments, sentences = rng.uniform(0.1, 0.4), [], []
    longest_pause = 0.6 if rng.random() < 0.75 else 2.0
    for k in range(rng.choice([1] * 2 + [2] * 7 + [3] * 6 + [4] * 3 + [5, 6])):
        at += rng.uniform(0.35, longest_pause) if k else 0.0
        words = fact(rng)
        at = spoken(rng, at, words, segments)
        sentences.append(f"{'Then' if k else 'The speaker says that'} {' '.join(words)}.")
    sound = {"secs": at + rng.uniform(0.1, 0.3), "segments": segments}
    return [("text", rng.choice(PROMPTS["speech"])), ("audio", sound)], [("", sentences, None)]


def audio_question(rng, found, sentences):
    last = len(found) - 1
    kind = rng.randrange(4)
    if kind < 2:
        answer, when = (0, "first") if kind == 0 else (last, "last")
        question = rng.choice(SOUND_AT_AN_END).format(when)
        conclusion = f"So the {when} sound is {with_article(found[answer])}."
    else:
        if kind == 2:
            word, answer = "after", rng.randint(1, last)
            key = found[answer - 1]
        else:
            word, answer = "before", rng.randint(0, last - 1)
            key = found[answer + 1]
        question = rng.choice(SOUND_NEXT_TO).format(f"{word} the {key}")
        conclusion = f"So right {word} the {key} there is {with_article(found[answer])}."
    wrong = rng.sample([e for e in found if e != found[answer]], 1) + rng.sample(EVENTS, 12)
    return ask(rng, question, found[answer], wrong, conclusion, sentences)


def told_events(found):
    openings = ["The first sound is"] + ["Then there is"] * (len(found) - 2) + ["The last sound is"]
    return [f"{o} {with_article(e)}." for o, e in zip(openings, found)]


def audio_qa(rng, questions):
    found = events(rng, rng.choice([2] * 3 + [3] * 6 + [4] * 6 + [5] * 3 + [6] * 2))
    sentences = told_events(found)
    pieces = [("text", rng.choice(PROMPTS["audio-qa"])), ("audio", track_of_events(rng, found))]
    return pieces, [audio_question(rng, found, sentences) for _ in range(questions)]


def visual_question(rng, images, seen, sentences):
    image, quadrant, (shape, colour) = rng.choice(seen)
    kind = rng.randrange(4 if images >= 3 else 3)
    if kind == 0:
        wrong = rng.sample([s[2][1] for s in seen], min(2, len(seen))) + rng.sample(COLOURS, 8)
        question = rng.choice(COLOUR_OF).format(shape)
        return ask(rng, question, colour, wrong, f"So the {shape} is {colour}.", sentences)
    if kind == 1:
        place = QUADRANTS[quadrant]
        question = rng.choice(PLACE_OF).format(shape)
        return ask(rng, question, place, rng.sample(QUADRANTS, 4), f"So the {shape} is at the {place}.", sentences)
    if kind == 2:
        count = len(seen)
        wrong = [NUMBERS[n] for n in range(2, MOST_OBJECTS + 1) if n != count and abs(n - count) <= 2]
        rng.shuffle(wrong)
        question = rng.choice(HOW_MANY)
        return ask(rng, question, NUMBERS[count], wrong, f"So there are {NUMBERS[count]} objects in total.", sentences)
    ordinal = ORDINALS[image]
    question = rng.choice(PICTURE_OF).format(shape)
    return ask(rng, question, ordinal, rng.sample(ORDINALS[:images], images), f"So the {shape} is in the {ordinal} picture.", sentences)


def objects_of_each(rng, images):
    if images == 1:
        return [rng.randint(2, 3)]
    counts, left = [], MOST_OBJECTS - images
    for _ in range(images):
        two = left > 0 and rng.random() < 0.45
        left -= two
        counts.append(1 + two)
    return counts


def visual_qa(rng, questions):
    images = rng.choice([1] * 3 + [2] * 9 + [3] * 5 + [4] * 3)
    pieces = [("text", rng.choice(PROMPTS["visual-qa"]))]
    seen, sentences = [], []
    for image, count in enumerate(objects_of_each(rng, images)):
        quadrants = sorted(rng.sample(range(4), count))
        placed = []
        while len(placed) < len(quadrants):
            found = look(rng)
            if all(found[0] != s[2][0] for s in seen) and all(found[0] != p[0][0] for p in placed):
                placed.append((found, None))
        placed = [(p[0], q) for p, q in zip(placed, quadrants)]
        pieces += [("text", f"{ORDINALS[image]} picture:\n"), ("image", picture(rng, placed))]
        for k, (found, quadrant) in enumerate(placed):
            opening = "It also shows" if k else f"The {ORDINALS[image]} picture shows"
            sentences.append(f"{opening} {with_article(look_name(found))} at the {QUADRANTS[quadrant]}.")
            seen.append((image, quadrant, found))
    return pieces, [visual_question(rng, images, seen, sentences) for _ in range(questions)]


def film(rng, scenes, segments):
    frames = []
    for found, secs in scenes:
        r = rng.uniform(24, 31) * 0.95
        a, b = ((rng.uniform(r + 6, 106 - r), rng.uniform(r + 6, 106 - r)) for _ in range(2))
        for k in range(2 * secs):
            t = (k + 0.5) / (2 * secs)
            x, y = (p + (q - p) * t for p, q in zip(a, b))
            frames.append([(*found, [(x - r) / 112, (y - r) / 112, (x + r) / 112, (y + r) / 112])])
    return {"frames": frames, "segments": segments, "secs": sum(s for _, s in scenes)}


def video_question(rng, scenes, heard, sentences):
    looks = [look_name(found) for found, _ in scenes]
    noisy = rng.choice([k for k, h in enumerate(heard) if h])
    kind = rng.randrange(10)
    if kind >= 3:
        name = heard[noisy]
        if kind < 7:
            question = rng.choice(SEEN_WHEN_HEARD).format(name)
            wrong = rng.sample([x for k, x in enumerate(looks) if k != noisy], len(looks) - 1)
            conclusion = f"So when the {name} is heard there is {with_article(looks[noisy])}."
            return ask(rng, question, looks[noisy], wrong + [look_name(look(rng)) for _ in range(4)], conclusion, sentences)
        question = rng.choice(HEARD_WHILE_SEEN).format(looks[noisy])
        conclusion = f"So while the {looks[noisy]} is shown there is {with_article(name)}."
        return ask(rng, question, name, rng.sample(EVENTS, 12), conclusion, sentences)
    k, when = (0, "first") if rng.random() < 0.5 else (len(scenes) - 1, "last")
    question = rng.choice(SHOWN_AT_AN_END).format(when)
    wrong = rng.sample([x for j, x in enumerate(looks) if j != k], len(looks) - 1)
    conclusion = f"So {with_article(looks[k])} is shown {when}."
    return ask(rng, question, looks[k], wrong + [look_name(look(rng)) for _ in range(4)], conclusion, sentences)


def video_qa(rng, questions):
    count = rng.choice([2] * 6 + [3] * 8 + [4] * 4 + [5] * 2)
    scenes = []
    while len(scenes) < count:
        found = look(rng)
        apart = not scenes or (scenes[-1][0][0] != found[0] and scenes[-1][0][1] != found[1])
        if apart and all(found != s[0] for s in scenes):
            scenes.append((found, rng.randint(2, 3 if count == 5 else 4)))
    noisy = sorted(rng.sample(range(count), rng.randint(1, min(3, count))))
    heard, segments, sentences, start = [None] * count, [], [], 0
    for k, event in zip(noisy, events(rng, len(noisy))):
        heard[k] = event
    for k, (found, secs) in enumerate(scenes):
        sentences.append(f"{'Then' if k else 'First'} {with_article(look_name(found))} is shown.")
        if heard[k]:
            length = rng.uniform(0.8, 1.3)
            at = rng.uniform(start + 0.15, start + secs - 0.15 - length)
            segments.append((at, at + length, heard[k]))
            sentences.append(f"At this time {with_article(heard[k])} is heard.")
        start += secs
    pieces = [("text", rng.choice(PROMPTS["video-qa"])), ("video", film(rng, scenes, segments))]
    return pieces, [video_question(rng, scenes, heard, sentences) for _ in range(questions)]


def mixed(rng, _):
    pieces, sentences = [("text", rng.choice(PROMPTS["mixed"]))], []
    for part in rng.sample(range(3), 3):
        if part == 0:
            name, *deed = fact(rng)
            pieces.append(("text", f"{name}: I {' '.join(deed)}.\n"))
            sentences.append(f"{name} {' '.join(deed)}.")
        elif part == 1:
            quadrants = sorted(rng.sample(range(4), 1 if rng.random() < 0.6 else 2))
            placed = [(look(rng), q) for q in quadrants]
            pieces.append(("image", picture(rng, placed)))
            for k, (found, quadrant) in enumerate(placed):
                opening = "It also shows" if k else "The picture shows"
                sentences.append(f"{opening} {with_article(look_name(found))} at the {QUADRANTS[quadrant]}.")
        elif rng.random() < 0.5:
            segments, words = [], fact(rng)
            at = spoken(rng, rng.uniform(0.1, 0.4), words, segments)
            pieces.append(("audio", {"secs": at + rng.uniform(0.1, 0.3), "segments": segments}))
            sentences.append(f"The speaker says that {' '.join(words)}.")
        else:
            found = events(rng, rng.randint(1, 2))
            pieces.append(("audio", track_of_events(rng, found)))
            openings = ["The only sound is"] if len(found) == 1 else ["The first sound is", "The last sound is"]
            sentences += [f"{o} {with_article(e)}." for o, e in zip(openings, found)]
    return pieces, [("", sentences, None)]


def matching(rng, _):
    """Dense practice of the hop from an answer to its letter: many options, then all letters in random order."""
    pool = [*EVENTS, *COLOURS, *SHAPES, *QUADRANTS, *ORDINALS, *NUMBERS[2:], *(look_name(look(rng)) for _ in range(12))]
    if rng.random() < 0.5:  # corners, as they are asked for: both words count, and the same answer comes again
        words = rng.sample(QUADRANTS, 3)
        return [("text", "Match.\n" + "".join(f" ({l}) {w}\n" for l, w in zip("ABC", words)))], \
            [("", [f"So the answer is {words[k]} ({'ABC'[k]})." for k in rng.choices(range(3), k=8)], "A")]
    if rng.random() < 0.6:  # names of two words that share one: the pair must match
        shapes, colours = rng.sample(SHAPES, 3), rng.sample(COLOURS, 3)
        pool = [*QUADRANTS, *(look_name((s, c)) for s in shapes for c in colours if not look_is_held_out(s, c))]
    words = rng.sample(sorted(set(pool)), rng.randint(5, min(12, len(set(pool)))))
    letters = rng.sample("ABCDEFGHIJKLMNOPQRSTUVWXYZ", len(words)) if rng.random() < 0.3 else \
        "".join(rng.choice("ABC") for _ in words)
    lines = "".join(f" ({l}) {w}\n" for l, w in zip(letters, words))
    order = rng.sample(range(len(words)), len(words))
    pieces = [("text", f"Match.\n{lines}")]
    return pieces, [("", [f"So the answer is {words[k]} ({letters[k]})." for k in order], letters[0])]


def lookup(rng, questions):
    """Dense practice of the hop from a question's key to the fact: the facts as text, then many questions answered at once."""
    task = rng.choice(["audio-qa", "visual-qa", "visual-qa", "video-qa", "video-qa"])
    pieces, branches = TASKS[task](rng, 3 * questions)
    while task == "visual-qa" and len(branches[0][1]) < 6:  # few facts are no practice
        pieces, branches = TASKS[task](rng, 3 * questions)
    sentences = branches[0][1][:-2]
    return [pieces[0], told(sentences)], [(question, answer[-2:], letter) for question, answer, letter in branches]


def told(sentences):
    return "text", " ".join(sentences) + "\n"


TASKS = {"dialogue": dialogue, "speech": speech, "audio-qa": audio_qa, "visual-qa": visual_qa, "video-qa": video_qa,
         "mixed": mixed, "matching": matching, "lookup": lookup}


def sample(task, rng, questions=1):
    pieces, branches = TASKS[task](rng, questions)
    return {"task": task, "pieces": pieces, "branches": branches}


def texts(found):
    """All strings of a sample, one by one: what the tokenizer learns from."""
    for kind, value in found["pieces"]:
        if kind == "text":
            yield value
    for question, sentences, _ in found["branches"]:
        yield question
        yield " ".join(sentences)
