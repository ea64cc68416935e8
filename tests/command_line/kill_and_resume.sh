#!/usr/bin/env bash
# Kills the harness with kill -9 at random moments and resumes it, until the run is complete. Then checks: are the cells
# those of the plan, is every planned trial there once, was nothing left running?
#
#     tests/command_line/kill_and_resume.sh BAKEOFF SPEC KILLS LEAST_S MOST_S [DIR]
#
# BAKEOFF: the program. SPEC: as for bakeoff run. The harness is killed KILLS times, LEAST_S to MOST_S seconds (decimals
# allowed) after each start; if it ends before, that start was the last. DIR: a folder that does not exist yet; default:
# a temporary one. $SEED repeats the same moments.
set -u
bakeoff=$1 spec=$2 kills=$3 least=$4 most=$5 dir=${6:-}
if [ -z "$dir" ]; then
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  dir=$scratch/run
fi
RANDOM=${SEED:-$$}
fail() {
  echo "kill_and_resume: $*" >&2
  exit 1
}
# A mark in the environment of all that is started here, by which it is found afterwards, whoever its parent became.
export BAKEOFF_KILL_TEST=$$-$RANDOM
left_running() {
  # One grep for all processes: a few programs for each would take longer than the runs do.
  grep -lzxF "BAKEOFF_KILL_TEST=$BAKEOFF_KILL_TEST" /proc/[0-9]*/environ 2>/dev/null | while read -r environment; do
    pid=${environment#/proc/} pid=${pid%/environ}
    [ "$pid" = $$ ] && continue
    # This shell's own helpers have it, too.
    [ "$(ps -o ppid= -p "$pid" 2>/dev/null | tr -d ' ')" = $$ ] && continue
    case $(cat "/proc/$pid/comm" 2>/dev/null) in '' | tr | grep | ps | bash | cat | kill_and_resume*) continue ;; esac
    echo "$pid $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)"
  done
}
mounts_before=$(wc -l </proc/mounts)

"$bakeoff" plan "$spec" 2>/dev/null | sort >"$dir.plan" || fail "there is no plan of $spec"
killed=0
for ((start = 0; start < kills; ++start)); do
  "$bakeoff" run "$spec" --out "$dir" --resume >"$dir.log" 2>&1 &
  harness=$!
  sleep "$(awk -v least="$least" -v most="$most" -v share="$RANDOM" \
    'BEGIN { printf "%.3f", least + (most - least) * share / 32767 }')"
  kill -9 "$harness" 2>/dev/null && killed=$((killed + 1))
  wait "$harness" 2>/dev/null
  status=$?
  trials=$(cat "$dir/trials.jsonl" 2>/dev/null | wc -l)
  echo "start $((start + 1)): status $status, $trials trials" >&2
  case $status in
    137) ;;
    0 | 1) break ;;
    *) fail "it ended with $status: $(tail -n 1 "$dir.log")" ;;
  esac
  # The guard gives servers a moment to end in order.
  for ((i = 0; i < 100; ++i)); do
    [ -z "$(left_running)" ] && break
    sleep 0.1
  done
  left=$(left_running)
  [ -z "$left" ] || fail "left running after kill -9: $left"
done
"$bakeoff" run "$spec" --out "$dir" --resume >"$dir.log" 2>&1
status=$?
[ $status -le 1 ] || fail "the last resumption ended with $status: $(tail -n 1 "$dir.log")"
left=$(left_running)
[ -z "$left" ] || fail "left running in the end: $left"
[ "$(wc -l </proc/mounts)" -le "$mounts_before" ] || fail "a mount is left: $(tail -n 1 /proc/mounts)"

grep -o '^   "id": "[^"]*"' "$dir/result.json" | sed 's/.*: "//; s/"$//' | sort >"$dir.cells"
cmp "$dir.plan" "$dir.cells" || fail "the cells of the result are not those of the plan: see $dir.plan, $dir.cells"
grep -q '"complete": true' "$dir/result.json" || fail "the result is not complete"
# One line a trial and attempt: a trial that was measured twice is a trial that was lost and not noticed.
trial='"attempt":\([0-9]*\),"block":\([0-9]*\),"ceiling[^}]*},"cell":"\([^"]*\)".*"phase":"\([a-z]*\)"'
twice=$(sed -n "s/^.*$trial.*$/\4 \2 \3 \1/p" "$dir/trials.jsonl" | sort | uniq -d)
[ -z "$twice" ] || fail "measured twice: $twice"
trials=$(wc -l <"$dir/trials.jsonl")
echo "killed $killed times; $(wc -l <"$dir.cells") cells as planned, $trials trials, nothing left behind"
