#!/bin/sh
# Starts the configurations of this folder on free ports, in front of a real `omnitrace serve`, and looks whether events,
# ranges and uploads come through. Needs nginx, caddy, curl and openssl (Debian: apt-get install nginx caddy curl openssl);
# nothing of the machine is changed.
#
#   sh deploy/check.sh [target/release/omnitrace]
set -eu
program=$(realpath "${1:-target/release/omnitrace}")
deploy=$(cd "$(dirname "$0")" && pwd)
base=${CHECK_PORT:-39400}
app=$base nginx_http=$((base + 1)) nginx_tls=$((base + 2)) caddy_http=$((base + 3))
dir=$(mktemp -d)
pids=""
failed=0

end() {
    for pid in $pids; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$dir"
}
trap end EXIT

say() { printf '%-7s %s\n' "$1" "$2"; }
good() { say ok "$1"; }
bad() { say BAD "$1"; failed=1; }

answers() { # URL NAME LOG; the last process that was started
    for _ in $(seq 300); do
        curl -ksf -o /dev/null "$1" && return 0
        kill -0 "${pids##* }" 2>/dev/null || break
        sleep 0.2
    done
    cat "$3" >&2
    echo "$2 does not answer" >&2
    exit 1
}

# The unit: with a program that is there on this machine.
if command -v systemd-analyze >/dev/null; then
    sed "s#^ExecStart=[^ ]*#ExecStart=$program#" "$deploy/omnitrace.service" > "$dir/omnitrace.service"
    if said=$(SYSTEMD_LOG_LEVEL=warning systemd-analyze verify --man=no "$dir/omnitrace.service" 2>&1) && [ -z "$said" ]; then
        good "omnitrace.service is a unit that systemd understands"
    else
        bad "omnitrace.service: $said"
    fi
else
    say skip "there is no systemd-analyze here"
fi

# The settings file, with ports and data of our own.
sed -e "s#^listen = .*#listen = \"127.0.0.1:$app\"#" -e '/^metrics = /d' -e 's/^# forwarded-for.*/forwarded-for = true/' \
    "$deploy/omnitrace.toml" > "$dir/omnitrace.toml"
"$program" --config "$dir/omnitrace.toml" serve --data "$dir/data" > "$dir/app.log" 2>&1 &
pids="$pids $!"
answers "http://127.0.0.1:$app/readyz" omnitrace "$dir/app.log"
good "omnitrace serves with omnitrace.toml"

# nginx: its server block within a whole file; a listener without TLS besides, for who looks from here.
openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=trace.example.org \
    -keyout "$dir/key.pem" -out "$dir/cert.pem" 2>/dev/null
sed -e "s#listen 443 ssl#listen 127.0.0.1:$nginx_http; listen 127.0.0.1:$nginx_tls ssl#" \
    -e "s#/etc/letsencrypt/.*/fullchain.pem#$dir/cert.pem#" -e "s#/etc/letsencrypt/.*/privkey.pem#$dir/key.pem#" \
    -e "s#127.0.0.1:3000#127.0.0.1:$app#" "$deploy/nginx.conf" > "$dir/server.conf"
mkdir "$dir/nginx"
cat > "$dir/nginx.conf" <<CONF
pid $dir/nginx.pid;
error_log $dir/nginx.log;
daemon off;
events { }
http {
    access_log off;
    gzip on;
    client_body_temp_path $dir/nginx/body;
    proxy_temp_path $dir/nginx/proxy;
    fastcgi_temp_path $dir/nginx/fastcgi;
    uwsgi_temp_path $dir/nginx/uwsgi;
    scgi_temp_path $dir/nginx/scgi;
    include $dir/server.conf;
}
CONF
nginx -p "$dir/nginx" -e "$dir/nginx.log" -c "$dir/nginx.conf" >> "$dir/nginx.log" 2>&1 &
pids="$pids $!"
answers "http://127.0.0.1:$nginx_http/livez" nginx "$dir/nginx.log"

# Caddy: without certificates, and without its administration.
{
    printf '{\n\tadmin off\n\tauto_https off\n}\n'
    sed -e "s#^trace.example.org#http://127.0.0.1:$caddy_http#" -e "s#127.0.0.1:3000#127.0.0.1:$app#" "$deploy/Caddyfile"
} > "$dir/Caddyfile"
XDG_DATA_HOME="$dir" XDG_CONFIG_HOME="$dir" caddy run --adapter caddyfile --config "$dir/Caddyfile" > "$dir/caddy.log" 2>&1 &
pids="$pids $!"
answers "http://127.0.0.1:$caddy_http/livez" caddy "$dir/caddy.log"

