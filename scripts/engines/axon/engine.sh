#!/bin/sh
# Build, check or start the Elixir engine: engine.sh [--python PYTHON] build|place|check|train|parity [ARGUMENT...]
# PYTHON is the engine's environment, whose wheels a build for CUDA needs.
# Each state of the source and each target (XLA_TARGET, cpu or cuda12) has a folder of built code: in an image below
# /opt/evenground/axon, else in the pipeline's cache, the only place that is the same during the build and in a
# training's clean environment.
set -eu
python=
if [ "${1:-}" = --python ]; then
    python=${2:-}
    shift 2
fi
word=${1:-}
[ $# -eq 0 ] || shift
LC_ALL=C.UTF-8
export LC_ALL
here=$(cd "$(dirname "$0")" && pwd)
. "$here/cuda.sh"
cache=${EVENGROUND_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/evenground}
home=$(realpath -m -- "${EVENGROUND_AXON_HOME:-$cache/axon}")
# The command of a native build, for messages.
how="sh scripts/engines/axon/engine.sh build"

# All files of a build; others are not copied, and so never built.
sources() {
    for folder in core trainer; do
        find -L "$folder" \( -path "$folder/_build" -o -path "$folder/deps" -o -path "$folder/tmp" \
            -o -path "$folder/test" -o -name '.?*' \) -prune -o -type f -print
    done | LC_ALL=C sort
}

code=$(cd "$here" && sources | tr '\n' '\0' | xargs -0 sha256sum | sha256sum | cut -c1-12)

fail() {
    [ "$word" = check ] && echo "$1" || echo "error: $1" >&2
    exit 1
}

elixir_is_new_enough() {
    command -v elixir >/dev/null || fail "elixir: not installed: install Elixir 1.17 or newer on Erlang/OTP 27"
    found=$(elixir --short-version)
    case $found in 0.* | 1.[0-9].* | 1.1[0-6].*) fail "Elixir $found is too old: install 1.17 or newer on Erlang/OTP 27" ;; esac
}

# Set `target` and `place` to a build for accelerator $1, `cpu` or `cuda`.
find_build() {
    # A build for CUDA computes on the processor, too.
    case $1 in cuda) fitting=cuda12 ;; *) fitting="cpu cuda12" ;; esac
    for target in $fitting; do
        for above in /opt/evenground/axon "$home"; do
            place=$above/$code-$target
            [ ! -f "$place/complete" ] || return 0
        done
    done
    [ "$1" = cuda ] || fail "not built: $how (docs/elixir.md says what it needs)"
    [ ! -f "$home/$code-cpu/complete" ] ||
        fail "built for the processor only, and a GPU shall compute: XLA_TARGET=cuda12 $how, or set accelerator: cpu"
    fail "not built: XLA_TARGET=cuda12 $how (docs/elixir.md says what it needs)"
}

# A build is made again if these change. Mix itself would take a build without EXLA for up to date.
conditions() {
    echo "packages=${EVENGROUND_ELIXIR_SOURCES:-hex}"
    elixir --version
}

build() {
    elixir_is_new_enough
    # Without these, XLA and EXLA would look for nvcc and choose a target themselves.
    export XLA_TARGET="$target" EXLA_CPU_ONLY=true
    if [ -n "${EVENGROUND_ELIXIR_SOURCES:-}" ]; then
        EVENGROUND_ELIXIR_SOURCES=$(realpath -- "$EVENGROUND_ELIXIR_SOURCES") || fail "EVENGROUND_ELIXIR_SOURCES: no such folder"
    fi
    mkdir -p "$place"
    rm -f "$place/complete"
    wanted=$(conditions)
    [ "$(cat "$place/conditions" 2>/dev/null)" = "$wanted" ] || rm -rf "$place/build"
    echo "$wanted" >"$place/conditions"
    # A copy is built: files that Mix writes into the engine's folder would be part of every run's key.
    rm -rf "$place/source"
    mkdir "$place/source"
    (cd "$here" && sources | tar -chf - -T -) | tar -xf - -C "$place/source"
    cd "$place/source/trainer"
    export MIX_ENV=prod MIX_DEPS_PATH="$place/deps" MIX_BUILD_PATH="$place/build" MIX_HOME="${MIX_HOME:-$home/mix}"
    if [ -z "${EVENGROUND_ELIXIR_SOURCES:-}" ]; then
        { mix local.hex --force --if-missing && mix local.rebar --force --if-missing && mix deps.get; } ||
            fail "Elixir's packages cannot be fetched: hex.pm and github.com must be reachable while it is built"
    fi
    mix compile
    touch "$place/complete"
    echo "built: $place"
}

