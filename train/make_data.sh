#!/bin/sh
# Writes all training and evaluation shards into CACHE/shards and the tokenizer into CACHE/tok. Finished shards are kept.
# usage: sh make_data.sh CACHE
set -eu
cache=$(mkdir -p "$1/shards" && cd "$1" && pwd)
cd "$(dirname "$0")"
cargo build --release -q -p dataset
target=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
dataset="$target/release/dataset"
write() { # name, arguments...
    name=$1
    shift
    test -e "$cache/shards/$name.done" && return
    "$dataset" "$@" --out "$cache/shards/$name"
    touch "$cache/shards/$name.done"
}
write p-image perception --kind image --count 8000
write p-event perception --kind event --count 2500
write p-speech perception --kind speech --count 4000
write e-image perception --kind image --count 200 --split eval
write e-event perception --kind event --count 60 --split eval
write e-speech perception --kind speech --count 60 --split eval
write e-video-qa export --task video-qa --count 20 --split eval
for task in dialogue speech audio-qa visual-qa video-qa mixed; do
    case $task in visual-qa | video-qa) count=2200 ;; *) count=1200 ;; esac
    write "t-$task" export --task $task --count $count
    write "v-$task" export --task $task --count 200 --split eval
    write "h-$task" export --task $task --count 200 --split heldout
done
test -e "$cache/tok/tokenizer.json" || python -m omni.tokens "$cache/tok"
