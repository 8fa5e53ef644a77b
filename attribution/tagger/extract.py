"""Makes tagger/dictionary.txt and tagger/rules.txt from the model of harper-brill 3.0.0."""
import json, sys
m = json.load(open(sys.argv[1]))
out = sys.argv[2]
by = {}
for w, t in m["base"]["mapping"].items():
    by.setdefault(t, []).append(w)
with open(out + "/dictionary.txt", "w") as f:
    f.write("# Words by universal part of speech. From harper-brill 3.0.0 (see README.md), Apache-2.0.\n")
    for t in sorted(by):
        f.write(t + "\t" + " ".join(sorted(by[t])) + "\n")
def crit(c):
    k, v = next(iter(c.items()))
    if k == "Combined": return crit(v["a"]) + " & " + crit(v["b"])
    if k == "WordIs": return f"word {v['relative']} {v['word']}"
    if k == "WordIsTaggedWith": return f"tag {v['relative']} {v['is_tagged']}"
    if k == "AnyWordIsTaggedWith": return f"any {v['max_relative']} {v['is_tagged']}"
    if k == "SandwichTaggedWith": return f"between {v['prev_word_tagged']} {v['post_word_tagged']}"
    raise SystemExit(k)
with open(out + "/rules.txt", "w") as f:
    f.write("# Brill rules in order: from > to : conditions. From harper-brill 3.0.0 (see README.md), Apache-2.0.\n")
    for p in m["patches"]:
        f.write(f"{p['from']} > {p['to']} : {crit(p['criteria'])}\n")
