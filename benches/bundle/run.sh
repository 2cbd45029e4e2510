#!/usr/bin/env bash
# Verifies, tests and measures wgpu-batchnorm on a machine without a Rust toolchain or a network.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
checks=(verify traversals reference test)
types=(f32 f16 bf16)
stages=("${checks[@]}" quick tune growth)
for kind in features quick resnet50 hard; do
    for type in "${types[@]}"; do
        [[ $kind-$type == quick-f32 ]] || stages+=("${kind}-${type}")
    done
done
stages=("${stages[@]/%-f32/}")

usage() {
    cat <<END
Usage: ./run.sh [options] [STAGE...]

Stages (all of them if none is named; each has its own time limit, and none stops another):
  ${stages[*]}

  verify     the oracle cases on this adapter
  traversals the same in each traversal
  reference  the CPU reference against the oracle cases
  test       every test that needs an adapter
  tune       the cost model's plans beside others, on the shapes of quick
  others     the benchmark, beside the peers: a set of shapes in f32, or in the type that the name ends in

Options:
  --out DIR          where results go (default: results, beside this script)
  --limit SECONDS    of a stage (default: 600)
  --repetitions N    how often everything is timed (default: 11)
  --adapter NAME     the adapter whose name contains this (default: the first one)
  --torch DEVICE     cuda, cpu or none (default: cuda where PyTorch has it, else none)
  --layout LAYOUT    channels-first, channels-last or both (default: both)
  --batch N          replaces N of all shapes, except in growth
  --list             print the stages, and do nothing

PYTHON names the Python that has PyTorch (default: python3).
END
}

die() {
    printf 'run.sh: %s\n' "$*" >&2
    exit 2
}

out=$here/results limit=600 repetitions=11 adapter='' torch='' layout=both batch=''
chosen=()
while (($#)); do
    case $1 in
    --help | -h) usage && exit 0 ;;
    --list) printf '%s\n' "${stages[@]}" && exit 0 ;;
    --out | --limit | --repetitions | --adapter | --torch | --layout | --batch)
        (($# > 1)) || die "$1 needs a value"
        declare "${1#--}=$2"
        shift
        ;;
    -*) die "unknown option $1; see ./run.sh --help" ;;
    *)
        [[ " ${stages[*]} " == *" $1 "* ]] || die "unknown stage $1; the stages are ${stages[*]}"
        chosen+=("$1")
        ;;
    esac
    shift
done
for number in "$limit" "$repetitions" ${batch:+"$batch"}; do
    [[ $number =~ ^[1-9][0-9]*$ ]] || die "'$number': expected a number from 1 up"
done
((limit >= 60)) || die "--limit $limit: expected at least 60 seconds, which the stages share out"
[[ $torch =~ ^(cuda|cpu|none)?$ ]] || die "--torch $torch: expected cuda, cpu or none"
((${#chosen[@]})) || chosen=("${stages[@]}")
[[ -d $here/bin ]] || die "this is no bundle: cargo xtask bundle makes one, with a run.sh of its own"
mkdir -p "$out" || die "cannot make the folder $out"
out=$(cd "$out" && pwd)
work=$(mktemp -d) || die 'cannot make a temporary folder'
trap 'rm -rf "$work"' EXIT
# Mesa's driver asks for it, and prints what looks like an error where it is missing.
export XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-$work}
# The tests look here for the cases and the other files that they read.
export BATCH_NORM_ROOT=$here BATCH_NORM_REQUIRE_ADAPTER=1

summary=() failed=0
note() {
    summary+=("$(printf '%-16s %-9s %5s s  %s' "$1" "$2" "$3" "$4")")
    printf '== %s\n' "${summary[-1]}"
    [[ $2 == ok || $2 == skipped ]] || failed=1
}

# Runs a command within so many seconds, its output on the screen and in a file, and notes how it ended.
step() {
    local name=$1 seconds=$2 file=$3 start=$SECONDS status
    shift 3
    printf '\n== %s (at most %d s): %s\n' "$name" "$seconds" "${*##*/}"
    timeout --kill-after=10 "$seconds" "$@" 2>&1 | tee "$file"
    status=${PIPESTATUS[0]}
    case $status in
    0) note "$name" ok $((SECONDS - start)) "$(basename "$file")" ;;
    124 | 137) note "$name" timeout $((SECONDS - start)) "stopped after $seconds s; see $(basename "$file")" ;;
    *) note "$name" FAILED $((SECONDS - start)) "exit status $status; see $(basename "$file")" ;;
    esac
    return "$status"
}

