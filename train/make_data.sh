#!/bin/sh
# Writes all training and evaluation shards into CACHE/shards and the tokenizer into CACHE/tok. Finished shards are kept.
# usage: sh make_data.sh CACHE      (SHARE=0.01 before it: so much of everything, to try the way out)
set -eu
cache=$(mkdir -p "$1/shards" && cd "$1" && pwd)
cd "$(dirname "$0")"
cargo build --release -q -p dataset
target=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
dataset="$target/release/dataset"
of() { # so many, or the share of it, four at least
    awk -v count="$1" -v share="${SHARE:-1}" 'BEGIN { count = int(count * share); print count < 4 ? 4 : count }'
}
write() { # name, arguments...
    name=$1
    shift
    test -e "$cache/shards/$name.done" && return
    "$dataset" "$@" --out "$cache/shards/$name"
    touch "$cache/shards/$name.done"
}
write p-image perception --kind image --count "$(of 8000)"
write p-event perception --kind event --count "$(of 2500)"
write p-speech perception --kind speech --count "$(of 4000)"
write e-image perception --kind image --count "$(of 200)" --split eval
write e-event perception --kind event --count "$(of 60)" --split eval
write e-speech perception --kind speech --count "$(of 60)" --split eval
write e-video-qa export --task video-qa --count "$(of 20)" --split eval
for task in dialogue speech audio-qa visual-qa video-qa mixed; do
    case $task in visual-qa | video-qa) count=2200 ;; *) count=1200 ;; esac
    write "t-$task" export --task $task --count "$(of $count)"
    write "v-$task" export --task $task --count "$(of 200)" --split eval
    write "h-$task" export --task $task --count "$(of 200)" --split heldout
done
test -e "$cache/tok/tokenizer.json" || python -m omni.tokens "$cache/tok"
