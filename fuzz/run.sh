#!/usr/bin/env bash
# Fuzzes the exported C's step function and the file loader, one after the other, each for N minutes.
#
#     fuzz/run.sh [--minutes N] [--only step|load] [--build FOLDER]
#     fuzz/run.sh --minimize        # takes what was found interesting into fuzz/corpus
#     fuzz/run.sh --coverage        # which lines of the kernels the corpus reaches
#
# The step fuzzer takes new random models every ten minutes. Ends with 1 at the first finding, whose input lies in
# FOLDER/findings. PYTHON names the interpreter, with bitgate installed; the loader needs: pip install 'bitgate[fuzz]'.
set -euo pipefail
cd "$(dirname "$0")/.."
minutes=10 only= build=build/fuzz action=fuzz
while [ $# -gt 0 ]; do
    case $1 in
        --minutes) minutes=$2; shift 2 ;;
        --only) only=$2; shift 2 ;;
        --build) build=$2; shift 2 ;;
        --minimize | --coverage) action=${1#--}; shift ;;
        *) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2 ;;
    esac
done
python=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)}
export PYTHONPATH=$PWD/src:$PWD${PYTHONPATH:+:$PYTHONPATH}
export UBSAN_OPTIONS=print_stacktrace=1
corpus=fuzz/corpus work=$build/corpus findings=$build/findings logs=$build/logs
mkdir -p "$findings" "$logs"

take_corpus() { # FUZZER: the kept corpus, or the first seeds, into the working folder
    mkdir -p "$work/$1"
    if [ -d "$corpus/$1" ]; then cp "$corpus/$1"/* "$work/$1/"; else "$python" fuzz/seeds.py "$1" "$work/$1"; fi
}

make_step() { # SEED FLAGS...: prints the program's path
    local seed=$1 folder=$build/models-$1
    shift
    rm -rf "$folder"
    "$python" fuzz/models.py --seed "$seed" --out "$folder" >&2
    clang -std=c99 -g -Wall -Wextra -Werror "$@" -o "$folder/fuzz_step" "$folder"/*.c
    echo "$folder/fuzz_step"
}

sanitized() { make_step "$1" -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all; }

fuzz_step() {
    local left=$((minutes * 60)) seed=0 part program
    while [ $left -gt 0 ]; do
        part=$((left < 600 ? left : 600)) left=$((left - 600))
        program=$(sanitized $seed)
        "$program" "$work/step" -max_total_time=$part -len_control=0 -max_len=512 -timeout=600 -report_slow_units=600 -print_final_stats=1 \
            -artifact_prefix="$findings/step-seed$seed-" 2>"$logs/step-$seed.log" || { tail -40 "$logs/step-$seed.log"; exit 1; }
        seed=$((seed + 1))
    done
}

fuzz_load() {
    "$python" fuzz/fuzz_load.py "$work/load" -max_total_time=$((minutes * 60)) -max_len=8192 -timeout=600 -report_slow_units=600 \
        -print_final_stats=1 -artifact_prefix="$findings/load-" 2>"$logs/load.log" || { tail -40 "$logs/load.log"; exit 1; }
}

minimize() {
    local program
    program=$(sanitized 0)
    rm -rf "$build/minimal" && mkdir -p "$build/minimal/step" "$build/minimal/load"
    "$program" -set_cover_merge=1 "$build/minimal/step" "$work/step" 2>/dev/null
    # libFuzzer starts its program anew to merge, so the script itself must run, by the same interpreter.
    PATH=$(dirname "$(command -v "$python")"):$PATH fuzz/fuzz_load.py -set_cover_merge=1 "$build/minimal/load" "$work/load" 2>/dev/null
    for fuzzer in step load; do
        rm -rf "${corpus:?}/$fuzzer" && mkdir -p "$corpus/$fuzzer" && cp "$build/minimal/$fuzzer"/* "$corpus/$fuzzer/"
    done
    du -sh "$corpus"/*
}

coverage() {
    local program
    program=$(make_step 0 -O0 -fsanitize=fuzzer -fprofile-instr-generate -fcoverage-mapping)
    LLVM_PROFILE_FILE=$build/coverage.raw "$program" -runs=0 $corpus/step 2>/dev/null
    llvm-profdata merge -o "$build/coverage.data" "$build/coverage.raw"
    llvm-cov report "$program" -instr-profile="$build/coverage.data" -show-region-summary=false \
        -ignore-filename-regex='/(m[0-9]+|data|table|fuzz)[^/]*$'
}

case $action in
    minimize) minimize ;;
    coverage) coverage ;;
    fuzz)
        for fuzzer in ${only:-step load}; do
            take_corpus "$fuzzer"
            "fuzz_$fuzzer"
        done
        echo "no findings"
        grep -h -A1 -E "DONE|number_of_executed_units" "$logs"/*.log | grep -E "DONE|executed" || true
        ;;
esac
