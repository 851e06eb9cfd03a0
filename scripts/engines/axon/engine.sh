#!/bin/sh
# Build, check or start the Elixir engine: engine.sh build|check|train|parity [ARGUMENT...]
# Built code stands in one folder per state of the source: in an image below /opt/evenground/axon, else in the home
# folder's cache, which alone of all places is the same when it is built and in a training's clean environment.
set -eu
word=$1
shift
LC_ALL=C.UTF-8
export LC_ALL
here=$(cd "$(dirname "$0")" && pwd)
home=${EVENGROUND_AXON_HOME:-$HOME/.cache/evenground/axon}
code=$(cd "$here" && cat core/mix.exs trainer/mix.exs core/lib/*/*.ex trainer/lib/*/*.ex | sha256sum | cut -c1-12)
place=/opt/evenground/axon/$code
[ -f "$place/complete" ] || place=$home/$code

fail() {
    [ "$word" = check ] && echo "$1" || echo "error: $1" >&2
    exit 1
}

elixir_is_new_enough() {
    command -v elixir >/dev/null || fail "elixir: not installed: install Elixir 1.17 or newer on Erlang/OTP 27"
    found=$(elixir --short-version)
    case $found in 0.* | 1.[0-9].* | 1.1[0-6].*) fail "Elixir $found is too old: install 1.17 or newer on Erlang/OTP 27" ;; esac
}

build() {
    elixir_is_new_enough
    mkdir -p "$place"
    cd "$here/trainer"
    export MIX_ENV=prod MIX_DEPS_PATH="$place/deps" MIX_BUILD_PATH="$place/build" MIX_HOME="${MIX_HOME:-$home/mix}"
    # Never found out by looking for a compiler: what is built is what was asked for.
    export XLA_TARGET="${XLA_TARGET:-cpu}"
    if [ -z "${EVENGROUND_ELIXIR_SOURCES:-}" ]; then
        { mix local.hex --force --if-missing && mix local.rebar --force --if-missing && mix deps.get; } ||
            fail "Elixir's packages cannot be fetched: hex.pm and github.com must be reachable while it is built"
    fi
    mix compile
    touch "$place/complete"
    echo "built: $place"
}

case $word in
build) build ;;
check)
    elixir_is_new_enough
    [ -f "$place/complete" ] || fail "not built: sh scripts/engines/axon/engine.sh build (README.md says what it needs)"
    case " $* " in *" backend=binary "*) exit ;; esac
    [ -d "$place/build/lib/exla" ] || fail "built without EXLA: build it again with its packages, or take the option backend: binary"
    ;;
train | parity)
    [ -f "$place/complete" ] || fail "not built: sh scripts/engines/axon/engine.sh build"
    # As many schedulers as there are cores to work with; the rest of the BEAM stays as it comes.
    threads=$(echo " $* " | sed -n 's/.* --threads \([0-9][0-9]*\) .*/\1/p')
    exec elixir ${threads:+--erl "+S $threads:$threads"} -pa "$place/build/lib/*/ebin" \
        -e "Evenground.Main.$word(System.argv())" -- "$@"
    ;;
*) fail "engine.sh: unknown word '$word': build, check, train or parity" ;;
esac