through() { # NAME URL
    name=$1 url=$2
    # Events as they come, ranges, headers, links: as an operator would look. Other remarks of it are about this machine.
    if "$program" doctor --no-model --data "$dir/data" --url "$url" > "$dir/doctor.txt" 2>&1; then
        good "$name: omnitrace doctor finds nothing wrong"
    else
        bad "$name: omnitrace doctor: $(grep -v '^ok' "$dir/doctor.txt" | tr '\n' ' ')"
    fi
    # The last of a queue: its first event comes at once, its last when all before it are done.
    for seed in 1 2 3 4 5 6; do
        id=$(curl -s -X POST "$url/api/examples/audio-qa?seed=$seed" | sed 's/.*"id":"\([^"]*\)".*/\1/')
    done
    curl -sN "$url/api/traces/$id/events" | while read -r line; do
        case $line in data:*) date +%s%N ;; esac
    done > "$dir/times"
    apart=$((($(tail -1 "$dir/times") - $(head -1 "$dir/times")) / 1000000))
    if [ "$(wc -l < "$dir/times")" -gt 5 ] && [ "$apart" -gt 300 ]; then
        good "$name: $(wc -l < "$dir/times") events come as they happen, over $apart ms"
    else
        bad "$name: $(wc -l < "$dir/times") events came within $apart ms"
    fi
    # A part of a file of an example.
    page=$(curl -sf "$url/" | grep -o '"/t/[^"#?]*' | head -1 | cut -c2-)
    file=$(curl -sf "$url$page" | grep -o '"/media/[^"]*' | head -1 | cut -c2-)
    got=$(curl -s --compressed -r 10-29 -o "$dir/part" -w '%{http_code}' "$url$file")
    if [ "$got" = 206 ] && [ "$(wc -c < "$dir/part")" = 20 ]; then
        good "$name: a range of $file comes as it is"
    else
        bad "$name: a range of $file: $got, $(wc -c < "$dir/part") bytes"
    fi
    # An upload within the bounds of a request, with a file beyond those of a file: the server's own sentence must come.
    truncate -s 101M "$dir/large"
    asked='{"prompt": "What is it?", "question": [{"image": "a"}]}'
    got=$(curl -s -o "$dir/answer" -w '%{http_code}' -F "request=$asked" -F "a=@$dir/large" "$url/api/traces" || true)
    if [ "$got" = 413 ] && grep -q '"message".*100 MB' "$dir/answer"; then
        good "$name: a file that is too large gets the server's sentence"
    else
        bad "$name: a file of 101 MB: $got $(head -c 300 "$dir/answer")"
    fi
    # Just below what a request may be: nothing of the proxy's stands in the way.
    truncate -s 85M "$dir/large"
    got=$(curl -s -o "$dir/answer" -w '%{http_code}' -F "request=$asked" -F "a=@$dir/large" -F "b=@$dir/large" \
        -F "c=@$dir/large" "$url/api/traces" || true)
    if [ "$got" = 415 ] && grep -q '"message"' "$dir/answer"; then
        good "$name: a request of 255 MiB goes through"
    else
        bad "$name: a request of 255 MiB: $got $(head -c 300 "$dir/answer")"
    fi
    # Just above it, and still below the proxy's own limit: again the server's sentence.
    truncate -s 86M "$dir/large"
    got=$(curl -s -o "$dir/answer" -w '%{http_code}' -F "request=$asked" -F "a=@$dir/large" -F "b=@$dir/large" \
        -F "c=@$dir/large" "$url/api/traces" || true)
    if [ "$got" = 413 ] && grep -q '"message".*256 MB' "$dir/answer"; then
        good "$name: a request of 258 MiB gets the server's sentence"
    else
        bad "$name: a request of 258 MiB: $got $(head -c 300 "$dir/answer")"
    fi
}
through nginx "http://127.0.0.1:$nginx_http"
through caddy "http://127.0.0.1:$caddy_http"
got=$(curl -sk -o /dev/null -w '%{http_version} %{http_code}' "https://127.0.0.1:$nginx_tls/")
if [ "$got" = "2 200" ]; then good "nginx: TLS and HTTP/2"; else bad "nginx over TLS: $got"; fi
if [ "$failed" = 0 ]; then echo "Everything came through."; fi
exit "$failed"