# ldconfig is not on the path of everyone.
library() { PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null | grep -q "$1"; }

# The Vulkan loader: the system's, or the one that came along.
find_loader() {
    local folder set=${LD_LIBRARY_PATH:-}
    library 'libvulkan\.so\.1' && return 0
    for folder in ${set//:/ } /usr/lib/x86_64-linux-gnu /usr/lib64 /usr/local/lib "$here/lib"; do
        if [[ -e $folder/libvulkan.so.1 ]]; then
            export LD_LIBRARY_PATH=$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
            return 0
        fi
    done
    printf 'The Vulkan loader libvulkan.so.1 is missing. Install it: apt-get install libvulkan1, or\n'
    printf 'dnf install vulkan-loader; or put the file into %s/lib.\n' "$here"
    return 1
}

# The loader finds drivers by files that name them; images with NVIDIA's driver may lack that file, or have it
# where the loader does not look.
find_driver() {
    local file folder
    [[ -z ${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-} && -e /dev/nvidiactl ]] || return 0
    for folder in /usr/share /etc /usr/local/share /usr/local/etc "${HOME:-/}/.local/share"; do
        compgen -G "$folder/vulkan/icd.d/*nvidia*.json" >/dev/null && return 0
    done
    if [[ -d /usr/local/nvidia/lib64 ]]; then
        export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}/usr/local/nvidia/lib64
    fi
    for file in /usr/local/nvidia/share/vulkan/icd.d/*nvidia*.json; do
        if [[ -e $file ]]; then
            export VK_DRIVER_FILES=$file
            return 0
        fi
    done
    if library 'libGLX_nvidia\.so\.0' || [[ -e /usr/local/nvidia/lib64/libGLX_nvidia.so.0 ]]; then
        printf '{"file_format_version": "1.0.0", "ICD": {"library_path": "libGLX_nvidia.so.0", "api_version": "1.3.0"}}\n' \
            >"$work/nvidia_icd.json"
        export VK_DRIVER_FILES=$work/nvidia_icd.json
        return 0
    fi
    printf 'There is an NVIDIA device, but not libGLX_nvidia.so.0, the Vulkan part of its driver. In a container\n'
    printf 'it comes with NVIDIA_DRIVER_CAPABILITIES=all (or graphics,compute,utility).\n'
}

has_adapter=1
prepare() {
    find_loader || has_adapter=0
    find_driver
    {
        date --utc +%FT%TZ
        uname -a
        lscpu 2>/dev/null | grep -E '^(Model name|CPU\(s\)|Thread|Core|Socket|L[123])'
        nvidia-smi 2>/dev/null
        printf 'VK_DRIVER_FILES=%s\nLD_LIBRARY_PATH=%s\n' "${VK_DRIVER_FILES:-}" "${LD_LIBRARY_PATH:-}"
    } >"$out/machine.txt"
    if ((has_adapter)) && ! step adapter 120 "$out/adapter.txt" "$here/bin/batchnorm" info; then
        has_adapter=0
        printf 'Programs need an adapter of Vulkan. With the loader there, a driver is missing: that of the GPU, or\n'
        printf 'in software apt-get install mesa-vulkan-drivers.\n'
    fi
    ((has_adapter)) || failed=1
    if [[ -z $torch ]]; then
        torch=none
        if [[ $(timeout 120 "$python" -c 'import torch; print(torch.cuda.is_available())' 2>/dev/null) == True ]]; then
            torch=cuda
        else
            note pytorch skipped 0 "$python has no PyTorch with CUDA; --torch cpu compares with the CPU"
        fi
    elif [[ $torch != none ]] && ! timeout 120 "$python" -c 'import torch' 2>/dev/null; then
        torch=none
        note pytorch skipped 0 "$python has no torch: set PYTHON to one that has"
    fi
    if [[ -e $here/bin/peer-burn.gz ]]; then
        gzip -dc "$here/bin/peer-burn.gz" >"$work/peer-burn" && chmod +x "$work/peer-burn"
    fi
}

python=${PYTHON:-python3}
# What the names of options and files call the layouts.
torch_layouts=()
[[ $layout == both ]] || torch_layouts=(--layout "${layout/-/_}")

# A set of shapes in one type: the peers first, then ours beside them. Of its time, peers get a part each.
bench() {
    local stage=$1 set=${1%%-*} type=f32 peers=() ours=() theirs=() fused=()
    [[ $stage == *-* ]] && type=${stage#*-}
    case $set in
    features)
        ours=(--shape 64,256,28,28 --features)
        theirs=(--shape 64,256,28,28)
        fused=(--fused none --fused relu --fused add_relu)
        ;;
    *) ours=(--shapes "$set") theirs=(--shapes "$set") ;;
    esac
    if [[ -n $batch && $set != growth ]]; then
        ours+=(--batch "$batch") theirs+=(--batch "$batch")
    fi
    local common=(--repetitions "$repetitions") file
    if [[ $torch != none ]]; then
        file=$out/$stage-pytorch
        rm -f "$file.json"
        step "$stage pytorch" $((limit / 2)) "$file.txt" "$python" "$here/peers/pytorch.py" --device "$torch" \
            "${theirs[@]}" --dtype "$type" "${fused[@]}" "${torch_layouts[@]}" "${common[@]}" \
            --time-limit $((limit / 2 - limit / 10)) --json "$file.json"
        [[ -s $file.json ]] && peers+=("$file.json")
    fi
    # burn has no other type on every adapter, and its layout is channels first.
    if [[ -x $work/peer-burn && $type == f32 && $layout != channels-last ]]; then
        for backend in wgpu flex; do
            file=$out/$stage-burn-$backend
            rm -f "$file.json"
            step "$stage burn $backend" $((limit / 8)) "$file.txt" "$work/peer-burn" --backend "$backend" \
                "${theirs[@]}" "${common[@]}" --json "$file.json"
            [[ -s $file.json ]] && peers+=("$file.json")
        done
    fi
    # What the peers have left of the time.
    local left=$((limit - (SECONDS - began)))
    ((left > 20)) || left=20
    step "$stage" "$left" "$out/$stage.txt" "$here/bin/batchnorm" bench "${ours[@]}" --dtype "$type" \
        --layout "$layout" ${adapter:+--adapter "$adapter"} "${common[@]}" --time-limit $((left * 3 / 4)) \
        ${peers[0]:+--compare "${peers[@]}"} --json "$out/$stage.json" --html "$out/$stage.html"
}

prepare
for stage in "${chosen[@]}"; do
    began=$SECONDS
    if ((!has_adapter)) && [[ $stage != reference ]]; then
        note "$stage" skipped 0 'no adapter'
        continue
    fi
    case $stage in
    verify)
        step verify "$limit" "$out/verify.txt" "$here/bin/batchnorm" verify "$here/tests/cases" \
            ${adapter:+--adapter "$adapter"} --json "$out/verify.json"
        ;;
    traversals)
        # The cases are too small to be cut into runs unasked.
        for traversal in split pipelined 'pipelined --runs 3' revisited resident; do
            name=verify-${traversal/ --runs /-}
            # shellcheck disable=SC2086
            step "verify $traversal" $((limit / 5)) "$out/$name.txt" "$here/bin/batchnorm" verify "$here/tests/cases" \
                --traversal $traversal ${adapter:+--adapter "$adapter"} --json "$out/$name.json"
        done
        ;;
    tune)
        step tune "$limit" "$out/tune.txt" "$here/bin/batchnorm" tune --shapes quick --layout "$layout" \
            ${adapter:+--adapter "$adapter"} ${batch:+--batch "$batch"} --json "$out/tune.json"
        ;;
    reference) step reference "$limit" "$out/reference.txt" "$here/bin/test-reference" ;;
    test) step test "$limit" "$out/test.txt" "$here/bin/test-gpu" ;;
    *) bench "$stage" ;;
    esac
done

# What is worth keeping, in few files.
for stage in "${chosen[@]}"; do
    [[ -e $out/$stage.txt && " ${checks[*]} " != *" $stage "* ]] && printf '\n== %s\n\n' "$stage" && cat "$out/$stage.txt"
done >"$out/tables.txt"
{
    printf '%s\n' "${summary[@]}"
    ((failed)) && printf 'Something failed: see above.\n' || printf 'Everything passed.\n'
} >"$out/summary.txt"
printf '\n'
cat "$out/summary.txt"
tar -C "$out" --exclude=results.tar.gz -czf "$work/results.tar.gz" . && mv "$work/results.tar.gz" "$out/results.tar.gz"
printf 'Results are in %s, all of them in results.tar.gz.\n' "$out"
exit "$failed"
