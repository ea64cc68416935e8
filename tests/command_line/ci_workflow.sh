#!/usr/bin/env bash
# Runs the steps of docs/bakeoff.yml as far as a shell can: bash parses `build`, and `compare` runs with one build on
# both sides.
#   ci_workflow.sh SOURCE BUILD
set -euo pipefail
source=$1 build=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
step() {  # NAME: the script of the step's `run: |`
  awk -v name="$1" '
    $0 ~ "^      - name: " name "$" { inside = 1; next }
    inside && /^      - / { exit }
    inside && /^        run: \|$/ { script = 1; next }
    script && /^          / { print substr($0, 11); next }
    script { exit }' "$source/docs/bakeoff.yml"
}
[[ -n $(step build) && -n $(step compare) ]] || { echo "docs/bakeoff.yml has no such steps" >&2; exit 1; }
step build | bash -n
mkdir -p "$dir/base/build" "$dir/head/build"
ln -s "$build" "$dir/base/build/release"
ln -s "$build" "$dir/head/build/release"
ln -s "$build/bin/bakeoff" "$dir/head/bakeoff"
cat >"$dir/small.toml" <<'END'
[workload]
name = "single-file"
[load]
connections = 4
warmup = "20ms"
longest_warmup = "20ms"
duration = "100ms"
[trials]
others = 1000
repeats = 0
[validity]
client_busy = 1
little = 1
[[server]]
architecture = "sped"
END
cd "$dir"
status=0
step compare | env GITHUB_STEP_SUMMARY="$dir/step_summary" BAKEOFF_SPEC=small.toml BAKEOFF_BUDGET=20s BAKEOFF_SOAK=4s \
  bash -e || status=$?
# One build compared with itself is fine, or undecided on a busy machine; nothing else.
[[ $status == 0 || $status == 3 ]] || { echo "compare ended with $status" >&2; exit 1; }
grep -q '^## bakeoff compare small: ' step_summary
grep -q '| sped/connections=4/workers=1 | replies_per_cpu_s |' step_summary
grep -q '"soak"' compare.json
grep -q '"verdict"' compare.json
