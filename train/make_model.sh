#!/bin/sh
# Trains encoders and decoder in CACHE (filled by make_data.sh). Finished parts are kept; the decoder goes on where it was.
# usage: sh make_model.sh CACHE HH:MM      (the time at which the decoder's learning rate has fallen to its end; with
# SHARE=0.01 before it the first parts take that share of their minutes, one at least: to try the way out)
set -eu
cache=$(cd "$1" && pwd)
cd "$(dirname "$0")"
minutes() {
    awk -v minutes="$1" -v share="${SHARE:-1}" 'BEGIN { minutes *= share; print minutes < 1 ? 1 : minutes }'
}
test -e "$cache/vision.done" || { python -m omni.perceive vision --cache "$cache" --minutes "$(minutes 8)" && touch "$cache/vision.done"; } &
test -e "$cache/audio.done" || { python -m omni.perceive audio --cache "$cache" --minutes "$(minutes 12)" && touch "$cache/audio.done"; } &
test -e "$cache/sketched.done" || {
    python -m omni.learn --cache "$cache" --for-minutes "$(minutes 14)" --name decoder ${SKETCHED:+--resume decoder}
    touch "$cache/sketched.done"
} &
wait
test -e "$cache/features.done" || { python -m omni.features --cache "$cache" && touch "$cache/features.done"; }
python -m omni.learn --cache "$cache" --until "$2" --name decoder --resume decoder --processes 2 --features "$cache/features"
