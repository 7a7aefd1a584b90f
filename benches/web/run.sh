#!/usr/bin/env bash
# Pages side by side with nginx, and a paced fan-out with and without 10,000 requests for pages a second beside it.
#
#     cargo build --release --workspace --bins && benches/web/run.sh [ROUNDS]
#
# wrk and nginx are those of Debian; where they are not installed they are fetched into target/web.
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${1:-3} folder=$PWD/target/web
mkdir -p "$folder/pages" "$folder/node"
if ! command -v wrk >/dev/null || ! command -v nginx >/dev/null; then
    (cd "$folder" && apt-get download wrk nginx libluajit-5.1-2 && for package in *.deb; do dpkg -x "$package" .; done) >/dev/null
    export PATH="$folder/usr/bin:$folder/usr/sbin:$PATH"
    LD_LIBRARY_PATH=$(dirname "$(find "$folder/usr/lib" -name 'libluajit-*' | head -n 1)")
    export LD_LIBRARY_PATH
fi
head -c 1024 /dev/urandom >"$folder/pages/small"
head -c 102400 /dev/urandom >"$folder/pages/large"
echo 'function delay() return 10 end' >"$folder/paced.lua"
cat >"$folder/node/config.json" <<'J'
{"version": 2, "corebar": {"shards": 2, "pin": false, "log": {"level": "error"}}, "workers": [{"type": "router",
 "realms": [{"name": "realm1", "roles": [{"name": "anonymous", "permissions": [{"uri": "*",
  "allow": {"call": true, "register": true, "publish": true, "subscribe": true}}]}]}],
 "transports": [{"type": "web", "endpoint": {"type": "tcp", "port": 18080, "interface": "127.0.0.1"}, "paths": {
  "/": {"type": "static", "directory": "../pages"}, "ws": {"type": "websocket"}}}]}]}
J
cat >"$folder/nginx.conf" <<J
worker_processes 2; error_log stderr crit; pid $folder/nginx.pid; events { worker_connections 1024; }
http { access_log off; sendfile on; keepalive_requests 1000000; client_body_temp_path $folder/t1; proxy_temp_path $folder/t2;
 fastcgi_temp_path $folder/t3; uwsgi_temp_path $folder/t4; scgi_temp_path $folder/t5;
 server { listen 127.0.0.1:18081; root $folder/pages; } }
J
target/release/corebar start --cbdir "$folder/node" >/dev/null &
router=$!
nginx -c "$folder/nginx.conf" -p "$folder"
trap 'kill $router; kill "$(cat "$folder/nginx.pid")" 2>/dev/null || true' EXIT
sleep 1
for round in $(seq "$rounds"); do
    for page in small large; do
        for server in corebar:18080 nginx:18081; do
            echo "round $round, $page, ${server%:*}:" "$(wrk -t1 -c32 -d4 "http://127.0.0.1:${server#*:}/$page" |
                grep -E 'Requests/sec|Latency' | tr -s ' \n' ' ')"
        done
    done
done
kill "$(cat "$folder/nginx.pid")"
fanout() {
    target/release/loadtest fanout --url ws://127.0.0.1:18080/ws --pid "$router" \
        --publishers 1 --subscribers 200 --rate 50 --duration 6 | grep -E '^  (delivery|last subscriber) '
}
for round in $(seq "$rounds"); do
    echo "round $round, events alone" && fanout
    wrk -t1 -c115 -d8 -s "$folder/paced.lua" http://127.0.0.1:18080/small >"$folder/paced" &
    paced=$!
    sleep 0.5
    echo "round $round, beside pages" && fanout
    wait "$paced"
    grep Requests/sec "$folder/paced"
done
