# CUDA from the wheels of a Python environment, for XLA. Sourced by engine.sh and by containers/axon.def: only this file
# knows the layout of the wheels of CUDA 12. XLA looks for nvvm/libdevice/libdevice.10.bc and bin/ptxas below one root, and
# the loader for libraries.

# The folder with the wheels of environment $1; empty if it has none.
cuda_wheels() {
    for wheels in "$1"/lib/python3*/site-packages/nvidia; do
        [ ! -d "$wheels/cuda_nvcc" ] || printf '%s\n' "$wheels"
    done
}

# Folders of the wheels in $1 that have libraries, joined by colons.
cuda_libraries() {
    set -- "$1"/*/lib
    (IFS=: && printf '%s\n' "$*")
}

# The root below which the wheels in $1 have libdevice and ptxas.
cuda_root() {
    printf '%s\n' "$1/cuda_nvcc"
}

# Link the wheels in $1 to places where an image finds them without variables; $2 is the image's root.
link_cuda() {
    mkdir -p "$2/opt/evenground/cuda" "$2/usr/local/bin"
    ln -sf -t "$2/opt/evenground/cuda" "$1"/*/lib/*.so*
    # XLA tries this root; it takes ptxas from PATH first.
    ln -sfnT "$(cuda_root "$1")" "$2/opt/cuda"
    ln -sf "$(cuda_root "$1")/bin/ptxas" "$2/usr/local/bin/ptxas"
}
