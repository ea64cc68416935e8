#!/usr/bin/env bash
# Runs every command of docs/lecture.md in its order, and looks at what comes out.
#   lecture.sh SOURCE BUILD
set -euo pipefail
source=$1 build=$2
[[ -r /dev/fuse && -w /dev/fuse && -x $build/bin/bakeoff-slowdisk ]] ||
  { echo "skipped: there is no slow disk"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }

# A new architecture is written into the source tree: into a copy of it here.
mkdir "$dir/data"
cp -r "$source"/{architectures,workloads,harness,results} "$dir/data/"
export BAKEOFF_DATA=$dir/data
ln -s "$build/bin/bakeoff" "$dir/bakeoff"
cd "$dir"

text=$source/docs/lecture.md
awk '/^       title = /{inside=1} inside && /^[0-9]/{exit} inside{sub(/^       /, ""); print}' "$text" >processes.toml
grep -q '^workers = ' processes.toml || fail "docs/lecture.md has no processes.toml"

commands=0
while read -r command; do
  commands=$((commands + 1))
  echo "+ $command"
  set +e
  $command >said 2>errors </dev/null
  status=$?
  set -e
  # A cell that a busy machine made void is no fault of the text.
  [[ $status -eq 0 || ($command == *" run "* && $status -eq 1) ]] ||
    { cat said errors >&2; fail "$command: status $status"; }
done < <(grep -E '^ {4,}\./bakeoff ' "$text")
[[ $commands -ge 9 ]] || fail "only $commands commands in docs/lecture.md"

# What else it says is there.
for server in sped amped symped mt thread-per-connection pipeline; do
  [[ -s lecture/$server.svg && -s lecture/$server.json ]] || fail "no picture or trace of $server"
done
for page in lecture parked memory two waits; do
  grep -q '</html>' "$page/page.html" || fail "no page in $page"
done
(($(wc -c <lecture/page.html) < 1500000)) || fail "the page is too large to be mailed"
grep -q 'The loop waits .* ms for the disk for client 2\.' lecture/page.html || fail "SPED's wait is not told"
grep -q '^add_architecture(leader-followers)$' data/architectures/CMakeLists.txt || fail "no new architecture"