# The last value of argument $1 (--NAME VALUE or --NAME=VALUE) that begins with $2, without $2.
last_given() {
    name=$1
    start=$2
    last=
    shift 2
    while [ $# -gt 0 ]; do
        value=
        case $1 in
        "$name="*) value=${1#"$name="} ;;
        "$name")
            [ $# -eq 1 ] || shift
            value=$1
            ;;
        esac
        case $value in "$start"?*) last=${value#"$start"} ;; esac
        shift
    done
    printf '%s\n' "$last"
}

# The wheels of CUDA: of environment `python`, or of the pipeline's one for a GPU, if that is complete.
find_wheels() {
    [ -n "$python" ] || return 0
    found=$(cuda_wheels "$(dirname "$(dirname "$python")")")
    if [ -z "$found" ]; then
        environment=$("$python" -I "$here/../../environment.py" axon-cuda --where)
        [ ! -f "$environment/evenground-complete" ] || found=$(cuda_wheels "$environment")
    fi
    printf '%s' "$found"
}

# Let the loader and XLA find CUDA in the wheels, not in a toolkit of this machine.
use_wheels() {
    [ -n "$1" ] || return 0
    export LD_LIBRARY_PATH="$(cuda_libraries "$1")${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
    export XLA_FLAGS="${XLA_FLAGS:+$XLA_FLAGS }--xla_gpu_cuda_data_dir=\"$(cuda_root "$1")\""
}

# Start the engine with settings that a running process cannot change.
start() {
    flags=
    threads=$(last_given --threads '' "$@")
    case $threads in
    '' | *[!0-9]* | 0*) ;;
    *)
        # One scheduler a core. XLA reads its number of threads here, else it takes the number of usable cores.
        flags="+S $threads:$threads"
        export NPROC="$threads" PJRT_NPROC="$threads"
        ;;
    esac
    case $(last_given --option keep_freed_memory= "$@") in
    [Tt][Rr][Uu][Ee])
        # By default the BEAM lets malloc give back everything above 128 KiB, so that each of XLA's buffers is mapped again.
        flags="$flags +MYtt 1000000 +MYtp 100000"
        export MALLOC_MMAP_THRESHOLD_=33554432
        ;;
    esac
    exec elixir ${flags:+--erl "$flags"} -pa "$place/build/lib/*/ebin" \
        -e "Evenground.Main.$word(System.argv())" -- "$@"
}

target=${XLA_TARGET:-cpu}
place=$home/$code-$target
case $word in
build)
    case $target in cpu | cuda12) ;; *) fail "XLA_TARGET=$target: cpu or cuda12" ;; esac
    build
    ;;
place) echo "$place" ;;
check | train | parity)
    [ "$word" != check ] || elixir_is_new_enough
    accelerator=$(last_given --accelerator '' "$@")
    find_build "$accelerator"
    wheels=
    [ "$target" = cpu ] || wheels=$(find_wheels)
    # A check may run before the environment with CUDA's libraries is built: then there is nothing to try.
    if [ "$word" = check ] && [ "$accelerator" = cuda ] && [ -z "$wheels" ]; then exit 0; fi
    use_wheels "$wheels"
    start "$@"
    ;;
*) fail "engine.sh: unknown word '$word': build, place, check, train or parity" ;;
esac
