# Shared by the peer scripts beside it; sourced, never run. Two simulators for a foreign SDK to try.
# shellcheck shell=bash

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
hongbao=${HONGBAO:-target/debug/hongbao}
work=$(mktemp -d)
simulators=()

stop() {
    for pid in ${simulators[@]+"${simulators[@]}"}; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap stop EXIT

# Starts a simulator on free ports and waits until it has printed what a client needs to know.
simulate() {
    local out=$1
    shift
    : >"$out"
    "$hongbao" simulate --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 "$@" >"$out" &
    simulators+=($!)
    for _ in $(seq 100); do
        if grep -q '^# ready' "$out"; then
            return
        fi
        sleep 0.1
    done
    echo "FAIL the simulator did not start"
    exit 1
}

# One over plain HTTP and one over TLS; what they printed is in $work/plain and $work/tls, the
# certificates are in $work/certs.
simulate_both() {
    if [[ ! -x $hongbao ]]; then
        cargo build --bin hongbao
    fi
    "$hongbao" simulate --make-certs "$work/certs" >/dev/null
    simulate "$work/plain" --books "$work/plain.jsonl"
    simulate "$work/tls" --books "$work/tls.jsonl" \
        --tls-cert "$work/certs/server.pem" --tls-key "$work/certs/server.key" \
        --client-ca "$work/certs/ca.pem"
}
