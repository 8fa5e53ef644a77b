#!/bin/sh
# Makes the fixtures of this folder from ffmpeg's own test pictures and tones (Debian 12: ffmpeg 5.1.6, python3-pil 9.4
# or newer). Run it in this folder; the files are committed, since encoders differ between versions.
set -eu
ff() { ffmpeg -nostdin -loglevel error -y -fflags +bitexact -flags:v +bitexact -flags:a +bitexact "$@"; }

# A second and a bit of two tones in two channels, 22.05 kHz, and its decoded forms.
ff -f lavfi -i "aevalsrc=0.4*sin(2*PI*440*t)|0.2*sin(2*PI*660*t*(1+t/8)):s=22050:d=1.2" -c:a pcm_s16le tone.wav
ff -i tone.wav -t 0.3 -c:a pcm_s24le tone24.wav
ff -i tone.wav -c:a libmp3lame -b:a 64k tone.mp3
ff -i tone.wav -c:a flac tone.flac
ff -i tone.wav -c:a libvorbis -q:a 2 tone.ogg
ff -i tone.wav -c:a libopus -b:a 32k tone.opus
ff -i tone.wav -c:a aac -b:a 64k tone.m4a
ff -i tone.wav -c:a aac -b:a 64k -f adts tone.aac
# What ffmpeg decodes them to, as the mean of both channels; 1.2 s is what the tracks declare (ffmpeg keeps the filling of the last block).
for name in tone.mp3 tone.ogg tone.m4a; do
  ff -i $name -t 1.2 -af "pan=mono|c0=0.5*c0+0.5*c1" -c:a pcm_s16le $name.expected.wav
done

# Film: B-frames and BT.709 tags as cameras and editors write them; a fragment of it; and formats that need ffmpeg.
ff -f lavfi -i "testsrc2=s=96x64:r=25:d=1.2" -f lavfi -i "sine=440:d=1.2:r=22050" -pix_fmt yuv420p \
  -c:v libx264 -profile:v high -bf 2 -g 12 -crf 24 -threads 1 \
  -colorspace bt709 -color_primaries bt709 -color_trc bt709 -c:a aac -b:a 32k film.mp4
ff -i film.mp4 -an -vf "select=eq(n\,0)+eq(n\,7)+eq(n\,29)" -vsync 0 -pix_fmt rgb24 film.mp4.%d.png
ff -i film.mp4 -c copy -movflags frag_keyframe+empty_moov fragmented.mp4
ff -i film.mp4 -c:v libvpx-vp9 -crf 45 -b:v 0 -threads 1 -c:a libopus -b:a 24k film.webm
ff -i film.mp4 -an -c:v libx265 -crf 34 -x265-params log-level=error:pools=none:frame-threads=1 -tag:v hvc1 hevc.mp4

# Notes in every place where these containers have one.
mark="SECRET PLACE 48.85N 2.29E"
for name in ogg opus; do ff -i tone.$name -c copy -metadata comment="$mark" -metadata title="$mark" noted.$name; done
ff -i tone.wav -t 0.3 -c:a flac -metadata comment="$mark" noted.oga
ff -i noted.ogg -c copy noted.mka
printf ';FFMETADATA1\ntitle=%s\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=900\ntitle=%s\n' "$mark" "$mark" > chapters.txt
printf '%s\n' "$mark" > attached.txt
ff -i film.webm -i chapters.txt -map 0 -map_metadata 1 -map_chapters 1 -c copy -attach attached.txt \
  -metadata comment="$mark" -metadata:s:t mimetype=text/plain -metadata:s:v title="$mark" -metadata creation_time=2020-02-02T02:02:02Z noted.mkv
rm chapters.txt attached.txt

# Pictures.
ff -f lavfi -i "testsrc2=s=60x44:d=0.1:r=10" -frames:v 1 -pix_fmt rgb24 plain.png
ff -i plain.png -c:v libwebp -lossless 1 lossless.webp
ff -f lavfi -i "testsrc2=s=60x44:d=0.4:r=10" moving.gif
python3 - <<'PY'
from PIL import Image
plain = Image.open("plain.png").convert("RGB")
plain.quantize(64).save("palette.png")
plain.convert("L").save("grey.png")
plain.save("baseline.jpg", quality=90)
plain.save("progressive.jpg", quality=90, progressive=True)
plain.convert("CMYK").save("cmyk.jpg", quality=90)
exif = Image.Exif()
exif[0x0112] = 6
plain.save("turned.jpg", quality=90, exif=exif)
rgba = plain.convert("RGBA")
rgba.putalpha(Image.linear_gradient("L").resize(plain.size))
rgba.save("alpha.png")
rgba.save("alpha.webp", lossless=True, exact=True)
# Pillow's own view of them: transparency on white, no rotation.
white = Image.new("RGB", plain.size, "white")
white.paste(rgba, mask=rgba.split()[3])
white.save("alpha.expected.png")
for name in ["baseline.jpg", "progressive.jpg", "turned.jpg", "cmyk.jpg", "palette.png", "grey.png", "moving.gif"]:
    Image.open(name).convert("RGB").save(name + ".expected.png")
PY
